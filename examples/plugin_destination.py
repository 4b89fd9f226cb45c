"""How do I keep backups in a place that backupkit does not know?

Write a destination: `location` and five methods that store named, immutable objects, each whole or not there.
Nothing is inherited or registered. Hold it to the contract with
`backupkit.testing.destinations.DestinationTests` (see tests/examples/test_plugins.py). This one keeps objects
in an SQLite database and lets transactions do the hard part: a write that fails, or whose process is killed, is
rolled back, so there is nothing to clean up.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import (
    BackupPipeline,
    DestinationError,
    Directory,
    ObjectExistsError,
    ObjectNotFoundError,
    Passphrase,
    StoredObject,
)
from backupkit.destinations.names import check_name
from backupkit.destinations.streams import closed_on_failure

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, size INTEGER, modified TEXT);
CREATE TABLE IF NOT EXISTS pieces (name TEXT, start INTEGER, data BLOB, PRIMARY KEY (name, start));
"""


class DatabaseDestination:
    """Objects in an SQLite database, which is made if it is missing. One write at a time; readers never wait."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)

    @property
    def location(self) -> str:
        return f"sqlite:{self.path}"  # safe to print: had it a password, it would not stand here

    def write(self, name: str, chunks: Iterable[bytes], *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream, self._connected(name) as database:
            check_name(name)
            with self._errors(name):
                database.execute("BEGIN IMMEDIATE")
                if overwrite:
                    database.execute("DELETE FROM objects WHERE name = ?", [name])
                    database.execute("DELETE FROM pieces WHERE name = ?", [name])
                elif _found(database, name):
                    raise ObjectExistsError(
                        f"The object {name!r} is at {self.location} already.",
                        location=self.location,
                        name=name,
                    )
            size = 0
            for chunk in filter(
                None, stream
            ):  # outside of _errors: what the chunks raise is not ours to translate
                with self._errors(name):
                    database.execute("INSERT INTO pieces VALUES (?, ?, ?)", [name, size, chunk])
                size += len(chunk)
            stored = StoredObject(name=name, size=size, modified=datetime.now(UTC))
            with self._errors(name):
                database.execute(
                    "INSERT INTO objects VALUES (?, ?, ?)", [name, size, stored.modified.isoformat()]
                )
                database.execute("COMMIT")  # only now does anybody see it
        return stored

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        end = self.stat(name).size if length is None else start + length
        with self._connected(name) as database, self._errors(name):
            pieces = database.execute(
                "SELECT start, data FROM pieces WHERE name = ? AND start < ? AND start + length(data) > ? "
                "ORDER BY start",
                [name, end, start],
            )
            for first, data in pieces:
                yield data[max(0, start - first) : end - first]

    def stat(self, name: str) -> StoredObject:
        check_name(name)
        with self._connected(name) as database, self._errors(name):
            found = _found(database, name)
        if found is None:
            raise ObjectNotFoundError(
                f"There is no object {name!r} at {self.location}.", location=self.location, name=name
            )
        return found

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        with self._connected() as database, self._errors():
            rows = database.execute(
                "SELECT name, size, modified FROM objects WHERE substr(name, 1, length(?)) = ? ORDER BY name",
                [prefix, prefix],
            ).fetchall()
        yield from map(_stored, rows)

    def delete(self, name: str) -> None:
        self.stat(name)
        with self._connected(name) as database, self._errors(name):
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM pieces WHERE name = ?", [name])
            database.execute("DELETE FROM objects WHERE name = ?", [name])
            database.execute("COMMIT")

    @contextmanager
    def _connected(self, name: str | None = None) -> Iterator[sqlite3.Connection]:
        """A connection for one call: nothing is shared by threads or survives a fork."""
        with self._errors(name):
            database = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        with closing(database):  # which rolls back what was not committed
            with self._errors(name):
                # Readers go on while a backup is written. This call alone waits for nobody: where the database is
                # locked, another connection sees to it at this very moment.
                with suppress(sqlite3.OperationalError):
                    database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            yield database

    @contextmanager
    def _errors(self, name: str | None = None) -> Iterator[None]:
        """Only the library's errors leave a destination. A full or locked database may be free later."""
        try:
            yield
        except sqlite3.Error as error:
            raise DestinationError(
                f"The database at {self.location} did not do as asked: {error}.",
                location=self.location,
                name=name,
                retryable=isinstance(error, sqlite3.OperationalError),
            ) from error


def _found(database: sqlite3.Connection, name: str) -> StoredObject | None:
    row = database.execute("SELECT name, size, modified FROM objects WHERE name = ?", [name]).fetchone()
    return None if row is None else _stored(row)


def _stored(row: tuple[str, int, str]) -> StoredObject:
    name, size, modified = row
    return StoredObject(name=name, size=size, modified=datetime.fromisoformat(modified))


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "orders.csv").write_text("1,apples\n2,pears\n")

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            DatabaseDestination(root / "backups.sqlite3"),
            encryptor=Passphrase("correct horse battery staple orbit"),
        )
        print(f"run: {pipeline.run().outcome}")
        print(f"verify: {pipeline.verify().outcome}")
        with closing(sqlite3.connect(root / "backups.sqlite3")) as database:
            for name, size in database.execute("SELECT name, size FROM objects ORDER BY name"):
                print(f"{size:5} bytes  {name}")
        pipeline.restore(to=root / "restored")
        print((root / "restored" / "shop" / "orders.csv").read_text(), end="")


if __name__ == "__main__":
    main()
