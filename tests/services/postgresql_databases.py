"""Databases on a PostgreSQL server for tests, and what tells whether two of them are the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from backupkit.databases.postgresql import PostgreSQLClient
from backupkit.databases.urls import parse_database_url
from backupkit.model import Entry
from backupkit.protocols import Source
from tests.servers import Server

_numbers = itertools.count(1)

EVERYTHING = (Path(__file__).parent / "postgresql_everything.sql").read_text(encoding="utf-8")


def connected(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


def client(url: str) -> PostgreSQLClient:
    return PostgreSQLClient(parse_database_url(url))


@contextmanager
def database(server: Server, sql: str = "", *, encoding: str = "UTF8") -> Iterator[str]:
    """The URL of a new database with what the statements make in it; dropped afterwards."""
    with name_of_none(server) as url:
        with connected(server.url("postgres")) as connection:
            connection.execute(
                f'CREATE DATABASE "{parse_database_url(url).database}" TEMPLATE template0 '
                f"ENCODING '{encoding}'".encode()
            )
        if sql:
            with connected(url) as connection:
                connection.execute("SET client_encoding TO 'UTF8'")
                connection.execute(sql.encode())
        yield url


@contextmanager
def name_of_none(server: Server) -> Iterator[str]:
    """The URL of a database that is not there yet; dropped afterwards if it is by then."""
    url = server.url(f"test {next(_numbers)}")
    try:
        yield url
    finally:
        with connected(server.url("postgres")) as connection:
            name = parse_database_url(url).database
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def content(source: Source) -> bytes:
    (entry,) = source.entries()
    assert isinstance(entry, Entry)
    return b"".join(entry.chunks())


def as_entry(content: bytes, path: str = "db-dumps/postgresql-shop.sql") -> Entry:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    return Entry(path=path, mode=0o600, chunks=chunks)


def state(url: str) -> dict[str, str]:
    """A checksum of each table and large object, where each sequence stands, and the whole schema as text."""
    from backupkit.sources.postgresql import PostgreSQL

    found: dict[str, str] = {}
    with connected(url) as connection:
        for schema, table in connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall():
            name = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
            checksum = f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM ONLY {name} t"  # noqa: S608
            found[name] = str(connection.execute(checksum.encode()).fetchone())
        for row in connection.execute("SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1"):
            found[f"large object {row[0]}"] = row[1]
        for row in connection.execute("SELECT schemaname, sequencename, last_value FROM pg_sequences"):
            found[f"sequence {row[0]}.{row[1]}"] = str(row[2])
    schema_text = content(PostgreSQL(url, content="schema", name="x")).decode()
    found["schema"] = re.sub(r"\\(un)?restrict \w+", "", schema_text)
    return found
