"""What can be asked of a database server whichever engine it runs, for restoring into it and drilling on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from backupkit.databases.urls import DatabaseURL

State: TypeAlias = Literal["missing", "empty", "filled"]


class DatabaseClient(Protocol):
    """One database on a server, through the vendor's client; each call connects anew.

    Every method raises ClientError, with one sentence that says what to do.
    """

    @property
    def url(self) -> DatabaseURL: ...

    def state(self) -> State:
        """Whether the database is there, and whether there is anything in it that a restore could meet."""
        ...

    def create(self) -> None:
        """Create the database, empty; an error if there is one of this name."""
        ...

    def drop(self) -> None:
        """Drop the database with all that is in it; no error if there is none."""
        ...

    def count_rows(self) -> Mapping[str, int]:
        """Rows of each table (documents of each collection), by the names that dumps record them under."""
        ...

    def databases(self) -> list[str]:
        """The names of all databases of the server that belong to users, sorted."""
        ...


def checked(url: DatabaseURL) -> DatabaseURL:
    """The URL, if all that it asks for will be heeded; ConfigurationError otherwise."""
    match url.engine:
        case "postgresql":
            from backupkit.databases.postgresql import check_url
        case "mysql" | "mariadb":
            from backupkit.databases.mysql_options import check_url
        case "mongodb":
            from backupkit.databases.mongodb import check_url
        case "redis":
            from backupkit.databases.redis import check_url
        case "sqlite":
            return url
    return check_url(url)


def client_of(url: DatabaseURL, *, tools: Path | None = None) -> DatabaseClient:
    """The client for the engine that the URL names; `tools` is the folder of the vendor's programs."""
    match url.engine:
        case "postgresql":
            from backupkit.databases.postgresql import PostgreSQLClient

            return PostgreSQLClient(url, tools)
        case "mysql" | "mariadb":
            from backupkit.databases.mysql import MySQLClient

            return MySQLClient(url, tools)
        case "mongodb":
            from backupkit.databases.mongodb import MongoDBClient

            return MongoDBClient(url, tools)
        case "redis":
            from backupkit.databases.redis import RedisClient

            return RedisClient(url, tools)
        case "sqlite":
            from backupkit.databases.sqlite import SQLiteClient

            return SQLiteClient(url, tools)
