"""Whole pipelines of database servers: what holds between sources, formats and targets, whatever the engine."""

from __future__ import annotations

import bz2
import gzip
import secrets
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from backupkit import (
    AllDatabases,
    BackupPipeline,
    Directory,
    MariaDB,
    Parallel,
    Passphrase,
    PostgreSQL,
    PostgreSQLRoles,
    Retry,
    open_repository,
)
from backupkit.databases.clients import client_of
from backupkit.databases.urls import parse_database_url
from backupkit.errors import BackupKitError, ConfigurationError
from backupkit.model import Entry
from backupkit.protocols import Source
from tests.servers import Server
from tests.services.engines import Engine, engine_named

pytestmark = pytest.mark.services

ONCE = Retry(tries=1)


@pytest.fixture
def name() -> str:
    return f"shop_{secrets.token_hex(4)}"


@pytest.fixture
def shop(postgresql_server: Server, name: str) -> Iterator[str]:
    """The URL of a database on the PostgreSQL server, with two tables."""
    with psycopg.connect(postgresql_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with psycopg.connect(postgresql_server.url(name)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT generate_series(1, 100) AS id")
        connection.execute("CREATE TABLE sessions AS SELECT generate_series(1, 10) AS id")
    yield postgresql_server.url(name)
    for database in (name, f"{name}_restored"):
        client_of(parse_database_url(postgresql_server.url(database))).drop()


def rows(url: str) -> dict[str, int]:
    return dict(client_of(parse_database_url(url)).count_rows())


def pipeline_of(place: Path, *sources: Source) -> BackupPipeline:
    place.mkdir(exist_ok=True)
    return BackupPipeline(
        "shop", sources, place, encryptor=Passphrase("throw-away words of a test, long enough"), retry=ONCE
    )


def test_what_was_backed_up_comes_back(engine: Engine, name: str, tmp_path: Path) -> None:
    url = engine.fill(name)
    before = rows(url)
    pipeline = pipeline_of(tmp_path / "place", engine.source(url, count_rows=True))
    assert pipeline.run().problems == ()
    target = url if engine.name == "redis" else engine.server.url(f"{name}_restored")
    report = pipeline.restore(to=target, create=True, overwrite=True)
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert rows(target) == before
    assert sum(next(pipeline.entries()).rows.values()) == 2000


def test_a_wrong_password_is_not_tried_again(engine: Engine, name: str, tmp_path: Path) -> None:
    wrong = engine.source(engine.server.url(name, password="wrong"))
    (tmp_path / "place").mkdir()
    told: list[object] = []
    pipeline = BackupPipeline(
        "shop",
        wrong,
        tmp_path / "place",
        encryptor=None,
        retry=Retry(tries=3, wait=3600),
        observers=[told.append],
    )
    with pytest.raises(BackupKitError, match="refused the user or the password"):
        pipeline.run()
    assert "Waiting" not in {type(event).__name__ for event in told}


def test_a_server_that_cannot_be_reached_is_tried_again(engine: Engine, tmp_path: Path) -> None:
    url = f"{engine.server.engine}://nobody@127.0.0.1:1/shop"
    (tmp_path / "place").mkdir()
    told: list[object] = []
    retry = Retry(tries=2, wait=0.001)
    pipeline = BackupPipeline(
        "shop", engine.source(url), tmp_path / "place", encryptor=None, retry=retry, observers=[told.append]
    )
    with pytest.raises(BackupKitError, match="cannot be reached"):
        pipeline.run()
    assert "Waiting" in {type(event).__name__ for event in told}


def test_a_misspelt_option_on_tls_is_refused_on_restore_too(engine: Engine, tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path / "place", Directory(tmp_path))
    with pytest.raises(ConfigurationError, match="ssl_verifi"):
        pipeline.restore(to=f"{engine.server.engine}://h/d?ssl_verifi=1")


def test_roles_beside_a_dump_are_in_nobody_s_way(shop: str, tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path / "place", PostgreSQL(shop), PostgreSQLRoles(shop))
    pipeline.run()
    report = pipeline.restore(to=f"{shop}_restored", create=True)
    assert (report.outcome, report.entries) == ("succeeded", 1)
    report = pipeline.drill(scratch=tmp_path)
    assert (report.outcome, report.problems) == ("succeeded", ())


def test_rows_that_were_left_out_refute_no_backup(shop: str, tmp_path: Path) -> None:
    source = PostgreSQL(shop, exclude_data=["sessions"], count_rows=True)
    pipeline = pipeline_of(tmp_path / "place", source)
    pipeline.run()
    report = pipeline.drill(scratch=tmp_path, compare_rows=True)
    assert (report.outcome, report.problems) == ("succeeded", ())


@pytest.mark.parametrize("kind", ["postgresql plain", "postgresql custom", "mariadb"])
def test_every_database_of_a_server_is_dumped_and_drilled(
    kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine = engine_named(kind, request)
    names = [f"{name}_a", f"{name}_b", f"{name} c"]
    for one in names:
        engine.fill(one)
    server = engine.source(
        engine.server.url("postgres" if "postgresql" in kind else "mysql"), count_rows=True
    )
    source = AllDatabases(server, name="main", include=[f"{name}*"])  # type: ignore[arg-type]
    pipeline = pipeline_of(tmp_path / "place", Parallel(source, at_once=2))
    assert pipeline.run().problems == ()
    found = [entry.path.rpartition("/")[2].rpartition(".")[0] for entry in pipeline.entries()]
    assert found == sorted(names)
    report = pipeline.drill(scratch=tmp_path, compare_rows=True)
    assert (report.outcome, report.problems, len(report.dumps)) == ("succeeded", (), 3)
    assert pipeline.get().proven is not None
    left = client_of(parse_database_url(engine.server.url(names[0]))).databases()
    assert [one for one in left if one.startswith("backupkit")] == []


def test_two_databases_of_one_name_ask_for_another_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another name="):
        pipeline_of(tmp_path, PostgreSQL("postgresql://a/shop"), PostgreSQL("postgresql://b/shop"))
    pipeline_of(tmp_path, PostgreSQL("postgresql://a/shop"), PostgreSQL("postgresql://b/shop", name="shop-b"))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_compressed_dump_of_another_program_goes_back_into_its_server(
    compress: Callable[[bytes], bytes], mariadb_server: Server, name: str, tmp_path: Path
) -> None:
    engine = Engine("mariadb", mariadb_server, MariaDB)
    (entry,) = engine.source(engine.fill(name)).entries()
    assert isinstance(entry, Entry)
    extension = ".gz" if compress is gzip.compress else ".bz2"
    (tmp_path / "shop").mkdir()
    with zipfile.ZipFile(tmp_path / "shop" / "2026-01-31-02-30-00.zip", "w") as archive:
        archive.writestr(f"db-dumps/mysql-shop.sql{extension}", compress(b"".join(entry.chunks())))
    backups = open_repository(tmp_path)
    target = mariadb_server.url(f"{name}_restored")
    report = backups.restore("2026-01-31", databases={"shop": target}, create=True)
    assert report.outcome == "succeeded"
    assert rows(target) == {"items": 2000}
