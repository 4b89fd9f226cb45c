"""From an application to its archive and back, with nothing left out on the way."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    Command,
    Directory,
    Passphrase,
    Report,
    SQLite,
    WrongPassphraseError,
    open_repository,
)
from backupkit.testing.trees import File, Folder, Hardlink, Node, Symlink, same_tree, tree
from tests.pipeline.shop import Make, MiB, names, stored

SECRET = "correct horse battery staple extra"
TEXT = b"".join(b"%09d a line of text that can be compressed\n" % number for number in range(60_000))

ODD: Mapping[str, Node] = {
    "index.html": File("<h1>Shop</h1>", modified_ns=1_500_000_000_123_456_789),
    "run.sh": File("#!/bin/sh\n", mode=0o755),
    "private": File("key", mode=0o400),
    "empty": b"",
    "exactly-1-MiB": bytes(range(256)) * 4096,
    "noise": os.urandom(3 * MiB + 17),
    "text.csv": TEXT,
    "sparse.img": File({4 * MiB: b"end of the first hole"}, size=9 * MiB),
    "uploads": Folder(
        {
            "a.jpg": b"\xff\xd8",
            "again.jpg": Hardlink("uploads/a.jpg"),
            "newest": Symlink("a.jpg", modified_ns=1_400_000_000_000_000_001),
            "broken": Symlink("/nowhere/at all"),
            "hidden": {".htaccess": "deny", "...": "three dots"},
        },
        mode=0o2750,
        modified_ns=1_450_000_000_999_999_999,
    ),
    "deep": {"er": {"and": {"deeper": {"file": "found"}}}},
    "no files": {},
    "closed": Folder({"inside": "kept"}, mode=0o500),
    "trailing blank ": "1",
    " leading": "2",
    "new\nline": "3",
    "tab\tand\\backslash": "4",
    "quote'\"`$(x)": "5",
    "-rf": "6",
    "üñí ☃ 漢字 🗄": "7",
    "percent%20%FF": "8",
    "x" * 255: "9",
    "Case": "upper",
    "case": "lower",
}


def same_again(folder: Path) -> None:
    """What a literal cannot say: names that are no text, and attributes, which some file systems lack."""
    Path(os.fsdecode(os.fsencode(folder) + b"/not utf-8 \xff\xfe")).write_bytes(b"10")
    Path(os.fsdecode(os.fsencode(folder) + b"/%FF")).write_bytes(b"11")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"12")
    if sys.platform == "linux":
        try:
            os.setxattr(folder / "index.html", "user.comment", b"\x00binary\xff")
            os.setxattr(folder / "uploads", "user.of.a.folder", b"1")
        except OSError as error:
            pytest.skip(f"the file system of {folder} has no extended attributes: {error}")


@contextmanager
def being_written(path: Path) -> Iterator[threading.Event]:
    """A database in WAL mode to which one row after another is added; the event says that it has some."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        connection.commit()
    some, stop = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path)) as connection:
            for number in range(1, 1_000_000):
                connection.execute("INSERT INTO orders VALUES (?, ?)", (number, f"order {number}"))
                connection.commit()
                if number == 100:
                    some.set()
                if stop.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield some
    finally:
        stop.set()
        writer.join()


def rows(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT id, note FROM orders ORDER BY id").fetchall()


@dataclass(frozen=True)
class Shop:
    app: Path
    database: Path
    backups: Path
    pipeline: BackupPipeline
    report: Report


@pytest.fixture
def shop(tmp_path: Path, make: Make) -> Shop:
    """An application, and the report of its first backup, made while an order came in every moment."""
    app, database, backups = tmp_path / "app", tmp_path / "shop.sqlite3", tmp_path / "backups"
    same_again(tree(app, ODD))
    pipeline = make(
        [Directory(app), SQLite(database), Command(["printf", "%s", "dump of redis"], name="redis.rdb")],
        stored(backups),
        encryptor=Passphrase(SECRET),
    )
    with being_written(database) as some:
        assert some.wait(60)
        report = pipeline.run(tags=["before the upgrade"])
    return Shop(app, database, backups, pipeline, report)


def test_what_was_backed_up_comes_back_equal(shop: Shop, tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    assert shop.report.outcome == "succeeded"
    assert shop.report.problems == ()
    report = shop.pipeline.restore(to=restored)
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert same_tree(shop.app, restored / "app") == []
    assert (restored / "db-dumps/redis.rdb").read_bytes() == b"dump of redis"
    got, now = rows(restored / "db-dumps/sqlite-shop.sqlite3"), rows(shop.database)
    assert 100 <= len(got) <= len(now)
    assert got == now[: len(got)]
    assert report.entries == shop.report.entries
    linked = len(b"\xff\xd8")  # a second name of a file takes no second reading
    assert report.read == report.written == shop.report.read - linked


def test_what_an_archive_cannot_hold_is_a_warning_and_the_rest_is_there(tmp_path: Path, make: Make) -> None:
    app = tree(tmp_path / "app", {"a": "a", "z": "z"})
    os.mkfifo(app / "pipe")
    pipeline = make(Directory(app), stored(tmp_path / "backups"))
    report = pipeline.run()
    assert report.outcome == "succeeded"
    assert [(one.path, one.severity) for one in report.problems] == [("app/pipe", "warning")]
    assert pipeline.restore(to=tmp_path / "restored").problems == ()
    (app / "pipe").unlink()
    os.utime(app, ns=((tmp_path / "restored/app").stat().st_mtime_ns,) * 2)
    assert same_tree(app, tmp_path / "restored/app") == []


def test_it_can_be_listed_looked_into_and_verified(shop: Shop) -> None:
    (backup,) = shop.pipeline.list().backups
    assert (backup.good, backup.verified, backup.entries) == (True, None, None)
    assert backup.contents == {"files", "databases"}
    assert backup.stored == (shop.backups / "shop" / f"{backup.id}.zip").stat().st_size

    details = shop.pipeline.details(backup)
    assert (details.entries, details.size) == (shop.report.entries, shop.report.read)
    assert (details.host, details.tags) == (socket.gethostname(), ("before the upgrade",))

    entries = {entry.path: entry for entry in shop.pipeline.entries()}
    assert len(entries) == shop.report.entries
    assert entries["app/uploads/newest"].target == "a.jpg"
    with shop.pipeline.open("latest", "app/text.csv") as file:
        assert [next(file), next(file)] == TEXT.splitlines(keepends=True)[:2]

    report = shop.pipeline.verify()
    assert (report.outcome, report.read) == ("succeeded", shop.report.read)
    (backup,) = shop.pipeline.list().backups
    assert backup.verified is not None
    assert backup.good


def test_nothing_but_the_place_and_the_passphrase_is_needed_to_restore(shop: Shop, tmp_path: Path) -> None:
    places: list[Path | str] = [shop.backups, shop.backups / "shop", shop.backups.as_uri()]
    for number, place in enumerate(places):
        restored = tmp_path / f"restored-{number}"
        assert open_repository(place, SECRET).restore(to=restored).outcome == "succeeded"
        assert same_tree(shop.app, restored / "app") == []


def test_without_the_passphrase_the_list_is_all_there_is(shop: Shop, tmp_path: Path) -> None:
    strangers = open_repository(shop.backups)
    assert len(strangers.list().backups) == 1
    with pytest.raises(WrongPassphraseError):
        strangers.restore(to=tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_what_stands_at_the_destination_can_be_read_by_its_owner_only(shop: Shop) -> None:
    assert len(names(shop.backups)) == 2
    for name in names(shop.backups):
        assert (shop.backups / name).stat().st_mode & 0o077 == 0
