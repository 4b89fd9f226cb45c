"""What the pipeline's tests share: a source that follows a script, a clock to set, a small disk to fill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest

from backupkit import (
    Backup,
    BackupPipeline,
    Backups,
    DestinationError,
    Entry,
    LocalDestination,
    Problem,
    SourceError,
)
from backupkit.model import Contents
from backupkit.protocols import Lease
from backupkit.testing.destinations import Fault

KiB, MiB = 1 << 10, 1 << 20

# What happens while an entry, or a list of entries, is read: bytes come, something is called, it fails.
Step: TypeAlias = bytes | BaseException | Callable[[], object]
Script: TypeAlias = Sequence[Step]


@dataclass
class Scripted:
    """A source of these files. `reads` names each content that was opened, `walks` counts the lists begun.

    A file is its content, or the scripts of its first, second, … reading; the last one repeats. A Problem
    or a step in place of a file happens between two of them, the first time.
    """

    name: str
    files: Mapping[str, bytes | Sequence[Script] | Problem | Exception | Callable[[], object]]
    contents: Contents = "files"
    reads: list[str] = field(default_factory=list)
    walks: int = 0

    def entries(self) -> Iterator[Entry | Problem]:
        self.walks += 1
        for path, file in self.files.items():
            if isinstance(file, bytes | Sequence):
                scripts = [[file]] if isinstance(file, bytes) else file
                yield Entry(path=path, mode=0o600, chunks=partial(self._read, path, scripts))
            elif self.walks == 1:
                if isinstance(file, Problem):
                    yield file
                elif isinstance(file, Exception):
                    raise file
                else:
                    file()

    def _read(self, path: str, scripts: Sequence[Script]) -> Iterator[bytes]:
        self.reads.append(path)
        for step in scripts[min(self.reads.count(path), len(scripts)) - 1]:
            if isinstance(step, bytes):
                yield step
            elif isinstance(step, BaseException):
                raise step
            else:
                step()


def flaky(path: str = "db-dumps/shop.sql") -> SourceError:
    """What a dump fails with that may succeed next time."""
    return SourceError(f"The dump {path} broke off.", path=path, retryable=True)


def down(*, retryable: bool) -> DestinationError:
    return DestinationError("The cable was cut.", location="memory:down", retryable=retryable)


def write_fault(
    does: BaseException | Callable[[], object],
    *,
    call: int | None = 1,
    after: int = 0,
    answer_lost: bool = False,
) -> Fault:
    """What goes wrong in a run's first write, that of the archive, or (2) in that of its summary."""
    return Fault(method="write", does=does, call=call, after=after, answer_lost=answer_lost)


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime = datetime(2026, 11, 23, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, *, days: float = 0, hours: float = 0) -> None:
        self.now += timedelta(days=days, hours=hours)


class NoLock:
    """Lets every run begin at once, so that tests in other processes cannot keep this one's waiting."""

    def hold(self, name: str, *, wait: timedelta) -> AbstractContextManager[Lease]:
        return nullcontext(self)

    def check(self) -> None:
        pass


class Make(Protocol):
    """Make a pipeline called "shop", not encrypted, that waits for nothing and locks in a folder of the test."""

    def __call__(self, sources: object, destinations: object, **options: object) -> BackupPipeline: ...


def names(folder: Path) -> list[str]:
    """All files below a folder, hidden and unfinished ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def kinds(folder: Path) -> list[str]:
    """The endings of the objects in a folder, which say what they are."""
    return [name.partition("Z")[2].partition(".")[2] for name in names(folder)]


def content(backups: Backups, backup: Backup | str = "latest", *, at: str | None = None) -> dict[str, bytes]:
    """Each file of a backup, read in full."""
    entries = backups.entries(backup, at=at)
    return {entry.path: b"".join(entry.chunks()) for entry in entries if entry.kind in ("file", "hardlink")}


def messages(problems: Sequence[Problem], severity: str | None = None) -> list[str]:
    return [one.message for one in problems if severity in (None, one.severity)]


def stored(folder: Path) -> LocalDestination:
    """A local destination in this folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return LocalDestination(folder)


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A file system in memory with these limits; skips the test where it cannot be mounted."""
    if sys.platform != "linux":
        pytest.skip("mounts a tmpfs, which only Linux has")
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here: that takes root and its capabilities")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def size_of(folder: Path) -> int:
    """The bytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
