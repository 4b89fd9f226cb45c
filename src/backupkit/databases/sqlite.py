"""SQLite databases, which are files: what can be asked of one as of a database on a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
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
                names = connection.execute(
                    "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                    "ORDER BY name"
                ).fetchall()
                return {name: _count(connection, name) for (name,) in names}
        except sqlite3.Error as error:
            raise ClientError(f"{self.path!r} cannot be read: {error}.") from error

    def databases(self) -> list[str]:
        return [self.path]


def _count(connection: Connection, table: str) -> int:
    quoted = '"' + table.replace('"', '""') + '"'
    (count,) = connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()  # noqa: S608 - it is quoted
    return int(count)
