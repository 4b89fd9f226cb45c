"""What is dumped from a PostgreSQL server comes back the same."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backupkit._chunks import closing_iterator
from backupkit.databases.programs import Limits
from backupkit.model import Entry
from backupkit.protocols import Source
from backupkit.sources.postgresql import PostgreSQL
from backupkit.sources.postgresql_roles import PostgreSQLRoles
from backupkit.targets.database import DatabaseTarget, Loading
from backupkit.targets.postgresql import load_postgresql
from backupkit.testing.sources import SourceTests
from tests.servers import PASSWORD, Server
from tests.services.postgresql_databases import (
    EVERYTHING,
    as_entry,
    client,
    connected,
    content,
    database,
    name_of_none,
    state,
)

pytestmark = pytest.mark.services
FORMS: list[Any] = ["plain", "custom"]


@pytest.fixture(scope="module")
def everything(postgresql_server: Server) -> Iterator[str]:
    with database(postgresql_server, EVERYTHING) as url:
        yield url


class _KeyOrTimeDiffers(SourceTests):
    def test_content_reads_the_same_twice(self, source: Source) -> None:
        """Every dump has a random key, or the time that it was made at; the rest is compared below."""


class TestPostgreSQLAsASource(_KeyOrTimeDiffers):
    @pytest.fixture(params=FORMS)
    def source(self, everything: str, request: pytest.FixtureRequest) -> PostgreSQL:
        return PostgreSQL(everything, name="shop", form=request.param)

    @pytest.fixture
    def failing_source(self, everything: str) -> PostgreSQL:
        return PostgreSQL(everything + "x", name="shop")


class TestPostgreSQLRolesAsASource(_KeyOrTimeDiffers):
    @pytest.fixture
    def source(self, everything: str) -> PostgreSQLRoles:
        return PostgreSQLRoles(everything)

    @pytest.fixture
    def failing_source(self, everything: str) -> PostgreSQLRoles:
        return PostgreSQLRoles(everything + "x")


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_restores_the_same_into_a_new_database(
    everything: str, form: Any, postgresql_server: Server
) -> None:
    source = PostgreSQL(everything, form=form, count_rows=True)
    (entry,) = source.entries()
    with name_of_none(postgresql_server) as url:
        assert list(DatabaseTarget(url, create=True).check([entry])) == []
        assert list(DatabaseTarget(url, create=True).write([entry])) == []
        assert state(url) == state(everything)
        assert entry.rows == client(url).count_rows()
        assert entry.rows is not None
        assert entry.rows['"Other Schema"."Odd ""Name"" 1.2"'] == 1
        assert entry.rows["public.parent"] == 1
        assert entry.rows["public.empty"] == 0


@pytest.mark.parametrize("form", FORMS)
def test_the_stock_client_alone_restores_the_same(
    everything: str, form: Any, postgresql_server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "dump"
    file.write_bytes(content(PostgreSQL(everything, form=form)))
    programs = {
        "plain": ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
        "custom": ["pg_restore", "--exit-on-error"],
    }
    with database(postgresql_server) as url, file.open("rb") as dump:
        done = subprocess.run(
            [*programs[form], f"--dbname={url}"], stdin=dump, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert state(url) == state(everything)


@pytest.mark.parametrize("form", FORMS)
def test_replacing_leaves_nothing_of_what_was_there(
    everything: str, form: Any, postgresql_server: Server
) -> None:
    """The dump goes over a database that is full, of the same things and of others."""
    others = "CREATE SCHEMA third; CREATE TABLE third.a (b int); CREATE TABLE public.z (b public.mood);"
    others += "GRANT ALL ON SCHEMA public TO pg_monitor; COMMENT ON TABLE public.types IS 'old';"
    others += "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor; SELECT lo_create(6001);"
    dump = as_entry(content(PostgreSQL(everything, form=form)))
    with database(postgresql_server, EVERYTHING + others) as url:
        list(DatabaseTarget(url, overwrite=True).write([dump]))
        assert state(url) == state(everything)
    with database(postgresql_server) as url:
        with connected(url) as connection:
            connection.execute("DROP SCHEMA public")
            connection.execute("CREATE SCHEMA third CREATE TABLE a ()")
        list(DatabaseTarget(url, overwrite=True).write([dump]))
        with connected(url) as connection:
            assert connection.execute("SELECT count(*) FROM public.types").fetchone() == (2,)


def test_replacing_brings_a_full_database_back_to_a_new_one(
    everything: str, postgresql_server: Server
) -> None:
    """Otherwise grants of the old would be found on what is restored."""
    with database(postgresql_server, "CREATE TABLE public.a ()") as small, database(postgresql_server) as new:
        dump = as_entry(content(PostgreSQL(small)))
        list(DatabaseTarget(new).write([dump]))
        with database(postgresql_server, EVERYTHING) as full:
            list(DatabaseTarget(full, overwrite=True).write([dump]))
            assert state(full) == state(new)


def test_a_dump_is_one_moment_of_a_database_that_is_written_to(postgresql_server: Server) -> None:
    """Money moves between two tables all the time, in steps of one transaction."""
    sql = "CREATE TABLE a (n int); CREATE TABLE b (n int); CREATE TABLE z (step int);"
    sql += "INSERT INTO a SELECT 100 FROM generate_series(1, 20000); INSERT INTO b SELECT n FROM a;"
    ends = threading.Event()

    def move(url: str) -> None:
        with psycopg.connect(url) as connection:
            while not ends.is_set():
                with connection.transaction():
                    connection.execute("UPDATE a SET n = n - 1 WHERE ctid = (SELECT ctid FROM a LIMIT 1)")
                    connection.execute("INSERT INTO z VALUES (1)")
                    connection.execute("INSERT INTO b VALUES (1)")

    with database(postgresql_server, sql) as url:
        mover = threading.Thread(target=move, args=(url,))
        mover.start()
        try:
            for form in FORMS:
                (entry,) = PostgreSQL(url, form=form, count_rows=True).entries()
                dump = b"".join(entry.chunks())
                with database(postgresql_server) as restored:
                    list(DatabaseTarget(restored).write([as_entry(dump)]))
                    assert client(restored).count_rows() == entry.rows
                    with connected(restored) as connection:
                        sums = (
                            "SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM b), (SELECT count(*) FROM z)"
                        )
                        total, steps = connection.execute(sums).fetchone() or (0, 0)
                    assert total == 4_000_000
                    assert entry.rows is not None
                    assert entry.rows["public.b"] == 20000 + steps
        finally:
            ends.set()
            mover.join()
        with connected(url) as connection:
            assert connection.execute("SELECT count(*) > 10 FROM z").fetchone() == (True,)


def test_two_dumps_of_the_same_state_are_the_same_but_for_a_line_and_the_time(everything: str) -> None:
    one, other = (content(PostgreSQL(everything)).splitlines() for _ in range(2))
    different = [line for line, second in zip(one, other, strict=True) if line != second]
    assert all(line.startswith((b"\\restrict", b"\\unrestrict")) for line in different)
    archives = [content(PostgreSQL(everything, form="custom")) for _ in range(2)]
    assert len(archives[0]) == len(archives[1])
    assert sum(a != b for a, b in zip(*archives, strict=True)) < 10


def test_schema_and_data_apart_are_the_whole(everything: str, postgresql_server: Server) -> None:
    plain = "CREATE TABLE a (id serial PRIMARY KEY, t text); INSERT INTO a (t) VALUES ('x'), ('y');"
    plain += "CREATE TABLE log (t text); INSERT INTO log VALUES ('secret');"
    with database(postgresql_server, plain) as url, database(postgresql_server) as restored:
        list(DatabaseTarget(restored).write([as_entry(content(PostgreSQL(url, content="schema")))]))
        assert client(restored).count_rows() == {"public.a": 0, "public.log": 0}
        data = PostgreSQL(url, content="data", exclude_data=["log"])
        client_program = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={restored}"]
        subprocess.run(client_program, input=content(data), check=True, stdout=subprocess.DEVNULL)
        assert client(restored).count_rows() == {"public.a": 2, "public.log": 0}


def test_tables_are_chosen_by_their_exact_names(everything: str) -> None:
    def tables(**options: Any) -> set[str]:
        (entry,) = PostgreSQL(everything, count_rows=True, **options).entries()
        for _ in entry.chunks():
            pass
        return set(entry.rows or {})

    every = tables()
    assert tables(tables=["egg", '"Other Schema"."Odd ""Name"" 1.2"', "Other*.part*"]) == {
        "public.egg",
        '"Other Schema"."Odd ""Name"" 1.2"',
        '"Other Schema".parted_2',
    }
    assert tables(exclude_tables=["egg", "EMPTY", "parent"]) == every - {"public.egg", "public.parent"}
    assert tables(exclude_data=["d*"]) == every - {"public.dumps", "public.documents"}


PARTITIONS = """CREATE SCHEMA parts; CREATE SCHEMA apart; CREATE TABLE parted (k int) PARTITION BY RANGE (k);
CREATE TABLE "p 1$" PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parts.p2 PARTITION OF parted FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (k);
CREATE TABLE parts."p|3" PARTITION OF parts.p2 FOR VALUES FROM (10) TO (50);
CREATE TABLE parts.p4 PARTITION OF parts.p2 DEFAULT; CREATE TABLE p (); CREATE TABLE other (k int);
CREATE TABLE apart.parted (k int) PARTITION BY RANGE (k);
CREATE TABLE apart.a1 PARTITION OF apart.parted DEFAULT;
INSERT INTO parted SELECT generate_series(0, 99)"""


@pytest.mark.parametrize("form", FORMS)
def test_a_partitioned_table_means_its_partitions_too(form: Any, postgresql_server: Server) -> None:
    parts = {'public."p 1$"': 10, 'parts."p|3"': 40, "parts.p4": 50}
    others = {"public.p": 0, "public.other": 0, "apart.a1": 0}

    def dumped(url: str, *tables: str, **options: Any) -> dict[str, int]:
        """Rows by table; of `tables`, only the tables themselves are to come."""
        (entry,) = PostgreSQL(url, form=form, count_rows=True, **options).entries()
        dump = as_entry(b"".join(entry.chunks()))
        with database(postgresql_server, "CREATE SCHEMA parts; CREATE SCHEMA apart") as restored:
            # Schemas come only with whole dumps, which replace those that are there.
            if "tables" in options:
                with closing_iterator(dump.chunks()) as chunks:
                    load_postgresql(
                        client(restored), chunks, Loading(replace=False, tables=(), limits=Limits())
                    )
            else:
                list(DatabaseTarget(restored, overwrite=True).write([dump]))
            assert client(restored).count_rows() == dict.fromkeys(tables, 0) | dict(entry.rows or {})
        return dict(entry.rows or {})

    with database(postgresql_server, PARTITIONS) as url:
        assert dumped(url, tables=["parted"]) == parts
        assert dumped(url, tables=["parted", "other"]) == parts | {"public.other": 0}
        assert dumped(url, tables=["parted", "parts.p2"]) == parts
        assert dumped(url, tables=["apart.*"]) == {"apart.a1": 0}
        assert dumped(url, exclude_tables=["parted"]) == others
        assert dumped(url, exclude_tables=["*.parted"]) == {"public.p": 0, "public.other": 0}
        assert dumped(url, *parts, exclude_data=["public.part*"]) == others


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "UTF8"])
def test_names_mean_the_same_whatever_the_encoding_of_the_database(
    form: Any, encoding: str, postgresql_server: Server
) -> None:
    name, word = {"EUC_JP": ("注文", "漢字")}.get(encoding, ("é", "ü"))
    sql = f"CREATE TABLE \"{name}\" AS VALUES ('{word}'::text); CREATE TABLE b ();"
    with database(postgresql_server, sql, encoding=encoding) as url:
        (entry,) = PostgreSQL(url, form=form, tables=[name], count_rows=True).entries()
        dump = as_entry(b"".join(entry.chunks()))
        assert entry.rows == {f'public."{name}"': 1}
        (entry,) = PostgreSQL(url, form=form, exclude_data=[name], count_rows=True).entries()
        assert word.encode() not in b"".join(entry.chunks())
        assert entry.rows == {"public.b": 0}
        for into in (encoding, "UTF8"):
            with database(postgresql_server, encoding=into) as restored:
                for _ in range(2):  # the second over the first
                    tables = [name] if form == "custom" else []
                    list(DatabaseTarget(restored, tables=tables, overwrite=True).write([dump]))
                assert client(restored).query(f'TABLE "{name}"') == [[word]]


@pytest.mark.parametrize("form", FORMS)
def test_text_without_an_encoding_comes_back_byte_by_byte(form: Any, postgresql_server: Server) -> None:
    sql = "CREATE TABLE a (t text); INSERT INTO a VALUES (E'\\xe9\\xff')"
    with database(postgresql_server, sql, encoding="SQL_ASCII") as url:
        dump = as_entry(content(PostgreSQL(url, form=form)))
        with database(postgresql_server, encoding="SQL_ASCII") as restored:
            list(DatabaseTarget(restored).write([dump]))
            assert client(restored).query("SELECT encode(t::bytea, 'hex') FROM a") == [["e9ff"]]


def test_roles_come_with_their_passwords_or_without(everything: str, postgresql_server: Server) -> None:
    with connected(everything) as connection:
        connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'x' CONNECTION LIMIT 3")
        try:
            dump = content(PostgreSQLRoles(everything))
            assert b"CREATE ROLE clerk" in dump
            assert b"SCRAM-SHA-256" in dump
            assert b"SCRAM-SHA-256" not in content(PostgreSQLRoles(everything, passwords=False))
        finally:
            connection.execute("DROP ROLE clerk")


def test_a_server_is_found_by_its_socket_and_among_several(
    everything: str, postgresql_server: Server
) -> None:
    from urllib.parse import quote

    who, name = f"admin:{quote(PASSWORD, safe='')}", everything.rpartition("/")[2]
    port = postgresql_server.port
    folder = quote(str(postgresql_server.socket), safe="")
    for url in (
        f"postgresql://{who}@{folder}:{port}/{name}",
        f"postgresql://{who}@/{name}?host={folder}&port={port}",
        f"postgresql://{who}@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write",
        f"postgresql+psycopg://{who}@localhost:{port}/{name}?sslmode=prefer&application_name=it%27s",
    ):
        assert PostgreSQL(url).client().state() == "filled"


def test_the_entry_is_dumped_anew_each_time(everything: str) -> None:
    (entry,) = PostgreSQL(everything, count_rows=True).entries()
    assert isinstance(entry, Entry)
    for _ in range(2):
        assert sum(map(len, entry.chunks()))
        assert entry.rows is not None
        assert entry.rows["public.egg"] == 2
