"""How do I know that a backup can be restored, before I need it?

Rehearse it: a drill restores the latest backup to a scratch folder and scratch databases, asks your questions about
it, removes everything again, and remembers beside the backup that it was proven.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from backupkit import BackupPipeline, Directory, Passphrase, SQLite
from backupkit.model import Restored


def has_fruit(restored: Restored) -> None:
    """An assertion: it fails by an exception, or by returning False."""
    path = restored.databases["shop"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM fruit").fetchone()
    assert count == 2, f"{count} kinds of fruit instead of 2"
    assert (restored.folder / "photos" / "pear.jpg").exists()


def has_bananas(restored: Restored) -> bool:
    return (restored.folder / "photos" / "banana.jpg").exists()


def main(folder: Path) -> None:
    photos = folder / "photos"
    photos.mkdir()
    (photos / "pear.jpg").write_bytes(b"\xff\xd8 a pear")
    with closing(sqlite3.connect(folder / "shop.sqlite3")) as connection:
        connection.execute("CREATE TABLE fruit (name TEXT)")
        connection.executemany("INSERT INTO fruit VALUES (?)", [("apple",), ("pear",)])
        connection.commit()
    (folder / "backup").mkdir()
    (folder / "scratch").mkdir()
    pipeline = BackupPipeline(
        "shop",
        [Directory(photos), SQLite(folder / "shop.sqlite3")],
        [folder / "backup"],
        encryptor=Passphrase("seven random words that nobody guesses"),
    )
    pipeline.run()

    report = pipeline.drill(scratch=folder / "scratch", assertions=[has_fruit])
    print(f"drill: {report.outcome}; proven: {pipeline.get().proven is not None}")
    assert report.restore_took is not None  # how long everything took to come back

    report = pipeline.drill(scratch=folder / "scratch", assertions=[has_fruit, has_bananas])
    print(f"drill: {report.outcome}; {report.problems[0].message}")
    print(f"left behind: {list((folder / 'scratch').iterdir())}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
