"""A process that restores some of the files of a backup: it fetches, opens and writes them itself."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Container, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import TypeAlias

from backupkit._chunks import closing_iterator
from backupkit._processes import received, sendable
from backupkit.errors import OperationCancelledError
from backupkit.model import Contents, Entry, Problem
from backupkit.protocols import BackupReader
from backupkit.selection import Selection
from backupkit.targets import DirectoryTarget

_LARGE = 8 << 20  # bytes of a file that may take long
_TELL = 0.1  # seconds between two words of what has passed

Key: TypeAlias = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs for everything that it is given to do. Secret, as the reader is."""

    reader: BackupReader = field(repr=False)
    target: DirectoryTarget
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    only: Contents | None
    threads: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The files and symlinks from `start` to before `end`, in the order of their names; without those of `linked`.

    It does not matter whether the backup has them in this order: each is in exactly one of adjoining stretches.
    """

    start: Key
    end: Key | None
    linked: frozenset[str]

    def has(self, entry: Entry) -> bool:
        if not is_apart(entry, self.linked):
            return False
        key = key_of(entry.path)
        return self.start <= key and (self.end is None or key < self.end)

    def enters(self, folder: str) -> bool:
        """Whether some of it may be in this folder."""
        key = key_of(folder)
        if self.end is not None and key >= self.end:
            return False
        return key >= self.start or self.start[: len(key)] == key


@dataclass(frozen=True, slots=True)
class Ready:
    """The first word of a worker that could make something of its job."""


@dataclass(frozen=True, slots=True)
class Passed:
    """So many more entries and bytes are done, and what was wrong with some of them; `last` is said at the end.

    `lost` is what could not be read at all, which others may have met too.
    """

    entries: int
    read: int
    problems: tuple[Problem, ...]
    lost: tuple[Problem, ...]
    last: bool


def is_apart(entry: Entry, linked: Container[str]) -> bool:
    """Whether an entry can be restored without regard to any other: a file or symlink, and no hard link."""
    return entry.kind in ("file", "symlink") and entry.path not in linked


def key_of(path: str) -> Key:
    return tuple(path.encode("utf-8", "surrogateescape").split(b"/"))


class _Worker:
    def __init__(self, connection: Connection, parent: int, job: Job) -> None:
        self._connection = connection
        self._parent = parent
        self._job = job
        self._selection = Selection(include=job.include, exclude=job.exclude, only=job.only)
        self._stopped = threading.Event()
        self._told = time.monotonic()
        self._entries = self._read = 0
        self._lost: list[Problem] = []

    def work(self) -> None:
        stretches = _received(self._connection, self._parent, self._stopped)
        with ThreadPoolExecutor(self._job.threads) if self._job.threads else nullcontext() as executor:
            for stretch in stretches:
                entries = self._entries_of(stretch, executor)
                problems = (*self._job.target.write(self._watched(entries)),)
                self._tell(problems, last=True)

    def _entries_of(self, stretch: Stretch, executor: Executor | None) -> Iterator[Entry]:
        return self._job.reader.read_within(
            enters=lambda folder: stretch.enters(folder) and self._selection.enters(folder),
            wants=lambda entry: stretch.has(entry) and self._selection.means(entry),
            executor=executor,
            lost=self._lost.append,
        )

    def _watched(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """The entries, counted when they are done: wrapping small ones would cost as much as making them."""
        for entry in entries:
            self._check()
            yield entry if (entry.size or 0) < _LARGE else self._stoppable(entry)
            self._entries += 1
            self._read += entry.size or 0
            if time.monotonic() - self._told > _TELL:
                self._tell((), last=False)

    def _stoppable(self, entry: Entry) -> Entry:
        def passed(content: Iterator[bytes]) -> Iterator[bytes]:
            with closing_iterator(content) as chunks:
                for chunk in chunks:
                    self._check()
                    yield chunk

        reusing = entry.reusing
        return replace(
            entry,
            chunks=lambda: passed(entry.chunks()),
            reusing=None if reusing is None else lambda descriptor: passed(reusing(descriptor)),
            within=None,
        )

    def _check(self) -> None:
        if self._stopped.is_set():
            raise OperationCancelledError(
                "The process that this one restores for has ended or needs no more."
            )

    def _tell(self, problems: tuple[Problem, ...], *, last: bool) -> None:
        entries, read, self._entries, self._read = self._entries, self._read, 0, 0
        self._told = time.monotonic()
        lost, self._lost[:] = (*self._lost,), ()
        self._connection.send(Passed(entries, read, problems, lost, last))


def _received(connection: Connection, parent: int, stopped: threading.Event) -> Iterator[Stretch]:
    """What is sent; `stopped` as soon as nothing more can come."""
    arrived: list[Stretch | None] = []
    news = threading.Condition()

    def receive() -> None:
        item: Stretch | None = None
        try:
            while True:
                item = received(connection, parent)
                with news:
                    arrived.append(item)
                    news.notify()
        except (EOFError, OSError):
            stopped.set()
            with news:
                arrived.append(None)
                news.notify()

    threading.Thread(target=receive, daemon=True).start()
    while True:
        with news:
            news.wait_for(lambda: arrived)
            stretch = arrived.pop(0)
        if stretch is None:
            return
        yield stretch


def main(connection: Connection, parent: int) -> None:
    """Do what comes until nothing more can come."""
    gc.freeze()
    gc.set_threshold(100_000)  # little of what is made here refers to itself
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all; what is to be done then, the parent says
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, OperationCancelledError):
        try:
            job = pickle.loads(connection.recv_bytes())  # noqa: S301  # from our parent
            connection.send(Ready())
            _Worker(connection, parent, job).work()
        except (EOFError, BrokenPipeError, ConnectionResetError, OperationCancelledError):
            raise
        except Exception as error:
            connection.send(sendable(error))
            connection.recv_bytes()  # until the parent has heard it
    os._exit(0)  # without waiting for what may hang
