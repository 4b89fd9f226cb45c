"""What a restore to a PostgreSQL server does when something is wrong, and what it takes of an archive."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backupkit.databases.urls import parse_database_url
from backupkit.errors import IntegrityError, RestoreError
from backupkit.model import Entry
from backupkit.sources.postgresql import PostgreSQL
from backupkit.sources.postgresql_roles import PostgreSQLRoles
from backupkit.targets import postgresql
from backupkit.targets.database import DatabaseTarget
from tests import servers
from tests.servers import PASSWORD, Server
from tests.services.postgresql_databases import (
    as_entry,
    client,
    connected,
    content,
    database,
    name_of_none,
    state,
)

pytestmark = pytest.mark.services
FORMS = ["plain", "custom"]
SHOP = """
CREATE TABLE customer (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE orders (id integer GENERATED ALWAYS AS IDENTITY, customer integer NOT NULL REFERENCES customer);
CREATE INDEX by_customer ON orders (customer);
CREATE TABLE log (line text);
INSERT INTO customer (name) VALUES ('Ada'), ('Bo');
INSERT INTO orders (customer) VALUES (1), (1), (2);
INSERT INTO log SELECT md5(n::text) FROM generate_series(1, 30000) n;
SELECT lo_from_bytea(7001, '\\x01');
"""
PARTITIONS = """
CREATE SCHEMA parts; CREATE TABLE parted (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parts.p2 PARTITION OF parted FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (k);
CREATE TABLE parts.p3 PARTITION OF parts.p2 FOR VALUES FROM (10) TO (50);
CREATE TABLE other (k int REFERENCES parted); CREATE VIEW seen AS SELECT * FROM other;
INSERT INTO parted SELECT n, 'x' FROM generate_series(0, 49) n; INSERT INTO other VALUES (1);
"""
OLD = "CREATE TABLE old (a int); INSERT INTO old VALUES (1); SELECT lo_from_bytea(7000, '\\x00')"


@pytest.fixture(scope="module")
def shop(postgresql_server: Server) -> Iterator[str]:
    with database(postgresql_server, SHOP) as url:
        yield url


@pytest.fixture(scope="module")
def old(postgresql_server: Server) -> Iterator[str]:
    """A database with something in it, for tests that leave it as it was."""
    with database(postgresql_server, OLD) as url:
        yield url


@pytest.fixture
def own(postgresql_server: Server) -> Iterator[str]:
    """The same, for a test that changes it."""
    with database(postgresql_server, OLD) as url:
        yield url


def failure(url: str, entry: Entry, **options: Any) -> str:
    with pytest.raises(RestoreError) as raised:
        list(DatabaseTarget(url, **options).write([entry]))
    return str(raised.value)


def broken_after(dump: bytes, length: int) -> Entry:
    def chunks() -> Iterator[bytes]:
        yield dump[:length]
        raise IntegrityError("the archive is damaged", where="here")

    return Entry(path="db-dumps/postgresql-shop.sql", chunks=chunks)


def no_program_reads_from_us() -> bool:
    done = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "comm="], capture_output=True, text=True, check=False
    )
    return not {"psql", "pg_restore", "pg_dump"} & set(done.stdout.split())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["at once", "in the middle", "after the last byte"])
def test_a_damaged_archive_leaves_what_was_there(form: Any, share: float, shop: str, old: str) -> None:
    before = state(old)
    dump = content(PostgreSQL(shop, form=form))
    with pytest.raises(IntegrityError):
        list(DatabaseTarget(old, overwrite=True).write([broken_after(dump, int(len(dump) * share))]))
    assert state(old) == before
    assert no_program_reads_from_us()


@pytest.mark.parametrize("form", FORMS)
def test_a_database_that_was_made_for_a_damaged_archive_is_gone(
    form: Any, shop: str, postgresql_server: Server
) -> None:
    dump = content(PostgreSQL(shop, form=form))
    with name_of_none(postgresql_server) as url:
        with pytest.raises(IntegrityError):
            list(DatabaseTarget(url, create=True).write([broken_after(dump, len(dump))]))
        assert client(url).state() == "missing"


@pytest.mark.parametrize("form", FORMS)
def test_a_dump_that_was_cut_off_leaves_what_was_there(form: Any, shop: str, old: str) -> None:
    before = state(old)
    dump = content(PostgreSQL(shop, form=form))
    for length in (0, 100, len(dump) // 2, len(dump) - 100):
        message = failure(old, as_entry(dump[:length]), overwrite=True)
        assert "cut off" in message or "is empty" in message
        assert state(old) == before


@pytest.mark.parametrize("form", FORMS)
def test_the_first_error_ends_it_and_leaves_what_was_there(form: Any, shop: str, old: str) -> None:
    before = state(old)
    dump = content(PostgreSQL(shop, form=form))
    wrong = dump.replace(b"REFERENCES public.customer", b"REFERENCES public.consumer")
    assert len(wrong) == len(dump)
    message = failure(old, as_entry(wrong), overwrite=True)
    assert "refers to something that is neither in it nor in the database" in message
    assert state(old) == before
    assert no_program_reads_from_us()


def test_a_script_that_ends_within_its_rows_is_no_success(old: str) -> None:
    message = failure(old, as_entry(b"CREATE TABLE t (a text);\nCOPY t FROM stdin;\nx\n"), overwrite=True)
    assert "in the middle of a statement" in message
    assert client(old).count_rows() == {"public.old": 1}


def test_a_database_that_is_not_empty_is_refused(shop: str, old: str) -> None:
    dump = as_entry(content(PostgreSQL(shop)))
    (problem,) = DatabaseTarget(old).check([dump])
    assert "is not empty" in problem.message
    assert "not empty" in failure(old, dump)


def test_a_missing_database_is_refused(shop: str, postgresql_server: Server) -> None:
    dump = as_entry(content(PostgreSQL(shop)))
    with name_of_none(postgresql_server) as url:
        (problem,) = DatabaseTarget(url).check([dump])
        assert "create=True" in problem.message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (b"\\! touch {}", "commands to psql itself"),
        (b"SELECT 1 \\g |touch {}", "commands to psql itself"),
        (b"\\o {}", "commands to psql itself"),
        (b"\\copy (SELECT 1) TO {}", "commands to psql itself"),
        (b"\\connect postgres", "commands to psql itself"),
        (b"\\unrestrict guess\n\\! touch {}", "commands to psql itself"),
        (b"COMMIT;", "ends the transaction"),
        (b"BEGIN;\nCREATE TABLE b ();\nCOMMIT;\nCREATE TABLE a ();", "ends the transaction"),
    ],
)
@pytest.mark.parametrize("disguised", [False, True], ids=["bare", "as a dump of pg_dump"])
def test_a_hostile_dump_runs_no_program_and_commits_nothing(
    statement: bytes, message: str, disguised: bool, old: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    script = (
        b"CREATE TABLE a ();\n" + statement.replace(b"{}", os.fsencode(trace)) + b"\nCREATE TABLE b ();\n"
    )
    if disguised:
        script = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict k\n\n" + script
        script += b"\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict k\n\n"
    assert message in failure(old, as_entry(script), overwrite=True)
    assert not trace.exists()
    assert client(old).count_rows() == {"public.old": 1}


def test_a_psql_that_cannot_be_restricted_is_refused(old: str, tmp_path: Path) -> None:
    psql = tmp_path / "psql"
    psql.write_text(  # queries are answered, scripts are not
        '#!/bin/sh\ncase "$*" in *field-separator*) exec /usr/bin/psql "$@";; esac\n'
        "exec sed 's/^.restrict .*/\\\\no_such_command/' | /usr/bin/psql \"$@\"\n"
    )
    psql.write_text(  # queries are answered, scripts are not
        '#!/bin/sh\ncase "$*" in *field-separator*) exec /usr/bin/psql "$@";; esac\n'
        "echo 'invalid command \\\\restrict' >&2; exit 3\n"
    )
    psql.chmod(0o755)
    assert "15.14" in failure(old, as_entry(b"SELECT 1;\n"), overwrite=True, tools=tmp_path)
    assert client(old).count_rows() == {"public.old": 1}


def test_timeouts_that_only_newer_servers_know_are_left_out(shop: str, postgresql_server: Server) -> None:
    """Programs of version 17 write transaction_timeout, which a server of version 16 does not know."""
    dump = content(PostgreSQL(shop)).replace(
        b"SET lock_timeout = 0;\n", b"SET lock_timeout = 0;\nSET bedtime_timeout = 0;\n"
    )
    with database(postgresql_server) as url:
        list(DatabaseTarget(url).write([as_entry(dump)]))
        assert client(url).count_rows() == client(shop).count_rows()


def test_a_compressed_dump_of_another_program_is_restored(shop: str, postgresql_server: Server) -> None:
    with database(postgresql_server) as url:
        list(
            DatabaseTarget(url).write(
                [as_entry(gzip.compress(content(PostgreSQL(shop))), "db-dumps/x.sql.gz")]
            )
        )
        assert state(url) == state(shop)


def test_the_roles_of_a_server_are_no_dump_of_a_database(shop: str, old: str) -> None:
    message = failure(old, as_entry(content(PostgreSQLRoles(shop))), overwrite=True)
    assert "of a server's roles" in message
    assert client(old).count_rows() == {"public.old": 1}


def test_what_is_neither_form_is_refused(old: str) -> None:
    assert "neither a script nor an archive" in failure(
        old, as_entry(b"SQLite format 3\0..."), overwrite=True
    )


def test_a_role_that_is_missing_is_named(postgresql_server: Server) -> None:
    with database(
        postgresql_server, "CREATE TABLE a (); CREATE ROLE clerk; ALTER TABLE a OWNER TO clerk"
    ) as url:
        dumps = {owners: content(PostgreSQL(url, owners=owners)) for owners in (True, False)}
        with connected(url) as connection:
            connection.execute("DROP OWNED BY clerk; DROP ROLE clerk")
        with database(postgresql_server) as restored:
            message = failure(restored, as_entry(dumps[True]))
            assert 'role "clerk" does not exist' in message
            assert "owners=False" in message
            list(DatabaseTarget(restored).write([as_entry(dumps[False])]))
            assert client(restored).count_rows() == {"public.a": 0}


def test_a_database_with_subscriptions_is_not_replaced(shop: str, old: str) -> None:
    with connected(old) as connection:
        connection.execute(
            "CREATE SUBSCRIPTION news CONNECTION 'host=127.0.0.1' PUBLICATION p "
            "WITH (connect = false, slot_name = NONE)"
        )
        try:
            assert "has subscriptions (news)" in failure(
                old, as_entry(content(PostgreSQL(shop))), overwrite=True
            )
        finally:
            connection.execute("DROP SUBSCRIPTION news")


def test_an_owner_of_a_database_who_is_no_superuser_restores_and_replaces(
    shop: str, postgresql_server: Server
) -> None:
    dump = as_entry(content(PostgreSQL(shop, owners=False, privileges=False)))
    with connected(shop) as connection:
        connection.execute("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 't'")
    try:
        url = postgresql_server.url("tenants", user="tenant", password="t")
        for _ in range(2):
            list(DatabaseTarget(url, create=True, overwrite=True).write([dump]))
            assert client(url).count_rows() == client(shop).count_rows()
        with connected(url) as connection:
            assert connection.execute("SELECT lo_get(7001)").fetchone() == (b"\x01",)
        client(url).drop()
    finally:
        with connected(shop) as connection:
            connection.execute("DROP ROLE tenant")


def test_a_user_who_may_make_no_temporary_tables_is_told(shop: str, postgresql_server: Server) -> None:
    dump = as_entry(content(PostgreSQL(shop, owners=False, privileges=False)))
    with database(postgresql_server) as url, connected(url) as connection:
        name = parse_database_url(url).database
        connection.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC'.encode())
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-3'")
        try:
            message = failure(postgresql_server.url(name, user="guest", password="guest-3"), dump)
            assert "may not do all that this needs" in message
            assert "create temporary tables" in message
        finally:
            connection.execute("DROP ROLE guest")


def test_tables_of_an_archive_come_with_all_that_belongs_to_them(shop: str, own: str) -> None:
    dump = as_entry(content(PostgreSQL(shop, form="custom")))
    target = DatabaseTarget(own, tables=["customer", "orders"])
    assert list(target.check([dump])) == []
    list(target.write([dump]))
    found, expected = state(own), state(shop)
    for name in ('"public"."customer"', '"public"."orders"', "sequence public.customer_id_seq"):
        assert found[name] == expected[name]
    for part in (
        "orders_customer_fkey",
        "by_customer",
        "customer_name_key",
        "ADD GENERATED ALWAYS AS IDENTITY",
    ):
        assert part in found["schema"]
    assert '"public"."log"' not in found
    assert found['"public"."old"']


def test_tables_that_are_there_are_replaced_only_when_told_to(shop: str, postgresql_server: Server) -> None:
    dump = as_entry(content(PostgreSQL(shop, form="custom")))
    with database(postgresql_server, SHOP.replace("7001", "7002")) as url:
        with connected(url) as connection:
            connection.execute("DELETE FROM orders WHERE id = 1; INSERT INTO log VALUES ('new')")
        before = state(url)
        assert "already exists" in failure(url, dump, tables=["orders"])
        assert "depend on a table that is to be replaced" in failure(
            url, dump, tables=["customer"], overwrite=True
        )
        assert state(url) == before
        list(DatabaseTarget(url, tables=["orders"], overwrite=True).write([dump]))
        assert client(url).count_rows() == {"public.customer": 2, "public.orders": 3, "public.log": 30001}


def test_damage_behind_the_last_table_that_is_wanted_counts_too(shop: str, old: str) -> None:
    dump = content(PostgreSQL(shop, form="custom"))
    before = state(old)
    with pytest.raises(IntegrityError):
        list(DatabaseTarget(old, tables=["customer"]).write([broken_after(dump, len(dump))]))
    assert state(old) == before


def test_a_table_that_is_not_in_the_archive_is_named(shop: str, old: str) -> None:
    dump = as_entry(content(PostgreSQL(shop, form="custom")))
    assert "no table 'custommer' in the dump, which has public.customer" in failure(
        old, dump, tables=["custommer"]
    )


def test_tables_of_a_plain_script_are_refused_with_a_way_out(shop: str, old: str) -> None:
    message = failure(old, as_entry(content(PostgreSQL(shop))), tables=["orders"])
    assert 'form="custom"' in message
    assert "copy the tables from there" in message


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("form", FORMS)
def test_the_password_is_seen_nowhere_while_a_dump_is_restored(form: Any, shop: str, own: str) -> None:
    dump = content(PostgreSQL(shop, form=form))
    seen: dict[str, bytes] = {}

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(dump), 65536):
            yield dump[start : start + 65536]
            children = subprocess.run(
                ["pgrep", "--parent", str(os.getpid())], capture_output=True, text=True, check=False
            )
            for pid in children.stdout.split():
                with suppress(OSError):
                    about = Path(f"/proc/{pid}")
                    seen[about.joinpath("comm").read_text().strip()] = b"".join(
                        about.joinpath(name).read_bytes() for name in ("cmdline", "environ")
                    )

    list(DatabaseTarget(own, overwrite=True).write([Entry(path="db-dumps/x", chunks=chunks)]))
    assert {"psql"} | ({"pg_restore"} if form == "custom" else set()) <= set(seen)
    for text in seen.values():
        assert PASSWORD.encode() not in text
        assert quote(PASSWORD, safe="").encode() not in text


def test_a_server_that_is_killed_in_the_middle_is_told(shop: str) -> None:
    dump = content(PostgreSQL(shop, form="plain"))
    with servers.postgresql() as server:
        url = server.url("shop")

        def chunks() -> Iterator[bytes]:
            yield dump[: len(dump) // 2]
            server.kill()
            yield dump[len(dump) // 2 :]

        entry = Entry(path="db-dumps/postgresql-shop.sql", chunks=chunks)
        message = failure(url, entry, create=True)
        assert "went away in the middle" in message or "cannot be reached" in message
    assert no_program_reads_from_us()


def test_tables_of_an_archive_are_those_of_exactly_that_name(postgresql_server: Server) -> None:
    sql = 'CREATE TABLE "my orders" (a int); CREATE SCHEMA "Other Schema" CREATE TABLE "o; x" (a int);'
    sql += """INSERT INTO "Other Schema"."o; x" VALUES (1)"""
    with database(postgresql_server, sql) as url, database(postgresql_server) as restored:
        dump = as_entry(content(PostgreSQL(url, form="custom")))
        assert "there is no table 'my'" in failure(url, dump, tables=["my"], overwrite=True)
        list(DatabaseTarget(restored, tables=["Other Schema.o; x"]).write([dump]))
        assert client(restored).count_rows() == {'"Other Schema"."o; x"': 1}


def test_a_partitioned_table_comes_with_its_partitions(postgresql_server: Server) -> None:
    with database(postgresql_server, PARTITIONS) as url, database(postgresql_server) as restored:
        dump = as_entry(content(PostgreSQL(url, form="custom")))
        list(DatabaseTarget(restored, tables=["parted"]).write([dump]))
        assert client(restored).count_rows() == {"parts.p3": 40, "public.p1": 10}
        before = state(restored)
        with connected(restored) as connection:
            connection.execute("DELETE FROM parted WHERE k % 2 = 1")
        list(DatabaseTarget(restored, tables=["parted"], overwrite=True).write([dump]))
        assert state(restored) == before
        # With what refers to it, and what refers to that.
        with connected(url) as connection:
            connection.execute("DELETE FROM other; DELETE FROM parted")
        tables = ["parted", "other", "seen"]
        list(DatabaseTarget(url, tables=tables, overwrite=True).write([dump]))
        assert client(url).count_rows() == {"parts.p3": 40, "public.p1": 10, "public.other": 1}


@pytest.mark.parametrize(
    ("change", "tables", "message"),
    [
        ("", ["p1"], "public.p1 is a partition of public.parted there, .* name public.parted too"),
        ("", ["p2"], "parts.p2 is a partition of public.parted there"),
        (
            "DROP VIEW seen; DROP TABLE other; CREATE TABLE new PARTITION OF parts.p2 DEFAULT",
            ["parted"],
            "parts.p2 has the partition public.new there, which the dump does not have",
        ),
        ("", ["parted"], "depend on a table that is to be replaced"),
    ],
)
def test_no_partition_is_lost_or_detached_by_replacing_tables(
    change: str, tables: list[str], message: str, postgresql_server: Server
) -> None:
    with database(postgresql_server, PARTITIONS) as url:
        dump = as_entry(content(PostgreSQL(url, form="custom")))
        if change:
            with connected(url) as connection:
                connection.execute(change.encode())
        before = state(url)
        assert re.search(message, failure(url, dump, tables=tables, overwrite=True))
        assert state(url) == before


def test_a_partition_alone_is_a_table_with_its_own_key(postgresql_server: Server) -> None:
    with database(postgresql_server, PARTITIONS) as url, database(postgresql_server) as restored:
        dump = as_entry(content(PostgreSQL(url, form="custom")))
        for overwrite in (False, True):
            list(DatabaseTarget(restored, tables=["p1"], overwrite=overwrite).write([dump]))
            assert client(restored).count_rows() == {"public.p1": 10}
            assert "p1_pkey PRIMARY KEY" in state(restored)["schema"]


def test_tables_that_others_hold_are_not_waited_for_without_limit(
    shop: str, postgresql_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = as_entry(content(PostgreSQL(shop, form="custom")))
    monkeypatch.setattr(postgresql, "_LOCK_TIMEOUT", b"SET LOCAL lock_timeout = '300ms';\n")
    with database(postgresql_server, SHOP.replace("7001", "7002")) as url, connected(url) as holder:
        holder.autocommit = False
        holder.execute("SELECT count(*) FROM orders")
        options = {"overwrite": True, "time_limit": timedelta(seconds=20)}
        assert "Another session holds tables" in failure(url, dump, tables=["orders"], **options)
        assert "Another session holds tables" in failure(url, dump, **options)
