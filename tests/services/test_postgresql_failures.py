"""What a dump of a PostgreSQL server says when it cannot be had, or not to its end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit.databases.programs import ClientError
from backupkit.errors import SourceError
from backupkit.sources.postgresql import PostgreSQL
from backupkit.sources.postgresql_roles import PostgreSQLRoles
from tests import servers
from tests.servers import Server, free_port
from tests.services.postgresql_databases import client, connected, content, database

pytestmark = pytest.mark.services
LONG = """CREATE TABLE long (line text);
    INSERT INTO long SELECT repeat(md5(n::text), 30) FROM generate_series(1, 30000) n"""
SMALL = """CREATE TABLE a (t text);
    INSERT INTO a SELECT 'row ' || n FROM generate_series(1, 200) n; SELECT lo_create(1)"""


@pytest.fixture(scope="module")
def long(postgresql_server: Server) -> Iterator[str]:
    """A database whose dump fills no pipe."""
    with database(postgresql_server, LONG) as url:
        yield url


def failure(url: str, **options: Any) -> str:
    with pytest.raises(SourceError) as raised:
        content(PostgreSQL(url, **options))
    return str(raised.value)


def test_a_wrong_password_is_told(postgresql_server: Server, long: str) -> None:
    name = long.rpartition("/")[2]
    url = postgresql_server.url(password="wrong") + name
    assert "refused the user or the password: correct them" in failure(url)
    with pytest.raises(ClientError, match="refused the user or the password"):
        client(url).state()


def test_a_server_that_is_not_there_is_told() -> None:
    assert "cannot be reached" in failure(f"postgresql://me@127.0.0.1:{free_port()}/shop")
    assert "cannot be reached" in failure("postgresql://me@/shop?host=/nowhere")
    assert "cannot be reached" in failure("postgresql://me@no-such-host.invalid/shop")


def test_a_missing_database_is_told(postgresql_server: Server) -> None:
    assert "no database of this name" in failure(postgresql_server.url("nothing"))
    assert client(postgresql_server.url("nothing")).state() == "missing"


@pytest.mark.parametrize("tables", [["long", "lnog"], ["other.long"], ["LONG"]])
def test_a_missing_table_is_told(tables: list[str], long: str) -> None:
    message = failure(long, tables=tables)
    assert "A table or schema that was asked for is not there" in message
    assert tables[-1].rpartition(".")[2] in message


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_a_server_that_is_killed_in_the_middle_is_told(form: Any) -> None:
    with servers.postgresql() as server:
        url = server.url("shop")
        client(url).create()
        with connected(url) as connection:
            connection.execute(LONG)
        (entry,) = PostgreSQL(url, form=form).entries()
        chunks = entry.chunks()
        next(chunks)
        server.kill()
        with pytest.raises(SourceError, match="went away in the middle") as raised:
            for _ in chunks:
                pass
        assert raised.value.retryable


@pytest.mark.parametrize("form", ["plain", "custom"])
@pytest.mark.parametrize("end", ["kill -9 $$", "exit 0"], ids=["killed", "lying"])
def test_a_pg_dump_that_ends_in_the_middle_is_told(form: Any, end: str, long: str, tmp_path: Path) -> None:
    real = {name: shutil.which(name) for name in ("pg_dump", "pg_restore", "psql")}
    (tmp_path / "pg_dump").write_text(f'#!/bin/sh\n{real["pg_dump"]} "$@" | head -c 5000000\n{end}\n')
    (tmp_path / "pg_dump").chmod(0o755)
    for name in ("pg_restore", "psql"):
        (tmp_path / name).symlink_to(str(real[name]))
    message = failure(long, form=form, tools=tmp_path)
    assert ("SIGKILL" if "kill" in end else "is not whole") in message


def test_an_archive_that_ends_anywhere_is_never_whole(postgresql_server: Server, tmp_path: Path) -> None:
    """Whatever is left out of its end, pg_restore beside notices, which exits 0 only for the whole."""
    with database(postgresql_server, SMALL) as url:
        archive = content(PostgreSQL(url, form="custom"))
        (tmp_path / "pg_dump").write_text(
            f'#!/bin/sh\nhead -c "$(cat {tmp_path}/length)" {tmp_path}/archive\n'
        )
        (tmp_path / "pg_dump").chmod(0o755)
        (tmp_path / "archive").write_bytes(archive)
        for name in ("pg_restore", "psql"):
            (tmp_path / name).symlink_to(str(shutil.which(name)))
        source = PostgreSQL(url, form="custom", tools=tmp_path)
        for length in [*range(0, len(archive) - 60, 97), *range(len(archive) - 60, len(archive))]:
            (tmp_path / "length").write_text(str(length))
            with pytest.raises(SourceError, match="not whole"):
                content(source)
        (tmp_path / "length").write_text(str(len(archive)))
        assert content(source) == archive


def test_a_locked_table_is_told_before_the_dump_counts_as_stalled(long: str) -> None:
    with connected(long) as holder:
        holder.autocommit = False
        holder.execute("LOCK TABLE long")
        message = failure(long, silence_limit=timedelta(seconds=1))
    assert "locked by another session" in message
    assert "public.long" in message


def test_a_user_who_may_not_read_a_table_is_told(postgresql_server: Server, long: str) -> None:
    with connected(long) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-1'")
        try:
            url = postgresql_server.url(user="guest", password="guest-1") + long.rpartition("/")[2]
            assert "may not do all that this needs" in failure(url)
            with pytest.raises(SourceError, match="passwords=False"):
                content(PostgreSQLRoles(url))
            assert b"CREATE ROLE guest" in content(PostgreSQLRoles(url, passwords=False))
        finally:
            connection.execute("DROP ROLE guest")


def test_a_user_who_may_not_connect_to_the_usual_databases_still_makes_and_drops_one(
    postgresql_server: Server,
) -> None:
    with connected(postgresql_server.url("postgres")) as connection:
        connection.execute("CREATE ROLE app LOGIN CREATEDB PASSWORD 'a'")
        connection.execute("CREATE DATABASE app OWNER app")
        for usual in ("postgres", "template1"):
            connection.execute(f"REVOKE CONNECT ON DATABASE {usual} FROM PUBLIC".encode())
        try:
            own = client(postgresql_server.url("scratch", user="app", password="a"))
            assert own.state() == "missing"
            own.create()
            assert own.state() == "empty"
            assert "scratch" in own.databases()
            own.drop()
            own.drop()
            assert own.state() == "missing"
        finally:
            for usual in ("postgres", "template1"):
                connection.execute(f"GRANT CONNECT ON DATABASE {usual} TO PUBLIC".encode())
            connection.execute("DROP DATABASE app")
            connection.execute("DROP ROLE app")


def test_a_database_is_dropped_with_those_who_are_in_it(postgresql_server: Server) -> None:
    one = client(postgresql_server.url("crowded"))
    one.create()
    with connected(postgresql_server.url("crowded")):
        one.drop()
    assert one.state() == "missing"


def test_the_database_of_the_server_itself_counts_once_there_is_something_in_it(
    postgresql_server: Server,
) -> None:
    asked = client(postgresql_server.url("template1"))
    assert "postgres" not in asked.databases()
    with connected(postgresql_server.url("postgres")) as connection:
        connection.execute("CREATE TABLE somebodys (a int)")
        try:
            assert "postgres" in asked.databases()
        finally:
            connection.execute("DROP TABLE somebodys")


def test_the_database_of_the_server_itself_counts_for_those_who_cannot_look_into_it(
    postgresql_server: Server, long: str
) -> None:
    url = postgresql_server.url(user="guest", password="guest-2") + long.rpartition("/")[2]
    with connected(postgresql_server.url("postgres")) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-2'; CREATE TABLE somebodys (a int)")
        connection.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        try:
            assert "postgres" in client(url).databases()
        finally:
            connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
            connection.execute("DROP TABLE somebodys; DROP ROLE guest")


def test_a_standby_is_dumped(tmp_path_factory: pytest.TempPathFactory) -> None:
    with servers.postgresql() as primary:
        with connected(primary.url("postgres")) as connection:
            connection.execute("CREATE TABLE a (n int); INSERT INTO a SELECT generate_series(1, 100)")
        with servers.postgresql_standby(primary) as standby:
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            url = primary.url("postgres").replace(f"127.0.0.1:{primary.port}", hosts)
            source = PostgreSQL(f"{url}?target_session_attrs=standby", count_rows=True)
            ((port,),) = source.client().query("SHOW port")
            assert int(port) == standby.port
            (entry,) = source.entries()
            assert b"".join(entry.chunks())
            assert entry.rows == {"public.a": 100}


def test_nothing_is_left_running(long: str) -> None:
    (entry,) = PostgreSQL(long, form="custom").entries()
    chunks = entry.chunks()
    next(chunks)
    chunks.close()  # type: ignore[attr-defined] # it is a generator
    asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
    assert client(long).query(asked) == [["0"]]
    done = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True)
    assert "pg_restore --file=/dev/null" not in done.stdout
