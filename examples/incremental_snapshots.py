"""How do I back up often, and a lot, without storing everything each time?

With `format=Restic()`. Only what has changed is read, only what is new is stored, and several applications may
share a repository. Needs `pip install 'backupkit[snapshots]'`; restoring does not even need backupkit, as `restic`
reads the same repository: RESTIC_PASSWORD=… restic -r /mnt/backup restore latest --target /srv/restored
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, Restic, open_repository

PASSPHRASE = "correct horse battery staple orbit"


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "backup").mkdir()
        (root / "shop").mkdir()
        (root / "shop" / "film").write_bytes(os.urandom(3_000_000))
        (root / "shop" / "orders.csv").write_text("1,apples\n")

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            root / "backup",
            encryptor=Passphrase(PASSPHRASE),
            format=Restic(cache=False),
        )
        first = pipeline.run()
        print(f"first: read {first.read} bytes; {first.problems[0].message.partition(', and ')[2][:20]}")

        (root / "shop" / "orders.csv").write_text("1,apples\n2,pears\n")
        second = pipeline.run()
        print(f"second: read {second.read} bytes, less than 10 kB stored: {second.written < 10_000}")

        # Each snapshot is a full backup. Files stand in it where they were on the machine.
        backups = open_repository(root / "backup", PASSPHRASE)
        backups.restore(to=root / "restored")
        shop = root / "restored" / (root / "shop").relative_to("/")
        print((shop / "orders.csv").read_text(), end="")
        older = backups.list().backups[-1]
        with backups.open(older, f"{root}/shop/orders.csv"[1:]) as file:
            print(f"before: {file.read().decode().strip()}")


if __name__ == "__main__":
    main()
