"""How do I read one file as it was yesterday, without restoring anything?

Backups are a file system for fsspec: each has its id, and the newest good one is `latest`. So pandas, or whatever
takes `storage_options`, reads `backupkit://latest/…`. Of a snapshot, a part of a file costs the blobs it is in.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec

from backupkit import BackupPipeline, Directory, MachineLock, Passphrase, Restic


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "backups").mkdir()
        orders = root / "shop" / "orders.csv"
        orders.write_text("id,fruit\n1,apples\n2,pears\n")
        os.environ["SHOP_BACKUP_SECRET"] = "correct horse battery staple orbit"
        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backups",
            encryptor=Passphrase.from_env("SHOP_BACKUP_SECRET"),
            format=Restic(),
            lock=MachineLock(root / "locks"),
        )
        pipeline.run()
        yesterday = pipeline.get().id

        orders.write_text("id,fruit\n")  # somebody's mistake
        pipeline.run()

        # In a snapshot, the path is that of the file on its machine.
        fs = pipeline.file_system()
        print("now:", fs.cat_file(f"latest{orders}").decode().splitlines())
        print("yesterday:", fs.cat_file(f"{yesterday}{orders}", 9).decode().splitlines())

        # By its URL alone, as in pandas.read_csv(url, storage_options={…}). In your code the entry point does this.
        from backupkit.repository_urls import RepositoryFileSystem

        fsspec.register_implementation("backupkit", RepositoryFileSystem, clobber=True)
        options = {"repository": str(root / "backups"), "passphrase": "env:SHOP_BACKUP_SECRET"}
        with fsspec.open(f"backupkit://{yesterday}{orders}", "r", **options) as file:
            print("fruit:", [row["fruit"] for row in csv.DictReader(file)])


if __name__ == "__main__":
    main()
