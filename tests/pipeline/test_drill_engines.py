"""Drills of the other engines: SQLite as a script, MariaDB beside the original, Redis on a server of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import psycopg
import pymysql
import pytest
import redis

from backupkit import ConfigurationError, Directory, RestoreError, SQLite
from backupkit.events import BytesRead, Event
from backupkit.model import Restored
from backupkit.sources.mysql import MariaDB
from backupkit.sources.postgresql import Form, PostgreSQL
from backupkit.sources.redis import Redis
from backupkit.testing.destinations import MemoryDestination
from tests import servers
from tests.pipeline.shop import Make
from tests.servers import Server


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Paths of sockets are limited to some hundred characters, which pytest's folders exceed."""
    with tempfile.TemporaryDirectory(prefix="bk-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_script_of_sqlite_becomes_a_database_again(make: Make, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO orders DEFAULT VALUES")
        connection.commit()
    pipeline = make(SQLite(tmp_path / "shop.sqlite3", form="sql"), MemoryDestination())
    pipeline.run()

    def has_an_order(restored: Restored) -> None:
        path = restored.databases["shop"].removeprefix("sqlite:///")
        assert path != str(tmp_path / "shop.sqlite3")
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)

    report = pipeline.drill(scratch=tmp_path, assertions=[has_an_order])
    assert (report.outcome, report.problems, len(report.dumps)) == ("succeeded", (), 1)
    assert list(tmp_path.glob("backupkit*")) == []


@pytest.mark.parametrize("form", ["pages", "sql"])
def test_rows_that_sqlite_counted_are_compared(
    make: Make, tmp_path: Path, form: Literal["pages", "sql"]
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite3", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
        connection.execute("INSERT INTO notes VALUES('one')")
        connection.execute("INSERT INTO orders DEFAULT VALUES")
    pipeline = make(SQLite(tmp_path / "shop.sqlite3", form=form, count_rows=True), MemoryDestination())
    pipeline.run()
    (entry,) = pipeline.entries("latest")
    assert entry.rows["orders"] == 1
    report = pipeline.drill(scratch=tmp_path, compare_rows=True)
    assert (report.outcome, report.problems) == ("succeeded", ())


@pytest.mark.services
@pytest.mark.parametrize("form", ["plain", "custom"])
def test_rows_that_postgresql_counted_itself_are_compared(
    make: Make, postgresql_server: Server, tmp_path: Path, form: Form
) -> None:
    with psycopg.connect(postgresql_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE drill_me")
        try:
            with psycopg.connect(postgresql_server.url("drill_me")) as inside:
                inside.execute('CREATE TABLE "Orders" AS SELECT generate_series(1, 100) AS id')
                inside.execute("CREATE TABLE nothing (id integer)")
            source = PostgreSQL(postgresql_server.url("drill_me"), form=form, count_rows=True)
            pipeline = make(source, MemoryDestination())
            pipeline.run()
            report = pipeline.drill(scratch=tmp_path, compare_rows=True)
            assert (report.outcome, report.problems) == ("succeeded", ())
        finally:
            connection.execute("DROP DATABASE drill_me WITH (FORCE)")


@pytest.mark.services
def test_mariadb_is_rehearsed_beside_the_original(make: Make, mariadb_server: Server, tmp_path: Path) -> None:
    def names() -> set[str]:
        with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            return {name for (name,) in cursor.fetchall()}

    before = names()
    with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE drill_me")
        cursor.execute("CREATE TABLE drill_me.orders (id integer PRIMARY KEY)")
        cursor.execute("INSERT INTO drill_me.orders VALUES (1), (2)")
        connection.commit()
    try:
        pipeline = make(MariaDB(mariadb_server.url("drill_me"), count_rows=True), MemoryDestination())
        pipeline.run()
        seen: list[set[str]] = []
        report = pipeline.drill(
            scratch=tmp_path, compare_rows=True, assertions=[lambda _: seen.append(names())]
        )
        assert (report.outcome, report.problems) == ("succeeded", ())
        (made,) = seen[0] - before - {"drill_me"}
        assert made.startswith("backupkit_drill_")
        assert names() == before | {"drill_me"}
    finally:
        with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
            cursor.execute("DROP DATABASE drill_me")


@pytest.mark.services
def test_a_mariadb_server_without_room_says_nothing_about_the_backup(
    make: Make, mariadb_server: Server, tmp_path: Path
) -> None:
    with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE drill_me")
        cursor.execute("CREATE TABLE drill_me.t (id integer PRIMARY KEY AUTO_INCREMENT, b longblob)")
        cursor.executemany("INSERT INTO drill_me.t (b) VALUES (%s)", [("x" * 1_000_000,)] * 20)
        connection.commit()
    pipeline = make(MariaDB(mariadb_server.url("drill_me")), MemoryDestination())
    pipeline.run()
    small = ["skip-innodb-file-per-table", "innodb-data-file-path=ibdata1:12M:autoextend:max:16M"]
    with (
        servers.mariadb(settings=small) as full,
        pytest.raises(RestoreError, match="no room left for the data"),
    ):
        pipeline.drill(scratch=tmp_path, databases={"drill_me": full.url()})
    backup = pipeline.get()
    assert (backup.proven, backup.refuted) == (None, False)
    with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE drill_me")


@pytest.mark.services
def test_events_do_not_run_in_the_scratch_database(
    make: Make, mariadb_server: Server, tmp_path: Path
) -> None:
    def ask(sql: str) -> list[tuple[object, ...]]:
        with closing(_mariadb(mariadb_server)) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            connection.commit()
            return list(cursor.fetchall())

    def is_quiet(_: Restored) -> None:
        (before,) = ask("SELECT count(*) FROM drill_me.audit")
        (after,) = before
        while after < before[0] + 3:  # type: ignore[operator] # the original's own event runs on, every second
            ((after,),) = ask("SELECT count(*) FROM drill_me.audit")

    ask("CREATE DATABASE drill_me")
    try:
        ask("CREATE TABLE drill_me.audit (db varchar(80))")
        ask("CREATE PROCEDURE drill_me.tick(db varchar(80)) INSERT INTO drill_me.audit VALUES (db)")
        for number in range(2):
            ask(
                f"CREATE EVENT drill_me.`tick{number}` "
                "ON SCHEDULE EVERY 1 SECOND COMMENT 'it''s; ENABLE' DO CALL drill_me.tick(database())"
            )
        ask("SET GLOBAL event_scheduler=ON")
        pipeline = make(MariaDB(mariadb_server.url("drill_me")), MemoryDestination())
        pipeline.run()
        states: list[object] = []
        report = pipeline.drill(
            scratch=tmp_path,
            assertions=[
                is_quiet,
                lambda _: states.extend(
                    ask(
                        "SELECT event_name, status, event_comment FROM information_schema.events "
                        "WHERE event_schema LIKE 'backupkit%' ORDER BY 1"
                    )
                ),
            ],
        )
        assert (report.outcome, report.problems) == ("succeeded", ())
        assert states == [
            ("tick0", "DISABLED", "it's; ENABLE"),
            ("tick1", "DISABLED", "it's; ENABLE"),
        ]
        assert ask("SELECT DISTINCT db FROM drill_me.audit") == [("drill_me",)]
    finally:
        ask("SET GLOBAL event_scheduler=OFF")
        ask("DROP DATABASE drill_me")


@pytest.mark.services
def test_redis_is_rehearsed_on_a_server_of_the_drill_s_own(
    make: Make, redis_server: Server, short_folder: Path
) -> None:
    original = redis.Redis(port=redis_server.port, password=redis_server.password)
    original.flushall()
    original.set("apple", "red")
    pipeline = make(Redis(redis_server.url(), name="cache", count_rows=True), MemoryDestination())
    pipeline.run()
    original.set("apple", "green")
    seen: list[object] = []

    sockets: list[Path] = []

    def look(restored: Restored) -> None:
        sockets.extend(short_folder.glob("*/*/server.sock"))
        with redis.Redis(unix_socket_path=str(sockets[0])) as connection:
            seen.append(connection.get("apple"))
            seen.append(connection.info("replication")["role"])
        with redis.from_url(restored.databases["cache"]) as told:
            seen.append(told.get("apple"))

    report = pipeline.drill(scratch=short_folder, assertions=[look], compare_rows=True)
    assert (report.outcome, report.problems, seen) == ("succeeded", (), [b"red", "master", b"red"])
    assert list(short_folder.iterdir()) == []
    with pytest.raises(redis.ConnectionError):
        redis.Redis(unix_socket_path=str(sockets[0])).ping()
    assert original.get("apple") == b"green"
    original.flushall()
    original.close()


@pytest.mark.services
def test_a_drill_that_is_killed_takes_its_redis_server_with_it(
    redis_server: Server, short_folder: Path
) -> None:
    place = short_folder / "place"
    place.mkdir()
    script = f"""
import os
from backupkit import BackupPipeline, Redis
pipeline = BackupPipeline("shop", Redis({redis_server.url()!r}), {os.fspath(place)!r}, encryptor=None)
pipeline.run()
pipeline.drill(scratch={os.fspath(short_folder)!r}, assertions=[lambda _: os.kill(os.getpid(), 9)])
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    (socket,) = short_folder.glob("*/*/server.sock")
    end = time.monotonic() + 60
    with pytest.raises(redis.ConnectionError):  # noqa: PT012 - until then it may still answer
        while time.monotonic() < end:
            with redis.Redis(unix_socket_path=str(socket)) as connection:
                connection.ping()


@pytest.mark.services
def test_without_a_redis_server_to_start_its_dump_stays_a_file_and_a_warning_says_so(
    make: Make, redis_server: Server, short_folder: Path
) -> None:
    tools = short_folder / "tools"
    tools.mkdir()
    (tools / "redis-cli").symlink_to(shutil.which("redis-cli") or "")
    pipeline = make(Redis(redis_server.url(), name="cache", tools=tools), MemoryDestination())
    pipeline.run()
    warning, unproven = pipeline.drill(scratch=short_folder).problems
    assert (warning.severity, unproven.severity) == ("warning", "warning")
    assert "no redis-server is installed here" in warning.message
    assert "does not count as proven" in unproven.message
    assert pipeline.get().proven is None


@pytest.mark.services
def test_a_redis_server_that_was_named_for_it_has_to_be_empty(
    make: Make, redis_server: Server, tmp_path: Path
) -> None:
    original = redis.Redis(port=redis_server.port, password=redis_server.password)
    original.flushall()
    original.set("apple", "red")
    pipeline = make(Redis(redis_server.url(), name="cache"), MemoryDestination())
    pipeline.run()
    with pytest.raises(ConfigurationError, match="would be restored over redis://"):
        pipeline.drill(scratch=tmp_path, databases={"cache": redis_server.url("1")})
    with servers.redis() as other:
        connection = redis.Redis(port=other.port, password=other.password)
        seen: list[object] = []
        report = pipeline.drill(
            scratch=tmp_path,
            databases={"cache": other.url()},
            assertions=[lambda _: seen.append(connection.get("apple"))],
        )
        assert (report.outcome, report.problems, seen) == ("succeeded", (), [b"red"])
        assert connection.dbsize() == 0
        connection.set("precious", "1")
        with pytest.raises(RestoreError, match="which holds data: name an empty Redis server"):
            pipeline.drill(scratch=tmp_path, databases={"cache": other.url()})
        assert connection.get("precious") == b"1"
        connection.close()
    assert original.get("apple") == b"red"
    original.flushall()
    original.close()


@pytest.mark.services
def test_what_others_write_to_a_named_redis_server_before_the_load_stays_there(
    make: Make, redis_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "note.txt").write_text("a note")
    with (
        servers.redis() as other,
        redis.Redis(port=redis_server.port, password=redis_server.password) as original,
        redis.Redis(port=other.port, password=other.password) as connection,
    ):
        original.flushall()
        original.set("apple", "red")

        def write_meanwhile(event: Event) -> None:
            if isinstance(event, BytesRead) and rehearsing:
                connection.set("precious", "1")

        rehearsing: list[bool] = []
        sources = [Directory(tmp_path / "app"), Redis(redis_server.url(), name="cache")]
        pipeline = make(sources, MemoryDestination(), observers=[write_meanwhile])
        pipeline.run()
        rehearsing.append(True)
        with pytest.raises(RestoreError, match="not empty"):
            pipeline.drill(scratch=tmp_path, databases={"cache": other.url()})
        assert connection.get("precious") == b"1"
        assert not pipeline.get().refuted
        original.flushall()


@pytest.mark.services
def test_the_redis_server_that_is_backed_up_is_known_by_any_name(
    make: Make, redis_server: Server, tmp_path: Path
) -> None:
    with redis.Redis(port=redis_server.port, password=redis_server.password) as original:
        original.flushall()
    pipeline = make(Redis(redis_server.url(), name="cache"), MemoryDestination())
    pipeline.run()
    alias = redis_server.url().replace("127.0.0.1", "127.1")
    assert alias != redis_server.url()
    with pytest.raises(ConfigurationError, match="by another name"):
        pipeline.drill(scratch=tmp_path, databases={"cache": alias})


def _mariadb(server: Server) -> pymysql.connections.Connection:
    return pymysql.connect(host="127.0.0.1", port=server.port, user=server.user, password=server.password)
