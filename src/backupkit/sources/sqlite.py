"""An SQLite database as one entry: a page-exact snapshot, or SQL text."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from backupkit._chunks import rechunk
from backupkit.databases.sqlite import rows_by_table
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import DUMPS, Contents, Entry, Finding
from backupkit.sizes import format_size
from backupkit.sources._examining import tried
from backupkit.sources._names import check_component

if TYPE_CHECKING:
    from sqlite3 import Connection, Error

Form: TypeAlias = Literal["pages", "sql"]

_EXTENSIONS = {"pages": "sqlite3", "sql": "sql"}
_CHUNK = 1 << 20
# Between two steps of a copy Python looks for signals, so that Ctrl-C need not wait for all of it.
_PAGES_PER_STEP = 4096


@dataclass(frozen=True, slots=True, init=False)
class SQLite:
    """A consistent state of one SQLite database, while other connections write to it.

    The state is the one at the moment the entry's chunks are first pulled; reading them again takes a new
    one. The entry is `db-dumps/sqlite-<name>.<ext>`, where `name` is the stem of the file unless given.

    `form="pages"` (`.sqlite3`) copies page by page: restored, it is the database file itself, in the same
    journal mode, with the same rowids and indexes. SQLite can only make that copy into a file, so this is
    the one place in the library where the data is copied to a disk on the way: a file in `scratch` (by
    default the system's folder for temporary files) that only its owner may read, and that has no name
    any more when the first byte is written to it, so that nothing remains however the process ends. The
    folder needs as much space as the database has; the database is free for writers as soon as the copy
    is made, before anything is sent anywhere.

    `form="sql"` (`.sql`) streams a script that makes an equal database, and needs no space. It reads
    inside one transaction from first byte to last: for as long as the destination takes, a database in
    rollback mode cannot be written, and the WAL of one in WAL mode keeps growing. It is for UTF-8 databases.

    `count_rows` records how many rows each table of the state has, for drills to compare; whatever holds back
    the writers does so for as long as that takes, too.

    `time_limit` is how long a lock of another connection is waited for; None is for ever. A database that
    stays locked is a SourceError that is `retryable`. One that is missing, empty or no database is a
    SourceError from `entries()`, and nothing is created in its place.
    """

    path: Path
    name: str
    form: Form
    time_limit: timedelta | None
    scratch: Path | None
    count_rows: bool

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        form: Form = "pages",
        time_limit: timedelta | None = timedelta(seconds=60),
        scratch: str | os.PathLike[str] | None = None,
        count_rows: bool = False,
    ) -> None:
        if form not in _EXTENSIONS:
            raise ConfigurationError(f'SQLite has no form {form!r}: use "pages" or "sql".')
        if time_limit is not None and time_limit < timedelta(0):
            raise ConfigurationError(
                "SQLite cannot wait for a negative time: give a time_limit of zero or more."
            )
        base = check_component(
            Path(path).stem if name is None else name, of=f"The dump of {os.fspath(path)!r}"
        )
        set_once = object.__setattr__
        set_once(self, "path", Path(path))
        set_once(self, "name", f"sqlite-{base}.{_EXTENSIONS[form]}")
        set_once(self, "form", form)
        set_once(self, "time_limit", time_limit)
        set_once(self, "scratch", None if scratch is None else Path(scratch))
        set_once(self, "count_rows", count_rows)

    @property
    def contents(self) -> Contents:
        return "databases"

    @property
    def _entry_path(self) -> str:
        return f"{DUMPS}/{self.name}"

    def database_of(self, path: str) -> DatabaseURL | None:
        if path != self._entry_path:
            return None
        return DatabaseURL(engine="sqlite", scheme="sqlite", database=os.path.abspath(self.path))

    def examine(self) -> Iterator[Finding]:
        """Whether it is a database that this user can read, and whether there is room for the scratch copy."""

        def ask() -> str:
            try:
                with self._reading(wait=timedelta(0)):
                    return "can be read"
            except SourceError as error:
                if not error.retryable:
                    raise
                return "is there, and locked just now by another connection"

        found = yield from tried(
            "database", ask, lambda what: f"The SQLite database {str(self.path)!r} {what}."
        )
        if found is not None and self.form == "pages":
            yield self._room()

    def _room(self) -> Finding:
        import shutil
        import tempfile

        folder = str(self.scratch or tempfile.gettempdir())
        advice = "Give scratch= a folder of this user's with as much space as the database has."
        size = self._stat().st_size
        try:
            free = shutil.disk_usage(folder).free if os.access(folder, os.W_OK | os.X_OK) else -1
        except OSError:
            free = -1
        if free < 0:
            message = (
                f"The folder {folder!r} for the scratch copy is not there, or this user may not write there."
            )
        elif free < size:
            message = (
                f"The scratch copy takes {format_size(size)}, and {folder!r} has {format_size(free)} left."
            )
        else:
            message = f"There is room for the scratch copy in {folder!r}."
            return Finding(step="scratch copy", verdict="ok", message=message)
        return Finding(step="scratch copy", verdict="not ok", message=message, advice=advice)

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry, after a look at whether there is a database; a lock is not waited for yet."""
        try:
            with self._reading(wait=timedelta(0)):
                pass
        except SourceError as error:
            if not error.retryable:
                raise
        rows: dict[str, int] = {}
        yield Entry(
            path=self._entry_path,
            modified_ns=self._stat().st_mtime_ns,
            mode=0o600,
            chunks=partial(self._pages if self.form == "pages" else self._text, rows),
            rows=rows,
        )

    def _pages(self, rows: dict[str, int]) -> Iterator[bytes]:
        scratch, copy = self._nameless()
        try:
            with closing(copy), self._reading(wait=self.time_limit) as connection:
                copy.execute("PRAGMA journal_mode=OFF")  # a journal would be a second file, with a name
                copy.execute("PRAGMA synchronous=OFF")
                # Not in the copy: one in WAL mode would get side files, with names, before it can be read.
                self._count(connection, rows)
                connection.backup(copy, pages=_PAGES_PER_STEP, progress=_never_wait)
            position = 0
            while chunk := os.pread(scratch, _CHUNK, position):
                yield chunk
                position += len(chunk)
        finally:
            os.close(scratch)

    def _text(self, rows: dict[str, int]) -> Iterator[bytes]:
        from backupkit.sources._sqlite_text import dump

        with self._reading(wait=self.time_limit) as connection:
            (encoding,) = connection.execute("PRAGMA main.encoding").fetchone()
            if encoding != "UTF-8":
                raise self._error(f'holds {encoding} text, not UTF-8: use form="pages".')
            self._count(connection, rows)
            try:
                yield from rechunk(dump(connection), _CHUNK)
            except UnicodeDecodeError as error:
                raise self._error('has a name in its schema that is not UTF-8: use form="pages".') from error
            except OverflowError as error:
                raise self._error(f'cannot be restored from SQL, {error}: use form="pages".') from error

    def _count(self, connection: Connection, rows: dict[str, int]) -> None:
        import sqlite3

        rows.clear()
        if not self.count_rows:
            return
        try:
            rows.update(rows_by_table(connection))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR:
                raise
            raise self._error(
                f"has a table whose rows cannot be counted ({error}): leave count_rows out."
            ) from error

    def _nameless(self) -> tuple[int, Connection]:
        """Open an empty scratch file twice, for us and for SQLite, and take its name away."""
        import sqlite3
        import tempfile

        try:
            scratch, name = tempfile.mkstemp(prefix="backupkit-", dir=self.scratch)
        except OSError as error:
            raise self._error(
                f"needs a scratch copy, and none can be made in {self.scratch or tempfile.gettempdir()} "
                f"({error.strerror}): give scratch= a folder that can be written."
            ) from error
        try:
            return scratch, sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            os.close(scratch)
            raise self._explain(error) from error
        finally:
            os.unlink(name)

    @contextmanager
    def _reading(self, *, wait: timedelta | None) -> Iterator[Connection]:
        """Connect and hold a read transaction: from here on the database stands still for us.

        The file is never opened but by SQLite: closing another descriptor of it would drop the locks
        that the application's own connections in this process hold (POSIX locks belong to processes).
        """
        import sqlite3
        import stat
        from urllib.parse import quote

        if not stat.S_ISREG(self._stat().st_mode):
            raise self._error("is not a file: give the path of the database.")
        # mode=rw creates nothing either, and reads what this user may only read. But mode=ro could not
        # roll back what a crashed program left, and would leave behind the -wal and -shm files it needs.
        uri = f"file:{quote(os.fsencode(os.path.abspath(self.path)))}?mode=rw"
        try:
            with closing(
                sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
            ) as connection:
                connection.execute("BEGIN")
                if not _pages_when_free(connection, wait):
                    raise self._error("is empty or no database: give the path of one.")
                yield connection
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _stat(self) -> os.stat_result:
        try:
            return os.stat(self.path)
        except OSError as error:
            raise self._error(
                f"cannot be found ({error.strerror}): give the path of an existing database."
            ) from error

    def _explain(self, error: Error) -> SourceError:
        import sqlite3

        match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the rest of the number is detail
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
                return self._error(
                    f"stayed locked by other connections (time_limit={self.time_limit}): "
                    "find out what holds the lock, or wait longer for it.",
                    retryable=True,
                )
            case sqlite3.SQLITE_NOTADB:
                return self._error("is not an SQLite database, or is encrypted: give the path of one.")
            case sqlite3.SQLITE_CORRUPT:
                return self._error("is damaged: run PRAGMA integrity_check, or restore an older backup.")
            case sqlite3.SQLITE_FULL:
                return self._error("has no room for its scratch copy: give scratch= a larger folder.")
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return self._error(
                    f"cannot be read by this user ({error}): in WAL mode, and after a crash, SQLite has to "
                    "write beside the file in order to read it; back up as the user who owns it."
                )
            case code:
                return self._error(f"could not be read: {error}.", retryable=code == sqlite3.SQLITE_IOERR)

    def _error(self, what: str, *, retryable: bool = False) -> SourceError:
        return SourceError(
            f"The SQLite database {str(self.path)!r} {what}", path=self._entry_path, retryable=retryable
        )


def _pages_when_free(connection: Connection, wait: timedelta | None) -> int:
    """Take the lock for reading as soon as no writer is in the way, and count the pages.

    SQLite's own waiting soon tries only ten times a second, which a busy writer in rollback mode can go
    on refusing for minutes, and it does not answer to Ctrl-C.
    """
    import sqlite3

    end = None if wait is None else time.monotonic() + wait.total_seconds()
    while True:
        try:
            connection.execute("SELECT count(*) FROM main.sqlite_master").fetchone()
            (pages,) = connection.execute("PRAGMA main.page_count").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _locked() or (
                end is not None and time.monotonic() >= end
            ):
                raise
            time.sleep(0.005)
        else:
            return int(pages)


def _locked() -> tuple[int, ...]:
    import sqlite3

    return sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL


def _never_wait(status: int, remaining: int, total: int) -> None:
    """Raise where `Connection.backup` would try again without end; with the lock held, nothing should."""
    import sqlite3

    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        error = sqlite3.OperationalError("the scratch copy is locked")
        error.sqlite_errorcode = status
        raise error
