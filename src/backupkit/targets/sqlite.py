"""Restoring an SQLite database: made whole beside its place, checked, and only then put there."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from backupkit._chunks import begun
from backupkit.databases.clients import DatabaseClient
from backupkit.databases.programs import ClientError, too_slow
from backupkit.databases.sqlite import SQLiteClient, holders
from backupkit.targets._sqlite_script import run_script
from backupkit.targets.database import Loading

if TYPE_CHECKING:
    from sqlite3 import Connection

_MAGIC = b"SQLite format 3\0"
_SIDE_FILES = ("-wal", "-shm", "-journal")
_BETWEEN_LOOKS = 100_000  # instructions of SQLite's machine between two looks at the clock


def load_sqlite(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Make the database out of its pages or of SQL text, whichever the dump is, and put it in its place.

    What was there stays until the new one is whole and has passed SQLite's own check; it gives way in one
    step, unless somebody has it open: they would go on writing to a file that nobody sees any more.
    """
    assert isinstance(client, SQLiteClient)  # noqa: S101 - the loader is chosen by the client's engine
    place = os.path.realpath(client.path)
    with _beside(place) as partial:
        head, chunks = begun(chunks, len(_MAGIC))
        deadline = loading.limits.deadline()
        if head == _MAGIC:
            _write(partial, chunks, deadline)
        else:
            with _connected(partial, deadline) as connection:
                run_script(connection, chunks)
        _check(partial, deadline)
        with _file_errors(place):
            _replace(place, partial)


@contextmanager
def _file_errors(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ClientError(
            f"{place!r} cannot be written ({error.strerror or error}): is there such a folder, is there room, and "
            "may this user write there?"
        ) from error


@contextmanager
def _beside(place: str) -> Iterator[str]:
    """The path of a new file, for its owner only, in the same folder; if it is still there at the end, it goes."""
    folder, name = os.path.split(place)
    partial = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.partial")
    with _file_errors(place):
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield partial
    finally:
        for path in (partial, *(partial + suffix for suffix in _SIDE_FILES)):
            with suppress(OSError):
                os.unlink(path)


def _write(partial: str, chunks: Iterable[bytes], deadline: float | None) -> None:
    with open(partial, "wb", buffering=0) as file:
        for chunk in chunks:
            with _file_errors(partial):
                left = memoryview(chunk)
                while left:
                    left = left[file.write(left) :]
            if deadline is not None and time.monotonic() > deadline:
                raise too_slow()


@contextmanager
def _connected(path: str, deadline: float | None, *, read_only: bool = False) -> Iterator[Connection]:
    """A connection to a file that nobody else knows of yet: without a journal, and without waiting for the disk."""
    import sqlite3
    from urllib.parse import quote

    uri = f"file:{quote(os.fsencode(path))}?{'mode=ro&immutable=1' if read_only else 'mode=rw'}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=0)) as connection:
        if deadline is not None:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _BETWEEN_LOOKS)
        connection.execute("PRAGMA trusted_schema=OFF")
        if not read_only:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise too_slow() from error
            raise


def _check(partial: str, deadline: float | None) -> None:
    """ClientError unless SQLite finds nothing wrong with the structure of the whole file."""
    import sqlite3

    try:
        with _connected(partial, deadline, read_only=True) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.Error as error:
        found = [str(error)]
    if found != ["ok"]:
        raise ClientError(
            f"what the dump makes is not a whole database ({'; '.join(found)[:300]}): restore another backup."
        )


def _replace(place: str, partial: str) -> None:
    """Put the finished file in its place, with the mode and owner of the one that was there."""
    descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            there = os.stat(place)
            if os.geteuid() == 0:
                os.fchown(descriptor, there.st_uid, there.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with _nobody_has_open(place):
        os.rename(partial, place)


@contextmanager
def _nobody_has_open(place: str) -> Iterator[None]:
    """For as long as the context lasts the database at this place is ours alone, and all of it is in its file.

    Its write-ahead log goes into it and away before it is replaced: left behind, the log would be applied to the
    new file; taken away alone, a crash right then would lose what was in it.
    """
    import sqlite3
    from urllib.parse import quote

    try:
        size = os.stat(place).st_size
    except FileNotFoundError:
        size = 0
    if size and (found := holders(place)):
        raise ClientError(f"{place!r} is open in {found}: end that, and restore again.")
    if size:
        uri = f"file:{quote(os.fsencode(place))}?mode=rw"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode=DELETE")
                connection.execute("BEGIN EXCLUSIVE")
                yield
                return
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
                raise ClientError(
                    f"{place!r} is in use by another program: end that, and restore again.", retryable=True
                ) from error
            if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise ClientError(f"{place!r} cannot be replaced: {error}.") from error
    # There is none, or none that SQLite can still read: whatever lies beside it belongs to nothing.
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            os.unlink(place + suffix)
    yield


def check_file(path: str) -> None:
    """ClientError unless a restore would take this file, whose pages are a whole database to SQLite."""
    _check(path, None)
