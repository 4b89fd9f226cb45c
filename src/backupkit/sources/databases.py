"""Choosing the source for a database by its URL, or by what a framework knows of it."""

from __future__ import annotations

from typing import Any

from backupkit.databases.urls import DatabaseURL, parse_database_url
from backupkit.protocols import Source


def database(url: str | DatabaseURL, **options: Any) -> Source:
    """The source for the database that a URL names: `PostgreSQL`, `MySQL`, `MariaDB`, `MongoDB`, `Redis`, `SQLite`.

    The URL may be one of SQLAlchemy's, with a driver, or a vendor's own; the options are those of the source.
    """
    parsed = parse_database_url(url)
    match parsed.engine:
        case "postgresql":
            from backupkit.sources.postgresql import PostgreSQL

            return PostgreSQL(parsed, **options)
        case "mysql":
            from backupkit.sources.mysql import MySQL

            return MySQL(parsed, **options)
        case "mariadb":
            from backupkit.sources.mysql import MariaDB

            return MariaDB(parsed, **options)
        case "mongodb":
            from backupkit.sources.mongodb import MongoDB

            return MongoDB(parsed, **options)
        case "redis":
            from backupkit.sources.redis import Redis

            return Redis(parsed, **options)
        case "sqlite":
            from backupkit.sources.sqlite import SQLite

            return SQLite(parsed.database, **options)
