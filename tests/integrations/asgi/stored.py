"""Pipelines with backups for the tests of pages that show them, and destinations that tell what they were asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backupkit import BackupPipeline, DatabaseHistory, Directory, Entry, KeepLast, Passphrase, Problem, Restic
from backupkit.formats.backup_ids import backup_id
from backupkit.integrations.asgi import BackupManager
from backupkit.model import Contents, StoredObject
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.visitor import Browser, as_said

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery staple, and more"
PASSPHRASE = Passphrase(PASSWORD)
SNAPSHOTS = Restic(cache=False, workers=0, lock_wait=timedelta(0))
BOTH: frozenset[Contents] = frozenset({"files", "databases"})


class Counting(MemoryDestination):
    """Counts how often it is listed and read; while `away` is set, it answers nothing at all."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.listed = 0
        self.reads: list[str] = []
        self.closed = 0
        self.answering = threading.Event()
        self.answering.set()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.listed += not prefix.startswith("backupkit/")
        self.answering.wait(60)
        return super().list(prefix)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.reads.append(name)
        self.answering.wait(60)
        chunks = super().read(name, start=start, length=length)
        try:
            for chunk in chunks:
                # In small pieces, so that something is under way when somebody leaves.
                for place in range(0, len(chunk), 1 << 16):
                    yield chunk[place : place + (1 << 16)]
        finally:
            self.closed += 1


class Given:
    """A source of these entries."""

    def __init__(self, name: str, entries: Sequence[Entry | Problem], contents: Contents = "files") -> None:
        self.name = name
        self.contents = contents
        self._entries = entries

    def entries(self) -> Iterator[Entry | Problem]:
        yield from self._entries


def pipeline_of(sources: Any, destinations: Any, **options: Any) -> BackupPipeline:
    """One called shop, whose clock stands."""
    given: dict[str, Any] = {"encryptor": None, "clock": lambda: NOW, "retention": KeepLast(2)} | options
    return BackupPipeline("shop", sources, destinations, **given)


def page_of(pipelines: Any, tmp_path: Path, **options: Any) -> Browser:
    """A visitor of the page of these pipelines, which is patient and looks at destinations once in an hour."""
    given: dict[str, Any] = {
        "authorize": as_said,
        "secret": "not to be guessed",
        "clock": lambda: NOW,
        "period": timedelta(hours=1),
        "audit": DatabaseHistory(f"sqlite:///{tmp_path / 'audit.sqlite3'}"),
    }
    manager = BackupManager(pipelines, scratch=tmp_path / "scratch", **given | options)
    manager.page.shelves.patience = manager.page.looks._patience = 60.0
    return Browser(manager)


def put(
    destination: MemoryDestination, time: datetime, *, ending: str | None = "complete", size: int = 10
) -> str:
    """What an archive of that time looks like in a listing; its id."""
    id_ = backup_id(time, BOTH)
    destination.objects[f"shop/{id_}.zip"] = b"x" * size
    if ending is not None:
        destination.objects[f"shop/{id_}.{ending}.json"] = b"{}"
    return id_


def folder(tmp_path: Path, **files: bytes) -> Directory:
    """A folder of these files, as a source."""
    there = tmp_path / "app"
    there.mkdir(exist_ok=True)
    for name, content in files.items():
        (there / name).write_bytes(content)
    return Directory(there)
