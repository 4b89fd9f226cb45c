"""SQLite databases, which are files: what can be asked of one as of a database on a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backupkit.databases.clients import State
from backupkit.databases.programs import ClientError
from backupkit.databases.urls import DatabaseURL

if TYPE_CHECKING:
    from sqlite3 import Connection


@dataclass(frozen=True, slots=True)
class SQLiteClient:
    """One database file, through the standard library."""

    url: DatabaseURL
    tools: Path | None = None

    @property
    def path(self) -> str:
        return self.url.database

    def state(self) -> State:
        try:
            return "filled" if os.stat(self.path).st_size else "empty"
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            raise ClientError(f"{self.path!r} cannot be looked at ({error.strerror}).") from error

    def create(self) -> None:
        """Nothing: the file comes into being whole, when its dump has been restored."""

    def drop(self) -> None:
        for path in (self.path, f"{self.path}-wal", f"{self.path}-shm", f"{self.path}-journal"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ClientError(f"{path!r} cannot be removed ({error.strerror}).") from error

    def count_rows(self) -> Mapping[str, int]:
        import sqlite3

        if self.state() == "missing":
            return {}
        try:
            with closing(
                sqlite3.connect(f"{Path(self.path).absolute().as_uri()}?mode=ro", uri=True)
            ) as connection:
                return rows_by_table(connection)
        except sqlite3.Error as error:
            raise ClientError(f"{self.path!r} cannot be read: {error}.") from error

    def databases(self) -> list[str]:
        return [self.path]


def rows_by_table(connection: Connection) -> dict[str, int]:
    """How many rows each table has, those behind virtual tables included, but not those of SQLite itself."""
    names = connection.execute(
        "SELECT name FROM main.sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY name"
    ).fetchall()
    return {name: _count(connection, name) for (name,) in names}


def _count(connection: Connection, table: str) -> int:
    quoted = '"' + table.replace('"', '""') + '"'
    (count,) = connection.execute(f"SELECT count(*) FROM main.{quoted}").fetchone()  # noqa: S608 - it is quoted
    return int(count)


def holders(path: str) -> str:
    """Which processes have a file open, for people; empty if none has, or if that cannot be known here."""
    try:
        wanted = os.stat(path)
        processes = [name for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return ""
    found = []
    for process in processes:
        try:
            descriptors = os.listdir(f"/proc/{process}/fd")
        except OSError:  # it is another user's, or has ended
            continue
        for descriptor in descriptors:
            link = f"/proc/{process}/fd/{descriptor}"
            with suppress(OSError):
                # By name first, because to look at a file on a server that is away would wait for that.
                if os.path.basename(os.readlink(link)) != os.path.basename(path):
                    continue
                status = os.stat(link)
                if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append("this process" if int(process) == os.getpid() else f"process {process}")
                    break
    return " and ".join(found[:5])
