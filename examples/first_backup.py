"""How do I back up an application's files and its database, and get them back?

Name what to back up (sources), where to (a destination) and a passphrase; `run()` makes a backup, `restore()`
writes the newest good one to a folder. The database is copied as it is at one moment, while the application
goes on writing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import APPLICATION_EXCLUDES, BackupPipeline, Directory, Passphrase, SQLite


def make_application(folder: Path) -> None:
    (folder / "uploads").mkdir(parents=True)
    (folder / "uploads" / "pear.txt").write_text("a pear\n")
    (folder / ".env").write_text("SECRET_KEY=hunter2\n")
    with closing(sqlite3.connect(folder / "shop.sqlite3")) as database, database:
        database.execute("CREATE TABLE orders (fruit TEXT, pieces INTEGER)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", [("apple", 1), ("pear", 2)])


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_application(root / "shop")
        (root / "backups").mkdir()  # a destination is never created: an unmounted disk looks the same

        pipeline = BackupPipeline(
            "shop",
            [
                # The database's own files are left out here: SQLite() copies it consistently.
                Directory(root / "shop", exclude=[*APPLICATION_EXCLUDES, "shop.sqlite3*"]),
                SQLite(root / "shop" / "shop.sqlite3"),
            ],
            root / "backups",
            encryptor=Passphrase("correct horse battery staple orbit"),
        )

        report = pipeline.run()
        print(f"run: {report.outcome}, {report.entries} entries")

        print(f"verify: {pipeline.verify().outcome}")  # reads every byte back; raises if one is wrong

        pipeline.restore("latest", to=root / "restored")
        for path in sorted((root / "restored").rglob("*")):
            print(path.relative_to(root).as_posix())
        with closing(sqlite3.connect(root / "restored" / "db-dumps" / "sqlite-shop.sqlite3")) as database:
            print(database.execute("SELECT * FROM orders").fetchall())


if __name__ == "__main__":
    main()
