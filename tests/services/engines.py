"""Each engine in the same shape, for the rules that hold for all of them."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis

from backupkit import MariaDB, PostgreSQL, Redis
from backupkit.protocols import Source
from tests.servers import Server

# Each with the program that dumps it, and those that it and its restore need besides.
PROGRAMS = {
    "postgresql plain": ("pg_dump", ("psql", "pg_restore")),
    "postgresql custom": ("pg_dump", ("psql", "pg_restore")),
    "mariadb": ("mariadb-dump", ("mariadb",)),
    "redis": ("redis-cli", ()),
}


@dataclass(frozen=True)
class Engine:
    """One engine: its running server, and how a database on it is backed up by this library."""

    name: str
    server: Server
    make: Callable[..., Source] = field(repr=False)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def program(self) -> str:
        return PROGRAMS[self.name][0]

    @property
    def programs(self) -> Sequence[str]:
        return (self.program, *PROGRAMS[self.name][1])

    def source(self, url: str, **options: Any) -> Source:
        return self.make(url, **self.options, **options)

    def fill(self, database: str) -> str:
        """Make a database of this name with something in it, and return its URL."""
        match self.name.split()[0]:
            case "postgresql":
                _postgresql(self.server, "postgres", f'CREATE DATABASE "{database}"')
                table = "CREATE TABLE items AS SELECT i, md5(i::text) AS v FROM generate_series(1, 2000) i"
                _postgresql(self.server, database, table)
            case "mariadb":
                table = "CREATE TABLE items AS SELECT seq, md5(seq) AS v FROM seq_1_to_2000"
                _mariadb(self.server, f"CREATE DATABASE `{database}`", f"USE `{database}`", table)
            case "redis":
                with _redis(self.server) as connection:
                    connection.flushall()
                    connection.mset({f"key:{number}": f"value {number}" for number in range(2000)})
        return self.server.url(database)

    def user(self, name: str, password: str, database: str) -> str:
        """Make a user who may do everything, and return the database's URL for that one."""
        match self.name.split()[0]:
            case "postgresql":
                quoted = "'" + password.replace("'", "''") + "'"
                _postgresql(self.server, "postgres", f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD {quoted}")
            case "mariadb":
                quoted = "'" + password.replace("\\", "\\\\").replace("'", "\\'") + "'"
                create = f"CREATE USER {name}@'%' IDENTIFIED BY {quoted}"
                _mariadb(self.server, create, f"GRANT ALL ON *.* TO {name}@'%'")
            case "redis":
                with _redis(self.server) as connection:
                    connection.execute_command(
                        "ACL", "SETUSER", name, "on", f">{password}", "~*", "&*", "+@all"
                    )
        return self.server.url(database, user=name, password=password)


def engine_named(name: str, request: pytest.FixtureRequest) -> Engine:
    kind, _, form = name.partition(" ")
    server: Server = request.getfixturevalue(f"{kind}_server")
    match kind:
        case "postgresql":
            return Engine(name, server, PostgreSQL, {"form": form})
        case "mariadb":
            return Engine(name, server, MariaDB)
        case _:
            return Engine(name, server, Redis)


def stand_ins(folder: Path, programs: Sequence[str], script: str, *, named: str | None = None) -> Path:
    """A folder of programs: each is a Python script, or if another one is `named`, the real one.

    In the script, REAL is the path of the real program.
    """
    folder.mkdir()
    for program in programs:
        real = shutil.which(program)
        assert real is not None, program
        path = folder / program
        if named is not None and program != named:
            path.symlink_to(real)
            continue
        path.write_text(f"#!{sys.executable}\nREAL = {real!r}\n{script}", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def _postgresql(server: Server, database: str, statement: str) -> None:
    conninfo = psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, dbname=database
    )
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


def _mariadb(server: Server, *statements: str) -> None:
    with (
        pymysql.connect(
            host="127.0.0.1", port=server.port, user=server.user, password=server.password, autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)


def _redis(server: Server) -> redis.Redis:
    return redis.Redis(host="127.0.0.1", port=server.port, password=server.password)
