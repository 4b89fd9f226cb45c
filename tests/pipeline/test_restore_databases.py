"""Restoring databases: which dump goes where, what is refused before anything is touched, and what is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    DirectoryTarget,
    Entry,
    Problem,
    RestoreError,
)
from backupkit.databases.urls import parse_database_url
from backupkit.protocols import Target
from backupkit.sources.postgresql import PostgreSQL
from backupkit.targets.database import DatabaseTarget
from backupkit.targets.dumps import short_name
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Make, Scripted, messages, names
from tests.servers import PASSWORD, Server

DUMPS: Mapping[str, bytes] = {
    "db-dumps/mysql-shop.sql": b"CREATE shop",
    "db-dumps/postgresql-crm.pgdump": b"CREATE crm",
    "db-dumps/stats.sql.gz": b"CREATE stats",
}


@dataclass
class Loads:
    """A target that takes dumps, and keeps what it was given."""

    taken: dict[str, bytes] = field(default_factory=dict)
    obstacle: str | None = None
    fails: Exception | Callable[[], object] | None = None

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        for entry in entries:
            if self.obstacle:
                yield Problem(message=self.obstacle, path=entry.path)

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        for entry in entries:
            content = b"".join(entry.chunks())
            if isinstance(self.fails, Exception):
                raise self.fails
            if self.fails is not None:
                self.fails()
            self.taken[entry.path] = content
        yield from ()


@pytest.fixture
def pipeline(make: Make, destination: MemoryDestination) -> BackupPipeline:
    files = {"app/a.txt": b"a", "app/b.txt": b"b"}
    pipeline = make([Scripted("app", files), Scripted("dumps", DUMPS, contents="databases")], destination)
    pipeline.run()
    return pipeline


def test_each_dump_goes_to_its_database_and_everything_else_to_the_folder(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    shop, crm = Loads(), Loads()
    report = pipeline.restore(to=tmp_path / "restored", databases={"shop": shop, "crm": crm})
    assert (report.outcome, report.problems, report.entries) == ("succeeded", (), 5)
    assert shop.taken == {"db-dumps/mysql-shop.sql": b"CREATE shop"}
    assert crm.taken == {"db-dumps/postgresql-crm.pgdump": b"CREATE crm"}
    assert names(tmp_path / "restored") == ["app/a.txt", "app/b.txt", "db-dumps/stats.sql.gz"]
    assert report.written == 2 + sum(map(len, DUMPS.values()))


def test_without_a_folder_nothing_but_the_dumps_that_are_named_is_restored(pipeline: BackupPipeline) -> None:
    shop = Loads()
    report = pipeline.restore(databases={"shop": shop})
    assert (report.outcome, report.entries, report.written) == ("succeeded", 1, 11)
    assert list(shop.taken) == ["db-dumps/mysql-shop.sql"]


@pytest.mark.parametrize("name", ["db-dumps/stats.sql.gz", "stats.sql.gz", "stats"])
def test_a_dump_is_named_by_its_path_its_file_or_what_it_is_of(pipeline: BackupPipeline, name: str) -> None:
    stats = Loads()
    pipeline.restore(databases={name: stats})
    assert list(stats.taken) == ["db-dumps/stats.sql.gz"]


@pytest.mark.parametrize(
    ("dump", "short"),
    [
        ("mysql-shop.sql", "shop"),
        ("mariadb-shop.sql.gz", "shop"),
        ("postgresql-main/shop.pgdump", "main/shop"),
        ("postgresql-mysql-copy.sql", "mysql-copy"),
        ("postgresql-a.sql.sql", "a.sql"),
        ("mongodb-shop.archive", "shop"),
        ("redis-cache.rdb", "cache"),
        ("sqlite-shop.sqlite3", "shop"),
        ("shop.sql.bz2", "shop"),
        ("shop", "shop"),
    ],
)
def test_the_short_name_of_a_dump_is_that_of_its_database(dump: str, short: str) -> None:
    assert short_name(dump) == short


def test_a_name_that_means_no_dump_is_told_before_anything_is_written(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    for to in (None, tmp_path / "restored"):
        with pytest.raises(RestoreError, match="There is no dump 'shopp' in what was asked for"):
            pipeline.restore(to=to, databases={"shopp": Loads()})
    assert not (tmp_path / "restored").exists()


def test_a_name_that_means_several_dumps_is_told_with_their_paths(
    make: Make, destination: MemoryDestination
) -> None:
    dumps = {"db-dumps/mysql-shop.sql": b"m", "db-dumps/postgresql-shop.sql": b"p"}
    pipeline = make(Scripted("dumps", dumps, contents="databases"), destination)
    pipeline.run()
    with pytest.raises(
        RestoreError, match=r"'shop' means several dumps \(db-dumps/mysql-shop.sql, db-dumps/post"
    ):
        pipeline.restore(databases={"shop": Loads()})
    one, other = Loads(), Loads()
    pipeline.restore(databases={"mysql-shop.sql": one, "shop": other})
    assert list(one.taken) == ["db-dumps/mysql-shop.sql"]
    assert list(other.taken) == ["db-dumps/postgresql-shop.sql"]


def test_an_obstacle_at_one_database_keeps_everything_from_being_written(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    shop, crm = Loads(), Loads(obstacle="It is not empty.")
    with pytest.raises(RestoreError, match=r"Nothing was restored: It is not empty\."):
        pipeline.restore(to=tmp_path / "restored", databases={"shop": shop, "crm": crm})
    assert shop.taken == {}
    assert not (tmp_path / "restored").exists()
    dry = pipeline.restore(databases={"shop": shop, "crm": crm}, dry_run=True)
    assert (dry.outcome, messages(dry.problems)) == ("failed", ["It is not empty."])
    assert (shop.taken, crm.taken) == ({}, {})


def test_a_dry_run_loads_nothing(pipeline: BackupPipeline) -> None:
    shop = Loads()
    report = pipeline.restore(databases={"shop": shop}, dry_run=True)
    assert (report.outcome, report.entries, shop.taken) == ("succeeded", 1, {})


def failure(path: str) -> RestoreError:
    return RestoreError(f"{path} could not be loaded.", path=path)


def test_a_database_that_fails_is_a_problem_and_the_others_and_the_files_go_on(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    shop, crm = Loads(fails=failure("db-dumps/mysql-shop.sql")), Loads()
    report = pipeline.restore(to=tmp_path / "restored", databases={"shop": shop, "crm": crm})
    assert report.outcome == "incomplete"
    assert messages(report.problems) == ["db-dumps/mysql-shop.sql could not be loaded."]
    assert crm.taken
    assert names(tmp_path / "restored") == ["app/a.txt", "app/b.txt", "db-dumps/stats.sql.gz"]


def test_a_restore_of_databases_that_all_fail_fails(pipeline: BackupPipeline) -> None:
    one = failure("db-dumps/mysql-shop.sql")
    with pytest.raises(RestoreError) as caught:
        pipeline.restore(databases={"shop": Loads(fails=one)})
    assert caught.value is one
    with pytest.raises(ExceptionGroup) as group:
        pipeline.restore(databases={"shop": Loads(fails=one), "crm": Loads(fails=failure("crm"))})
    assert [str(error) for error in group.value.exceptions] == [str(one), "crm could not be loaded."]


def test_what_failed_before_the_restore_broke_off_is_in_the_report(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    def cut() -> None:
        raise DestinationError("The cable was cut.", location="memory:memory")

    databases = {"shop": Loads(fails=failure("db-dumps/mysql-shop.sql")), "crm": Loads(fails=cut)}
    for to in (None, tmp_path / "restored"):
        with pytest.raises(DestinationError, match="The cable was cut") as caught:
            pipeline.restore(to=to, databases=databases)
        assert caught.value.report is not None
        assert messages(caught.value.report.problems) == [
            "db-dumps/mysql-shop.sql could not be loaded.",
            "The cable was cut.",
        ]


def test_a_damaged_dump_is_told_and_the_others_go_on(
    make: Make, destination: MemoryDestination, tmp_path: Path
) -> None:
    noise = os.urandom(100_000)
    dumps = {"db-dumps/mysql-shop.sql": noise, "db-dumps/postgresql-crm.sql": b"c"}
    pipeline = make(Scripted("dumps", dumps, contents="databases"), destination)
    pipeline.run()
    (name,) = [name for name in destination.objects if name.endswith(".zip")]
    archive = destination.objects[name]
    destination.objects[name] = archive[:5000] + bytes([archive[5000] ^ 1]) + archive[5001:]
    shop, crm = Loads(), Loads()
    report = pipeline.restore(databases={"shop": shop, "crm": crm})
    assert report.outcome == "incomplete"
    (problem,) = report.problems
    assert problem.path == "db-dumps/mysql-shop.sql"
    assert "was not restored: " in problem.message
    assert (shop.taken, crm.taken) == ({}, {"db-dumps/postgresql-crm.sql": b"c"})
    with pytest.raises(RestoreError) as caught:
        pipeline.restore(databases={"shop": shop})
    assert "is damaged in the archive" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Nothing says where to restore to"),
        ({"databases": {}}, "Nothing says where to restore to"),
        ({"databases": ["mysql://h/shop"]}, "is a mapping of dumps to databases"),
        ({"databases": {"shop": "/srv/shop"}}, "does not name a database: give its URL"),
        ({"databases": {"shop": Path("/srv/shop")}}, "does not name a database: give its URL"),
        ({"databases": {"shop": DirectoryTarget("/srv/shop")}}, "is a folder: give that as to="),
        ({"databases": {"shop": "mysql://h/"}}, "names no database to restore to"),
        ({"to": "mysql://h/shop", "databases": {"crm": Loads()}}, "both name databases"),
        ({"to": "s3://user:hunter2@bucket/x"}, "^s3:// is nothing that can be restored to: name a folder"),
        (
            {"databases": {"shop": "mysql://h/shop", "crm": "mariadb://root@h:3306/shop"}},
            "'shop' and 'crm' would both be restored to mariadb://root@h:3306/shop",
        ),
        ({"databases": {"shop": Loads()}, "overwrite": True}, "give them to the target that you made"),
        ({"databases": {"shop": Loads()}, "create": True}, "give them to the target that you made"),
        ({"databases": {"shop": "mysql://h/shop"}, "resume": True}, "give them to the target that you made"),
        ({"to": "/srv/x", "tables": ["t"]}, "give them to the target that you made"),
        ({"databases": {"crm": "postgresql://h/crm"}, "tables": "orders"}, "is one text: give a list"),
        ({"databases": {"shop": "mysql://h/shop"}, "tables": ["orders"]}, "Only PostgreSQL dumps"),
        ({"to": "postgresql://h/crm", "only": "files"}, "Files cannot be restored to a database"),
    ],
)
def test_what_is_wrong_with_the_places_is_said_before_anything_is_read(
    make: Make, options: dict[str, object], message: str
) -> None:
    pipeline = make(Scripted("app", {}), "/nowhere")
    with pytest.raises(ConfigurationError, match=message) as caught:
        pipeline.restore(**options)  # type: ignore[arg-type]
    assert "hunter2" not in f"{caught.value} {vars(caught.value)}"


def test_options_are_for_what_is_named_and_a_target_that_was_made_has_its_own(
    pipeline: BackupPipeline, tmp_path: Path
) -> None:
    shop = Loads()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.txt").write_bytes(b"old")
    pipeline.restore(to=tmp_path, databases={"shop": shop}, overwrite=True)
    assert (tmp_path / "app" / "a.txt").read_bytes() == b"a"
    assert shop.taken


def test_a_dump_is_not_loaded_into_another_engine_and_nothing_there_is_asked(
    pipeline: BackupPipeline,
) -> None:
    for url in ("mysql://127.0.0.1:1/x", "redis://127.0.0.1:1", "mongodb://127.0.0.1:1/x"):
        with pytest.raises(
            RestoreError, match=r"db-dumps/postgresql-crm\.pgdump is a dump of postgresql, and "
        ):
            pipeline.restore(databases={"crm": url}, overwrite=True)
    (problem,) = DatabaseTarget("redis://127.0.0.1:1").check([Entry(path="db-dumps/mariadb-shop.sql")])
    assert "a dump of mariadb" in problem.message


# On a real server.


@pytest.fixture
def server(postgresql_server: Server) -> Iterator[Server]:
    _run(postgresql_server, "CREATE DATABASE shop")
    _run(postgresql_server, "CREATE TABLE orders AS SELECT generate_series(1, 100) AS id", "shop")
    yield postgresql_server
    rows = _run(postgresql_server, "SELECT datname FROM pg_database WHERE NOT datistemplate")
    for (name,) in rows:
        if name != "postgres":
            _run(postgresql_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def served(make: Make, server: Server, destination: MemoryDestination) -> BackupPipeline:
    pipeline = make([Scripted("app", {"app/a": b"a"}), PostgreSQL(server.url("shop"))], destination)
    pipeline.run()
    return pipeline


def _run(server: Server, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def _orders(server: Server, database: str) -> object:
    return _run(server, "SELECT count(*) FROM orders", database)[0][0]


@pytest.mark.services
def test_a_url_is_enough_for_the_only_dump(served: BackupPipeline, server: Server) -> None:
    report = served.restore(to=server.url("copy"), create=True)
    assert (report.outcome, report.entries, report.problems) == ("succeeded", 1, ())
    assert _orders(server, "copy") == 100
    served.restore(to=parse_database_url(server.url("copy2")), create=True)
    served.restore(databases={"shop": DatabaseTarget(server.url("copy3"), create=True)})
    assert [_orders(server, name) for name in ("copy2", "copy3")] == [100, 100]


@pytest.mark.services
def test_files_and_databases_come_back_in_one_call(
    served: BackupPipeline, server: Server, tmp_path: Path
) -> None:
    report = served.restore(to=tmp_path / "restored", databases={"shop": server.url("copy")}, create=True)
    assert (report.outcome, report.entries) == ("succeeded", 2)
    assert (names(tmp_path / "restored"), _orders(server, "copy")) == (["app/a"], 100)


@pytest.mark.services
def test_a_database_that_holds_something_is_replaced_only_when_told_to(
    served: BackupPipeline, server: Server
) -> None:
    _run(server, "DELETE FROM orders WHERE id > 50", "shop")
    with pytest.raises(RestoreError, match="is not empty: restore to another one, or say overwrite=True"):
        served.restore(databases={"shop": server.url("shop")})
    assert _orders(server, "shop") == 50
    with pytest.raises(RestoreError, match=r"There is no database .*: create it, or say create=True"):
        served.restore(databases={"shop": server.url("missing")})


@pytest.mark.services
def test_the_password_is_in_no_error_and_no_report(
    served: BackupPipeline, server: Server, tmp_path: Path
) -> None:
    nowhere = server.url("shop").replace(f":{server.port}/", ":1/")
    places: list[dict[str, object]] = [
        {"to": nowhere},
        {"to": DatabaseTarget(nowhere)},
        {"to": server.url("missing")},
        {"databases": {"shop": nowhere}},
        {"to": server.url("shop"), "include": ["nothing"]},
    ]
    for place in places:
        with pytest.raises(RestoreError) as caught:
            served.restore(**place)  # type: ignore[arg-type]
        error = caught.value
        text = f"{error!r} {error} {vars(error)} {error.__cause__!r} {error.report}"
        for form in (PASSWORD, repr(PASSWORD)[1:-1], server.url("").partition(":")[2].partition("@")[0][8:]):
            assert form not in text


def test_a_target_of_your_own_may_take_everything(pipeline: BackupPipeline) -> None:
    everything: Target = Loads()
    report = pipeline.restore(to=everything)
    assert report.entries == 5
