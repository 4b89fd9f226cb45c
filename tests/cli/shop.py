"""A small application with a pipeline, and the command line as a real process in its folder."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli import warm

SECRET = "seven-random-words-that-nobody-guesses"

MODULE = """
import os

from backupkit import (
    BackupKitError, BackupPipeline, Command, Directory, FileMemory, KeepLast, MachineLock, MaximumAge, Passphrase,
    Retry, SQLite
)

class TellingLock:
    def hold(self, name, *, wait):
        print("waiting up to", wait.total_seconds(), "seconds", flush=True)
        return MachineLock("locks").hold(name, wait=wait)

def made(sources, destinations=("backups",), name="shop", lock=MachineLock("locks")):
    return BackupPipeline(
        name,
        sources,
        destinations,
        encryptor=Passphrase.from_file("passphrase.txt"),
        retention=KeepLast(1),
        checks=[MaximumAge(days=1)],
        retry=Retry(tries=1),
        lock=lock,
        memory=FileMemory("state"),
    )

uploads, database = Directory("uploads"), SQLite("shop.sqlite3")
pipeline = made([uploads, database])
files_only = made([uploads])
nowhere = made([uploads], ["not-mounted"])
halfway = made([uploads], ["backups", "not-mounted"])
both = made([uploads, database], ["backups", "more"])
losing = made([uploads, Directory("gone")])
waiting = made([uploads, Command(["cat", "pipe"], name="slow.dump")])
patient = made([uploads], lock=TellingLock())
number = 42

def factory():
    return pipeline

def broken():
    raise ZeroDivisionError("a fault of the application")

def broken_twice():
    raise ExceptionGroup("two faults", [BackupKitError("ours"), ZeroDivisionError("not ours")])
"""

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Shop:
    folder: Path

    def backupkit(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end. Whatever it does, it never shows the passphrase."""
        done = warm.run(arguments, folder=self.folder, env=environment(variables))
        assert SECRET not in done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def document(self, *arguments: str) -> tuple[int, Any]:
        """The exit code, and the one JSON document that is all there is to read."""
        return self.document_with({}, *arguments)

    def document_with(self, variables: Mapping[str, str], *arguments: str) -> tuple[int, Any]:
        done = self.backupkit(*arguments, "--json", **variables)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "backupkit", *arguments]

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def stored(self) -> list[str]:
        """All files at the destination, finished or not, hidden or not."""
        return sorted(
            path.relative_to(self.backups).as_posix() for path in self.backups.rglob("*") if path.is_file()
        )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(variables)


def make_shop(folder: Path) -> Shop:
    uploads = folder / "uploads"
    uploads.mkdir()
    (uploads / "photo.jpg").write_bytes(b"\xff\xd8" + bytes(1000))
    (uploads / "note.txt").write_text("a note\n")
    (uploads / os.fsdecode(b"[red]line\n\xff.txt")).write_text("odd\n")
    with closing(sqlite3.connect(folder / "shop.sqlite3")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO orders DEFAULT VALUES")
        connection.commit()
    (folder / "backups").mkdir()
    (folder / "more").mkdir()
    (folder / "passphrase.txt").write_text(f"{SECRET}\n")
    (folder / "shop_backups.py").write_text(MODULE)
    return Shop(folder)
