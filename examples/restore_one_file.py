"""How do I get back one file, one folder or one database, and not everything?

`entries()` shows what a backup holds. `restore(include=[…])` takes whole paths or gitignore patterns; `open()`
reads one entry without writing anything. Of a ZIP archive only the parts that are needed are read. No settings
of the pipeline are needed, only the place and the passphrase.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, RestoreError, SQLite, open_repository


def make_backup(root: Path, passphrase: Passphrase) -> None:
    (root / "shop" / "invoices").mkdir(parents=True)
    (root / "shop" / "orders.csv").write_text("1,apples\n2,pears\n")
    (root / "shop" / "invoices" / "1.txt").write_text("one apple\n")
    (root / "backups").mkdir()
    with closing(sqlite3.connect(root / "shop.sqlite3")) as database:
        database.execute("CREATE TABLE orders (fruit TEXT)")
    pipeline = BackupPipeline(
        "shop",
        [Directory(root / "shop"), SQLite(root / "shop.sqlite3")],
        root / "backups",
        encryptor=passphrase,
    )
    pipeline.run()


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        passphrase = Passphrase("correct horse battery staple orbit")
        make_backup(root, passphrase)

        backups = open_repository(root / "backups", passphrase)
        newest = backups.list().backups[0]
        print("holds:", ", ".join(entry.path for entry in backups.entries(newest)))

        with backups.open(newest, "shop/orders.csv") as file:
            print("first line:", file.readline().decode(), end="")

        backups.restore(newest, to=root / "file", include=["shop/orders.csv"])
        print("one file:", below(root / "file"))
        backups.restore(newest, to=root / "folder", include=["/shop/invoices/"])
        print("one folder:", below(root / "folder"))
        backups.restore(newest, to=root / "database", only="databases")
        print("the database:", below(root / "database"))

        (root / "file" / "shop" / "orders.csv").write_text("edited since\n")
        try:
            backups.restore(newest, to=root / "file", include=["shop/orders.csv"])
        except RestoreError as error:
            print(error)


if __name__ == "__main__":
    main()
