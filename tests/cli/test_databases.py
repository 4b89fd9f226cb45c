"""Databases on the command line: restored and drilled on a real PostgreSQL server, as real processes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.cli.shop import Shop
from tests.servers import PASSWORD, Server

pytestmark = pytest.mark.services

APP = ("--app", "served:pipeline")
MODULE = """
import os
from backupkit.sources.postgresql import PostgreSQL
from shop_backups import made, uploads
pipeline = made([uploads, PostgreSQL(os.environ["SHOP_URL"])])
"""


@pytest.fixture
def server(postgresql_server: Server) -> Iterator[Server]:
    run_sql(postgresql_server, "CREATE DATABASE shop")
    run_sql(postgresql_server, "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id", "shop")
    yield postgresql_server
    for name in databases(postgresql_server) - {"postgres"}:
        run_sql(postgresql_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def served(shop: Shop, server: Server) -> Shop:
    """A shop with its database on a server, and one backup."""
    (shop.folder / "served.py").write_text(MODULE)
    assert shop.backupkit("run", *APP, SHOP_URL=server.url("shop")).returncode == 0
    return shop


def run_sql(server: Server, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def databases(server: Server) -> set[str]:
    return {
        str(name) for (name,) in run_sql(server, "SELECT datname FROM pg_database WHERE NOT datistemplate")
    }


def orders(server: Server, database: str) -> object:
    return run_sql(server, "SELECT count(*) FROM orders", database)[0][0]


def test_a_database_is_restored_by_its_url_from_a_variable(served: Shop, server: Server) -> None:
    where = ("backups", "--passphrase-file", "passphrase.txt")
    arguments = ("restore", *where, "--to", "env:COPY")
    refused = served.backupkit(*arguments, COPY=server.url("copy"))
    assert refused.returncode == 1
    assert "There is no database" in refused.stderr
    done = served.backupkit(*arguments, "--create", COPY=server.url("copy"))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  to postgresql://admin@127.0.0.1:{server.port}/copy\n" in done.stdout
    assert orders(server, "copy") == 100
    again = served.backupkit(*arguments, COPY=server.url("copy"))
    assert again.returncode == 1
    assert "is not empty" in again.stderr
    for one in (refused, done, again):
        assert PASSWORD not in one.stdout + one.stderr


def test_files_and_databases_are_restored_in_one_call(served: Shop, server: Server) -> None:
    done = served.backupkit(
        *("restore", "backups", "--passphrase-file", "passphrase.txt", "--to", "restored"),
        *("--database", "shop=env:COPY", "--create"),
        COPY=server.url("copy"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        f"  to restored\n  to postgresql://admin@127.0.0.1:{server.port}/copy, the database shop\n"
    )
    assert (served.folder / "restored" / "uploads" / "note.txt").exists()
    assert not (served.folder / "restored" / "db-dumps").exists()
    assert orders(server, "copy") == 100


def test_restore_says_what_it_needs(served: Shop, server: Server) -> None:
    where = ("restore", "backups", "--passphrase-file", "passphrase.txt")
    nowhere = served.backupkit(*where)
    assert (nowhere.returncode, "Nothing says where to restore to" in nowhere.stderr) == (2, True)
    password = served.backupkit(*where, "--to", f"postgresql://u:{'hunter2'}@h/x")
    assert (password.returncode, "env:VARIABLE" in password.stderr) == (2, True)
    assert "hunter2" not in password.stderr
    table = served.backupkit(*where, "--to", "restored", "--table", "orders")
    assert (table.returncode, "create and tables for a database" in table.stderr) == (2, True)


def test_a_drill_makes_and_drops_its_databases(served: Shop, server: Server) -> None:
    code, report = served.document_with({"SHOP_URL": server.url("shop")}, "drill", *APP)
    assert (code, report["outcome"], report["problems"]) == (0, "succeeded", [])
    (dump,) = report["dumps"]
    assert dump["path"] == "db-dumps/postgresql-shop.sql"
    assert 0 < dump["took"] <= report["restore_took"]
    assert databases(server) == {"postgres", "shop"}
    done = served.backupkit("drill", *APP, SHOP_URL=server.url("shop"))
    assert re.search(
        r"  restored in [\d.]+ s\n    [\d.]+ s  db-dumps/postgresql-shop\.sql  to postgresql://admin@",
        done.stdout,
    )


def test_rows_that_were_not_counted_leave_the_drill_incomplete(served: Shop, server: Server) -> None:
    done = served.backupkit("drill", *APP, "--compare-rows", SHOP_URL=server.url("shop"))
    assert done.returncode == 3
    assert "count_rows=True" in done.stderr


def test_a_drill_uses_the_server_that_is_named(served: Shop, server: Server) -> None:
    done = served.backupkit(
        *("drill", *APP, "--database", "shop=env:OTHER"),
        SHOP_URL=server.url("shop"),
        OTHER=server.url("rehearsal"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"/{'rehearsal'}\n" in done.stdout
    assert databases(server) == {"postgres", "shop"}
    same = served.backupkit(*("drill", *APP, "--database", "shop=env:SHOP_URL"), SHOP_URL=server.url("shop"))
    assert same.returncode == 2
    assert "would be restored over" in same.stderr
    assert orders(server, "shop") == 100
