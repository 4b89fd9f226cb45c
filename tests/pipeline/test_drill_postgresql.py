"""Drills on a real PostgreSQL server: scratch databases are made and dropped; the original is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from backupkit import (
    Around,
    BackupPipeline,
    ConfigurationError,
    Entry,
    OperationCancelledError,
    Problem,
    RestoreError,
)
from backupkit.databases.urls import DatabaseURL
from backupkit.events import BytesRead, Event
from backupkit.model import Contents, Restored
from backupkit.sources.postgresql import PostgreSQL
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Clock, Make, Scripted, messages
from tests.servers import PASSWORD, Server, postgresql

pytestmark = pytest.mark.services

SCHEMA = """
CREATE TABLE customers (id integer PRIMARY KEY, name text);
CREATE TABLE "Orders" (id integer PRIMARY KEY, customer integer REFERENCES customers);
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 20) n;
INSERT INTO "Orders" SELECT n, 1 + n % 20 FROM generate_series(1, 1000) n;
"""
ROWS = {"public.customers": 20, 'public."Orders"': 1000}


def run_sql(server: Server, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def databases(server: Server) -> set[str]:
    rows = run_sql(server, "SELECT datname FROM pg_database WHERE NOT datistemplate")
    return {str(name) for (name,) in rows}


@pytest.fixture
def server(postgresql_server: Server) -> Iterator[Server]:
    """With the database `shop` and no other, and without whatever a test leaves."""

    def empty() -> None:
        for name in databases(postgresql_server) - {"postgres"}:
            run_sql(postgresql_server, f'DROP DATABASE "{name}" WITH (FORCE)')

    empty()
    run_sql(postgresql_server, "CREATE DATABASE shop")
    run_sql(postgresql_server, SCHEMA, "shop")
    yield postgresql_server
    empty()


@dataclass(frozen=True)
class Counted:
    """The dump of a source with these numbers of rows recorded."""

    inner: PostgreSQL
    rows: dict[str, int]
    contents: Contents = "databases"

    @property
    def name(self) -> str:
        return self.inner.name

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.inner.database_of(path)

    def entries(self) -> Iterator[Entry | Problem]:
        for entry in self.inner.entries():
            yield replace(entry, chunks=partial(self._chunks, entry))

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        yield from entry.chunks()
        entry.rows.update(self.rows)


@pytest.fixture
def pipeline(make: Make, server: Server, destination: MemoryDestination) -> BackupPipeline:
    files = Scripted("app", {"app/note.txt": b"a note"})
    pipeline = make([files, PostgreSQL(server.url("shop"))], destination)
    pipeline.run()
    return pipeline


def marks(destination: MemoryDestination) -> list[str]:
    return [name.rpartition("-")[2] for name in destination.objects if name.startswith("backupkit/")]


def test_a_dump_is_restored_to_a_scratch_database_beside_the_original(
    pipeline: BackupPipeline, server: Server, tmp_path: Path, destination: MemoryDestination
) -> None:
    names: list[str] = []
    run_sql(server, 'DELETE FROM "Orders" WHERE id > 10', "shop")  # since the backup

    def has_orders(restored: Restored) -> None:
        with psycopg.connect(restored.databases["shop"]) as connection:
            row = connection.execute('SELECT current_database(), count(*) FROM "Orders"').fetchone()
            assert row is not None
            names.append(str(row[0]))
            assert row[1] == 1000
        assert (restored.folder / "app" / "note.txt").read_bytes() == b"a note"
        assert not (restored.folder / "db-dumps").exists()

    report = pipeline.drill(scratch=tmp_path, assertions=[has_orders])
    assert (report.outcome, report.problems) == ("succeeded", ())
    (dump,) = report.dumps
    assert dump.path == "db-dumps/postgresql-shop.sql"
    assert dump.database.endswith(f"/{names[0]}")
    assert report.restore_took is not None
    assert timedelta(0) < dump.took <= report.restore_took <= report.took
    assert names[0].startswith("backupkit_drill_")
    assert databases(server) == {"postgres", "shop"}
    assert run_sql(server, 'SELECT count(*) FROM "Orders"', "shop") == [(10,)]
    assert marks(destination) == ["proven"]
    assert list(tmp_path.glob("backupkit*")) == []


def test_the_server_may_be_another_one(pipeline: BackupPipeline, server: Server, tmp_path: Path) -> None:
    with postgresql() as other:

        def is_there(restored: Restored) -> None:
            assert f":{other.port}/" in restored.databases["shop"]
            assert len(databases(other)) == 2

        report = pipeline.drill(scratch=tmp_path, databases={"shop": other.url()}, assertions=[is_there])
        assert (report.outcome, report.problems) == ("succeeded", ())
        assert databases(other) == {"postgres"}


def test_a_database_that_is_named_is_made_used_and_dropped(
    pipeline: BackupPipeline, server: Server, tmp_path: Path
) -> None:
    def is_there(restored: Restored) -> None:
        assert restored.databases["shop"].endswith("/rehearsal")
        assert "rehearsal" in databases(server)

    report = pipeline.drill(
        scratch=tmp_path, databases={"shop": server.url("rehearsal")}, assertions=[is_there]
    )
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert "rehearsal" not in databases(server)


def test_a_database_that_exists_is_refused_and_left_alone(
    pipeline: BackupPipeline, server: Server, tmp_path: Path, destination: MemoryDestination
) -> None:
    run_sql(server, "CREATE DATABASE precious")
    with pytest.raises(RestoreError, match="exists already, and a drill drops what it used"):
        pipeline.drill(scratch=tmp_path, databases={"shop": server.url("precious")})
    assert "precious" in databases(server)
    assert marks(destination) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_the_original_is_refused_before_anything_is_done(
    pipeline: BackupPipeline, server: Server, tmp_path: Path, destination: MemoryDestination, host: str
) -> None:
    url = server.url("shop").replace("127.0.0.1", host)
    with pytest.raises(ConfigurationError, match="would be restored over postgresql://"):
        pipeline.drill(scratch=tmp_path, databases={"shop": url})
    assert run_sql(server, 'SELECT count(*) FROM "Orders"', "shop") == [(1000,)]
    assert (list(tmp_path.glob("backupkit*")), marks(destination)) == ([], [])


def test_hooks_around_a_source_do_not_hide_its_server(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    @contextmanager
    def hook() -> Iterator[None]:
        yield

    pipeline = make(Around(PostgreSQL(server.url("shop")), hook), destination)
    pipeline.run()
    report = pipeline.drill(scratch=tmp_path, assertions=[lambda restored: "shop" in restored.databases])
    assert (report.outcome, report.problems) == ("succeeded", ())


def test_a_dump_that_a_program_made_is_rehearsed_on_the_server_that_is_named(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    dump = Scripted("shop", {"db-dumps/nightly.sql": SCHEMA.encode()}, contents="databases")
    pipeline = make(dump, destination)
    pipeline.run()

    def is_there(restored: Restored) -> None:
        with psycopg.connect(restored.databases["nightly"]) as connection:
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (20,)

    report = pipeline.drill(scratch=tmp_path, databases={"nightly": server.url()}, assertions=[is_there])
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert databases(server) == {"postgres", "shop"}


def test_a_dump_that_cannot_be_loaded_fails_the_drill_and_the_others_are_still_tried(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    dumps = {
        "db-dumps/bad.sql": b"CREATE TABLE t (x nonsense);",
        "db-dumps/good.sql": b"CREATE TABLE t (x int);",
    }
    pipeline = make(Scripted("dumps", dumps, contents="databases"), destination)
    pipeline.run()
    asked: list[Restored] = []
    report = pipeline.drill(
        scratch=tmp_path, databases={"bad": server.url(), "good": server.url()}, assertions=[asked.append]
    )
    assert (report.outcome, asked) == ("failed", [])
    (problem,) = report.problems
    assert problem.path == "db-dumps/bad.sql"
    assert "nonsense" in problem.message
    assert [one.path for one in report.dumps] == ["db-dumps/good.sql"]
    assert marks(destination) == ["refuted"]
    assert databases(server) == {"postgres", "shop"}


def test_rows_are_compared_with_those_that_were_dumped(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    source = PostgreSQL(server.url("shop"))
    pipeline = make(Counted(source, ROWS), destination)
    pipeline.run()
    assert pipeline.drill(scratch=tmp_path, compare_rows=True).problems == ()

    pipeline.sources = (Counted(source, {"public.customers": 21, "public.gone": 1}),)
    pipeline.run()
    report = pipeline.drill(scratch=tmp_path, compare_rows=True)
    assert report.outcome == "failed"
    assert messages(report.problems) == [
        "db-dumps/postgresql-shop.sql came back with other rows than were dumped: public.customers has 20 instead "
        'of 21; public.gone is missing; public."Orders" was not dumped and has 1000.'
    ]
    assert sorted(marks(destination)) == ["proven", "refuted"]


def test_rows_that_nobody_counted_leave_the_drill_incomplete_and_unrecorded(
    pipeline: BackupPipeline, tmp_path: Path, destination: MemoryDestination, server: Server
) -> None:
    report = pipeline.drill(scratch=tmp_path, compare_rows=True)
    assert report.outcome == "incomplete"
    assert "say count_rows=True at the source" in report.problems[0].message
    assert marks(destination) == []


def test_a_database_without_tables_has_no_rows_to_compare(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    run_sql(server, "CREATE DATABASE empty")
    pipeline = make(PostgreSQL(server.url("empty")), destination)
    pipeline.run()
    assert pipeline.drill(scratch=tmp_path, compare_rows=True).problems == ()
    assert marks(destination) == ["proven"]


def test_a_server_that_does_not_answer_proves_nothing(
    pipeline: BackupPipeline, server: Server, tmp_path: Path, destination: MemoryDestination
) -> None:
    nowhere = server.url().replace(f":{server.port}/", ":1/")
    with pytest.raises(RestoreError, match=r"The drill could not begin: .*cannot be reached"):
        pipeline.drill(scratch=tmp_path, databases={"shop": nowhere})
    assert (marks(destination), list(tmp_path.glob("backupkit*"))) == ([], [])


def test_a_user_who_may_not_make_databases_proves_nothing(
    pipeline: BackupPipeline, server: Server, tmp_path: Path, destination: MemoryDestination
) -> None:
    run_sql(server, "CREATE USER modest PASSWORD 'secret'")
    try:
        modest = server.url(user="modest", password="secret")
        with pytest.raises(RestoreError, match=r"The user may not do all that this needs"):
            pipeline.drill(scratch=tmp_path, databases={"shop": modest})
    finally:
        run_sql(server, "DROP USER modest")
    assert marks(destination) == []
    assert databases(server) == {"postgres", "shop"}


def test_a_server_that_dies_while_it_is_restored_to_proves_nothing(
    make: Make, pipeline: BackupPipeline, destination: MemoryDestination, tmp_path: Path
) -> None:
    with postgresql() as other:

        def kill(event: Event) -> None:
            if isinstance(event, BytesRead) and event.count > 100:
                other.kill()

        watched = make(pipeline.sources, destination, observers=[kill])
        with pytest.raises(RestoreError) as caught:
            watched.drill(scratch=tmp_path, databases={"shop": other.url()})
    assert marks(destination) == []
    report = caught.value.report
    assert report is not None
    assert any("could not be removed" in one for one in messages(report.problems, "warning"))
    assert list(tmp_path.glob("backupkit*")) == []


def interrupt(_: Restored) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["while loading", "while asking", "interrupted", "cancelled"])
def test_however_a_drill_ends_its_databases_are_dropped(
    make: Make,
    pipeline: BackupPipeline,
    server: Server,
    destination: MemoryDestination,
    tmp_path: Path,
    how: str,
) -> None:
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, BytesRead) and event.count > 100:
            assert len(databases(server)) == 3, "it is in the middle of it"
            cancel.set()

    watched = make(pipeline.sources, destination, observers=[stop] if how == "while loading" else [])
    assertions: dict[str, Callable[[Restored], object]] = {
        "interrupted": interrupt,
        "cancelled": lambda _: cancel.set(),
    }
    chosen = assertions.get(how)
    if how == "while asking":
        report = watched.drill(scratch=tmp_path, assertions=[lambda _: False])
        assert report.outcome == "failed"
        expected = ["refuted"]
    else:
        kind = KeyboardInterrupt if how == "interrupted" else OperationCancelledError
        with pytest.raises(kind):
            watched.drill(scratch=tmp_path, assertions=[chosen] if chosen else [], cancel=cancel)
        expected = []
    assert databases(server) == {"postgres", "shop"}
    assert list(tmp_path.glob("backupkit*")) == []
    assert marks(destination) == expected


def test_keep_leaves_the_database_and_says_where_without_the_password(
    pipeline: BackupPipeline, server: Server, tmp_path: Path
) -> None:
    report = pipeline.drill(scratch=tmp_path, keep=True)
    assert report.outcome == "succeeded"
    (name,) = databases(server) - {"postgres", "shop"}
    assert name.startswith("backupkit_kept_")
    told = "\n".join(messages(report.problems, "warning"))
    assert f"The scratch database postgresql://admin@127.0.0.1:{server.port}/{name} was kept" in told
    _assert_no_password(report)


def test_no_report_and_no_message_holds_the_password(
    pipeline: BackupPipeline, server: Server, tmp_path: Path
) -> None:
    def tells(restored: Restored) -> None:
        raise RuntimeError(f"{restored.databases} {PASSWORD} {PASSWORD!r} {restored.databases['shop']}")

    _assert_no_password(pipeline.drill(scratch=tmp_path, assertions=[tells]))
    with pytest.raises(RestoreError) as caught:
        pipeline.drill(scratch=tmp_path, databases={"shop": server.url("postgres")})
    _assert_no_password(caught.value.report, caught.value, caught.value.__cause__, vars(caught.value))


def _assert_no_password(*shown: object) -> None:
    text = "\n".join(f"{one!r} {one}" for one in shown)
    for form in (PASSWORD, quote(PASSWORD, safe=""), repr(PASSWORD)[1:-1]):
        assert form not in text


def test_abandoned_scratch_databases_are_dropped_after_a_day_and_nothing_else(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    clock = Clock()
    source = PostgreSQL(server.url("shop"))
    pipeline = make(source, destination, clock=clock)
    pipeline.run()
    stays = {
        f"backupkit_drill_{clock.now - timedelta(hours=23):%Y%m%d%H%M%S}_0123456789",  # it may go on still
        "backupkit_kept_20200101000000_0123456789",
        "backupkit_drill_20200101000000",
        "backupkit_drill_20201301000000_0123456789",
        "my_backupkit_drill_20200101000000_0123456789",
    }
    goes = f"backupkit_drill_{clock.now - timedelta(hours=25):%Y%m%d%H%M%S}_0123456789"
    for name in (*stays, goes):
        run_sql(server, f'CREATE DATABASE "{name}"')
    assert pipeline.drill(scratch=tmp_path).problems == ()
    assert databases(server) == {"postgres", "shop", *stays}


KILLED = """
import os, signal, sys
from backupkit import BackupPipeline
from backupkit.sources.postgresql import PostgreSQL
backups, scratch = sys.argv[1:]
pipeline = BackupPipeline("shop", PostgreSQL(os.environ["SHOP"]), [backups], encryptor=None)
pipeline.run()
pipeline.drill(scratch=scratch, assertions=[lambda _: os.kill(os.getpid(), signal.SIGKILL)])
"""


def test_the_next_drill_drops_what_a_killed_one_left(server: Server, make: Make, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "backups"), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "SHOP": server.url("shop")}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(databases(server)) == 3
    clock = Clock(datetime.now(UTC) + timedelta(hours=25))
    pipeline = make(PostgreSQL(server.url("shop")), [tmp_path / "backups"], clock=clock)
    assert pipeline.drill(scratch=tmp_path).outcome == "succeeded"
    assert databases(server) == {"postgres", "shop"}


def test_a_full_disk_at_the_server_proves_nothing(
    make: Make, server: Server, destination: MemoryDestination, tmp_path: Path
) -> None:
    full = b"DO $$ BEGIN RAISE 'could not extend file \"base/1\": No space left on device'; END $$;"
    pipeline = make(Scripted("dumps", {"db-dumps/shop.sql": full}, contents="databases"), destination)
    pipeline.run()
    with pytest.raises(RestoreError, match="No space left on device"):
        pipeline.drill(scratch=tmp_path, databases={"shop": server.url()})
    assert marks(destination) == []
    assert databases(server) == {"postgres", "shop"}
