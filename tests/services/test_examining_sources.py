"""What an examination says of real servers is what a dump then does."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from backupkit import AllDatabases, MariaDB, PostgreSQL, PostgreSQLRoles, Redis, SourceError
from backupkit.model import Entry, Finding
from backupkit.protocols import Examines, Source
from tests.servers import Server
from tests.services import mysql_databases
from tests.services.engines import Engine
from tests.tools import require_tool

pytestmark = pytest.mark.services

WRONG = "another-secret"


def findings(source: Source) -> list[Finding]:
    assert isinstance(source, Examines)
    return [*source.examine()]


def wrong(source: Source) -> list[str]:
    """The steps that do not hold; then the dump fails as well, and otherwise it succeeds."""
    found = [one.step for one in findings(source) if one.verdict == "not ok"]
    assert dumps(source) == (not found)
    return found


def dumps(source: Source) -> bool:
    try:
        for entry in source.entries():
            if isinstance(entry, Entry):
                assert b"".join(entry.chunks())
    except SourceError:
        return False
    return True


def test_a_database_that_can_be_dumped_holds(engine: Engine) -> None:
    source = engine.source(engine.fill(f"examined {engine.name}"))
    assert wrong(source) == []
    assert {one.verdict for one in findings(source)} == {"ok"}


def test_a_server_that_refuses_or_is_not_there_is_told_without_the_password(engine: Engine) -> None:
    refused = engine.source(engine.server.url("examined", password=WRONG))
    assert wrong(refused) == ["server"]
    assert WRONG not in str(findings(refused))
    away = engine.server.url("examined", password=WRONG).replace(f":{engine.server.port}/", ":1/")
    assert wrong(engine.source(away)) == ["server"]


@pytest.fixture(scope="module")
def shop(postgresql_server: Server) -> Iterator[Server]:
    """A database with tables that its user may read in part."""
    with psycopg.connect(postgresql_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'pw'")
        connection.execute("CREATE DATABASE examined_shop")
    with psycopg.connect(postgresql_server.url("examined_shop"), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE open (i int); CREATE TABLE closed (i serial); CREATE TABLE hidden (i int);"
            "CREATE TABLE parts (i int) PARTITION BY RANGE (i);"
            "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (9);"
            "CREATE SCHEMA inner_one; CREATE TABLE inner_one.deep (i int);"
            "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;"
            "GRANT SELECT ON open, hidden, inner_one.deep TO reader"
        )
    yield postgresql_server
    with psycopg.connect(postgresql_server.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE examined_shop WITH (FORCE)")
        connection.execute("DROP ROLE reader")


def read_by(server: Server, **options: object) -> PostgreSQL:
    return PostgreSQL(server.url("examined_shop", user="reader", password="pw"), **options)  # type: ignore[arg-type]


def test_tables_that_pg_dump_would_fail_on_are_named(shop: Server) -> None:
    source = read_by(shop)
    assert wrong(source) == ["rights", "rights"]
    refused, hidden = (one.message for one in findings(source) if one.step == "rights")
    assert "inner_one.deep, public.closed, public.closed_i_seq, public.part, public.parts" in refused
    assert "public.hidden" in hidden


@pytest.mark.parametrize(
    "options",
    [
        {"tables": ["open"]},
        {"exclude_tables": ["closed", "closed_i_seq", "hidden", "parts", "inner_one.*"]},
        {"tables": ["open", "hidden"], "content": "schema"},
    ],
)
def test_what_is_not_wanted_need_not_be_readable(shop: Server, options: dict[str, object]) -> None:
    assert wrong(read_by(shop, **options)) == []


def test_a_database_or_a_right_of_roles_that_is_missing_is_told(shop: Server) -> None:
    assert wrong(PostgreSQL(shop.url("examined_nowhere"))) == ["server"]
    roles = shop.url("examined_shop", user="reader", password="pw")
    assert wrong(PostgreSQLRoles(roles)) == ["rights"]
    assert wrong(PostgreSQLRoles(roles, passwords=False)) == []


def test_of_all_databases_the_first_is_told_in_full_and_of_others_what_is_wrong(shop: Server) -> None:
    with psycopg.connect(shop.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE examined_a")
        connection.execute("CREATE DATABASE examined_b")
    try:
        source = AllDatabases(
            PostgreSQL(shop.url("postgres", user="reader", password="pw")), include=["examined_*"]
        )
        found = [(one.verdict, one.step) for one in findings(source)]
    finally:
        with psycopg.connect(shop.url("postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE examined_a")
            connection.execute("DROP DATABASE examined_b")
    assert found[0] == ("ok", "databases")
    assert ("ok", "examined_a: rights") in found
    assert not [step for _, step in found if step.startswith("examined_b")]
    assert found[-1] == ("not ok", "examined_shop: rights")


@pytest.mark.parametrize(
    ("granted", "options", "lacks"),
    [
        ("SELECT, TRIGGER, SHOW VIEW, EVENT", {}, None),
        ("SELECT, TRIGGER, SHOW VIEW", {}, "EVENT"),
        ("SELECT, TRIGGER, SHOW VIEW", {"events": False}, None),
        ("SELECT, TRIGGER, EVENT", {}, "SHOW VIEW"),
        ("SELECT, TRIGGER, SHOW VIEW, EVENT", {"consistency": "lock"}, "LOCK TABLES"),
        ("SELECT, TRIGGER, SHOW VIEW, EVENT, LOCK TABLES", {"consistency": "lock"}, None),
    ],
)
def test_a_right_without_which_mariadbs_dump_fails_is_named(
    mariadb_server: Server, granted: str, options: dict[str, object], lacks: str | None
) -> None:
    require_tool("mariadb-dump")
    with mysql_databases.fresh(mariadb_server, "examined"):
        mysql_databases.run(
            mariadb_server,
            "CREATE DATABASE examined",
            "CREATE TABLE examined.t (i int)",
            "CREATE TABLE examined.loose (i int) ENGINE=MyISAM",
            "CREATE VIEW examined.v AS SELECT * FROM examined.t",
            "CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'pw'",
            f"GRANT {granted} ON examined.* TO reader@'%'",
        )
        source = MariaDB(mariadb_server.url("examined", user="reader", password="pw"), **options)  # type: ignore[arg-type]
        assert wrong(source) == (["rights"] if lacks else [])
        if lacks:
            assert f"lacks {lacks}," in str(findings(source))
        warned = [one.step for one in findings(source) if one.verdict == "warning"]
        assert ("one moment" in warned) == ("consistency" not in options)
        mysql_databases.run(mariadb_server, "DROP USER reader@'%'")


def test_a_user_of_redis_who_may_not_ask_for_a_dump_is_told(redis_server: Server) -> None:
    import redis

    with redis.Redis(port=redis_server.port, password=redis_server.password) as connection:
        for name, rights in {
            "most": ["+@all", "-sync", "-psync"],
            "few": ["+sync", "+replconf", "+ping"],
        }.items():
            connection.execute_command("ACL", "SETUSER", name, "reset", "on", ">pw", "~*", *rights)
        try:
            assert wrong(Redis(redis_server.url(user="most", password="pw"))) == ["rights"]
            few = Redis(redis_server.url(user="few", password="pw"))
            assert wrong(few) == []
            assert [one.verdict for one in findings(few)][-2:] == ["ok", "not known"]
        finally:
            connection.execute_command("ACL", "DELUSER", "most", "few")
