"""The application that the demo backs up: uploads with odd names, and a database that is in use."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ACCOUNTS = 100
BALANCE = 10_000  # of each account at first
EARLIER = 10_000  # transfers made before the demo begins

_MEGABYTE = 1 << 20
_A_DAY = 86_400 * 10**9  # nanoseconds
_YESTERYEAR = 1_700_000_000_123_456_789  # a time of day that needs every nanosecond

ODD_NAMES = (
    b"trailing blank ",
    b"line\nbreak.txt",
    b"double \" single ' back `.txt",
    "emoji \N{CARD FILE BOX} and \N{SNOWMAN}.txt".encode(),
    b"not UTF-8 \xff\xe9.txt",
    b"[red]not markup.txt",
    b"-rf",
    b"$(echo no shell).txt",
    b"back\\slash.txt",
)


def make_uploads(folder: Path) -> None:
    """Make the folder and, in it, about 60 MB in some 250 entries of every kind that is worth keeping."""
    photos, invoices, odd = (folder / name for name in ("photos", "invoices", "odd names"))
    for one in (photos, invoices, odd, folder / "empty"):
        one.mkdir(parents=True)
    for number in range(20):
        (photos / f"IMG_{number:04}.jpg").write_bytes(os.urandom(2 * _MEGABYTE))
    for number in range(200):
        (invoices / f"{number:05}.txt").write_text(f"Invoice {number}\n" * (number + 1))
    lines = [f"{number};{number * 7919 % 10007};shipped\n" for number in range(600_000)]
    (folder / "export.csv").write_text("".join(lines))
    for name in ODD_NAMES:
        try:
            (odd / os.fsdecode(name)).write_bytes(name)
        except OSError as error:
            if error.errno != errno.EILSEQ:  # macOS takes no name that is not UTF-8
                raise
    (folder / "no content").touch()
    (folder / "latest.jpg").symlink_to("photos/IMG_0019.jpg")
    (folder / "broken link").symlink_to("not there")
    os.link(folder / "export.csv", invoices / "the same export.csv")
    (folder / "-private").write_text("for the owner alone\n")
    (folder / "-private").chmod(0o600)
    (folder / "script.sh").write_text("#!/bin/sh\necho restored\n")
    (folder / "script.sh").chmod(0o755)
    invoices.chmod(0o750)
    for age, path in enumerate([folder, *sorted(folder.rglob("*"))]):
        time = _YESTERYEAR - age * _A_DAY
        os.utime(path, ns=(time, time), follow_symlinks=False)


def make_database(path: Path) -> None:
    """Make a small ledger with a past; `demo_writer` goes on with it."""
    from backupkit.cli.demo_writer import transfer

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(
            "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
            "CREATE TABLE transfer (id INTEGER PRIMARY KEY AUTOINCREMENT, payer INTEGER NOT NULL,"
            " payee INTEGER NOT NULL, amount INTEGER NOT NULL, note BLOB NOT NULL);"
        )
        with connection:
            connection.executemany("INSERT INTO account (balance) VALUES (?)", [(BALANCE,)] * ACCOUNTS)
        for _ in range(EARLIER):
            transfer(connection, ACCOUNTS)


@contextmanager
def being_written(database: Path) -> Iterator[None]:
    """Another process writes to the database for as long as the context lasts."""
    command = [sys.executable, "-m", "backupkit.cli.demo_writer", os.fspath(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "writing\n":
            raise RuntimeError(f"{command} did not begin to write")
        yield  # leaving the block closes the process's standard input, which ends it, and waits for it
    if process.returncode:
        raise RuntimeError(f"{command} ended with exit code {process.returncode}")
