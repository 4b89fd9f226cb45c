"""The history gives back every report it was given, on every database, whoever writes at the same moment."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit import ConfigurationError, DatabaseHistory, NotificationError, Problem, Report
from backupkit.history import AuditLine, Recorded
from backupkit.model import Operation
from backupkit.plain_data import plain
from backupkit.protocols import Memory
from backupkit.tables import REPORTS, Records
from tests.notifiers.notices import cleaned
from tests.recording import KINDS, database_url, emptied, wire_to
from tests.test_plain_data import made_of

START = datetime(2026, 11, 23, 3, tzinfo=UTC)
# Whatever stands in paths and messages: bytes that are not UTF-8, NUL, what MySQL's "utf8" cannot hold, quotes.
ODD = Problem(message="It's \"lost\": \\ 'é' 💾 한 \0", path="app/caf\udce9", severity="warning")


def report(number: int = 0, *, name: str = "shop", operation: Operation = "run") -> Report:
    return Report(
        operation=operation,
        outcome="succeeded",
        name=name,
        started=START + timedelta(hours=number, microseconds=number),
        took=timedelta(seconds=90.000001),
        entries=number,
        read=1 << 40,
        written=5_000_000_000,
        problems=(ODD,),
    )


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with database_url(str(request.param), request, tmp_path_factory.mktemp("records")) as url:
        yield url


@pytest.fixture
def url(database: str) -> str:
    return emptied(database)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite3"


@pytest.fixture
def history(file: Path) -> DatabaseHistory:
    return DatabaseHistory(f"sqlite:///{file}")


def test_reports_come_back_equal_newest_first(url: str) -> None:
    reports = [report(number) for number in (1, 3, 2)]
    for one in reports:
        DatabaseHistory(url).record(one)
    assert [*DatabaseHistory(url).reports()] == [reports[1], reports[2], reports[0]]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)  # the one that limits what a statement holds
def test_a_report_on_ten_thousand_backups_comes_back_equal(url: str) -> None:
    history = DatabaseHistory(url)
    history.record(cleaned(10_000))
    assert history.last("shop", "clean") == cleaned(10_000)
    with history._records.begin() as connection:
        body = connection.execute(sa.select(REPORTS.c.body)).scalar_one()
    assert len(body) < 4 << 20, "older servers take no statement above 4 MiB"


def test_questions_are_answered_by_name_operation_and_time(url: str) -> None:
    history = DatabaseHistory(url)
    assert (history.count(), history.last("shop", "run"), [*history.reports()]) == (0, None, [])
    for number in range(4):
        history.record(report(number))
        history.record(report(number, operation="clean"))
        history.record(report(number, name="Shop"))
    assert history.count() == 12
    assert history.count("shop") == 8, "names that differ in case are different names"
    assert history.count("shop", "clean", since=report(1).started) == 3
    assert history.count(before=report(1).started) == 3
    assert [one.entries for one in history.reports("shop", "run", before=report(3).started, limit=2)] == [
        2,
        1,
    ]
    east = report(2).started.astimezone(datetime.now().astimezone().tzinfo)
    assert [one.entries for one in history.reports("shop", "run", since=east)] == [3, 2]
    assert history.last("shop", "clean") == report(3, operation="clean")


def test_a_list_has_what_stands_in_columns_and_an_id_that_gets_all_of_it(url: str) -> None:
    history = DatabaseHistory(url)
    for number in range(3):
        history.record(report(number))
    newest, *_ = history.recorded()
    assert newest == Recorded(
        id=newest.id,
        name="shop",
        operation="run",
        outcome="succeeded",
        started=report(2).started,
        took=timedelta(seconds=90.000001),
        entries=2,
        read=1 << 40,
        written=5_000_000_000,
        problems=1,
    )
    assert history.report(newest.id) == report(2)
    assert history.report("0" * 64) is None
    assert [one.entries for one in history.recorded(limit=2, skip=1)] == [1, 0]
    assert history.recorded(skip=3) == []


def test_lists_are_of_several_pipelines_and_of_one_outcome(url: str) -> None:
    history = DatabaseHistory(url)
    for number, name in enumerate(["shop", "forum", "Shop"]):
        history.record(report(number, name=name))
        history.record(replace(report(number, name=name), outcome="failed"))
    names = ["shop", "forum"]
    assert [one.name for one in history.recorded(names)] == ["forum", "forum", "shop", "shop"]
    assert [one.name for one in history.recorded(names, outcome="failed")] == ["forum", "shop"]
    assert [one.name for one in history.reports(names, outcome="failed")] == ["forum", "shop"]
    assert (history.count(names), history.count(names, outcome="failed"), history.count([])) == (4, 2, 0)


def test_the_newest_of_each_operation_is_found_by_one_question(url: str) -> None:
    history = DatabaseHistory(url)
    for number, name in ((3, "shop"), (1, "shop"), (9, "blog"), (0, "Shop")):
        history.record(report(number, name=name))
    history.record(report(2, operation="drill"))
    history.record(report(2))  # of the same moment, and not the newest
    assert [(one.operation, one.entries) for one in history.newest("shop")] == [("drill", 2), ("run", 3)]
    assert [(one.name, one.entries) for one in history.newest(["blog", "shop"])] == [
        ("shop", 2),
        ("shop", 3),
        ("blog", 9),
    ]
    assert history.newest("nobody") == []
    assert history.report(history.newest("blog")[0].id) == report(9, name="blog")


def test_the_same_report_told_again_is_kept_once(url: str) -> None:
    history = DatabaseHistory(url)
    history.record(report())
    history.record(report())
    history.record(replace(report(), entries=1))
    assert history.count() == 2


def test_what_is_older_than_is_to_be_kept_goes_when_the_next_is_recorded(url: str) -> None:
    history = DatabaseHistory(url, keep=timedelta(hours=2))
    history.record(report(0, name="other"))
    for number in range(5):
        history.record(report(number))
    assert [one.entries for one in history.reports("shop")] == [4, 3]
    assert history.count("other") == 1, "that is for its own pipeline to say"


def test_a_clock_that_is_ahead_does_not_empty_the_history(history: DatabaseHistory) -> None:
    old = replace(report(), started=datetime.now(UTC) - timedelta(days=2))
    keeping = DatabaseHistory(history._records.engine, keep=timedelta(days=5))
    keeping.record(old)
    keeping.record(replace(report(1), started=datetime.now(UTC) + timedelta(days=4000)))
    assert keeping.count() == 2
    keeping.note(replace(line(), time=old.started))
    keeping.note(replace(line(), time=datetime.now(UTC) + timedelta(days=4000)))
    assert keeping.count_noted() == 2, "nor the audit"


def test_what_has_been_told_is_remembered_replaced_and_forgotten(url: str) -> None:
    history = DatabaseHistory(url)
    assert isinstance(history, Memory)
    long = "shop-1 /mnt/caf\udce9\0/" + "x" * 3000
    for key in ("shop", "SHOP", long):
        assert history.recall(key) is None
        history.remember(key, f"first {key}")
        history.remember(key, f"second {key}")
    assert [history.recall(key) for key in ("shop", "SHOP", long)] == [
        *("second shop", "second SHOP", f"second {long}")
    ]
    history.remember("shop", None)
    history.remember("shop", None)
    assert (history.recall("shop"), history.recall("SHOP")) == (None, "second SHOP")


def line(number: int = 0, *, who: str = "anna", pipeline: str = "shop") -> AuditLine:
    return AuditLine(
        time=START + timedelta(hours=number),
        who=who,
        what={"verb": "restore", "include": ["app/caf\udce9\0", "💾"], "overwrite": True, "number": number},
        pipeline=pipeline,
        address="2001:db8::1",
        outcome="refused" if number % 2 else "asked",
    )


def test_lines_of_the_audit_come_back_equal_newest_first(url: str) -> None:
    lines = [line(number) for number in (1, 3, 2)]
    for one in lines:
        DatabaseHistory(url).note(one)
    history = DatabaseHistory(url)
    assert history.noted() == [lines[1], lines[2], lines[0]]
    assert history.noted(limit=1, skip=1) == [lines[2]]
    assert history.count() == 0, "a line is no report"


def test_the_audit_is_asked_by_person_and_pipeline(url: str) -> None:
    history = DatabaseHistory(url)
    assert (history.noted(), history.count_noted()) == ([], 0)
    for number, (who, pipeline) in enumerate(
        [("anna", "shop"), ("Anna", "shop"), ("anna", "Shop"), ("ben", "")]
    ):
        history.note(line(number, who=who, pipeline=pipeline))
    assert [one.what["number"] for one in history.noted(who="anna")] == [2, 0]
    assert [one.what["number"] for one in history.noted("shop")] == [1, 0]
    assert [one.what["number"] for one in history.noted("shop", "anna")] == [0]
    assert [one.what["number"] for one in history.noted("")] == [3]
    assert history.count_noted("shop") == 2
    assert history.count_noted() == 4


def test_names_of_any_length_and_bytes_are_kept_in_the_audit(url: str) -> None:
    history = DatabaseHistory(url)
    history.note(line(who="\0\udce9💾" + "x" * 1000, pipeline="y" * 1000))
    (found,) = history.noted("y" * 1000)
    assert found.who.endswith("x")


def test_the_audit_is_kept_as_long_as_reports_are(url: str) -> None:
    history = DatabaseHistory(url, keep=timedelta(hours=2))
    history.note(line(0, pipeline="other"))
    for number in range(5):
        history.note(line(number))
    assert [one.what["number"] for one in history.noted("shop")] == [4, 3, 2]
    assert history.count_noted("other") == 1
    history.record(report(9))
    assert history.count_noted("shop") == 3, "lines go by lines, reports by reports"


def test_many_can_begin_at_the_same_moment(url: str) -> None:
    together = threading.Barrier(6)
    failures: list[Exception] = []

    def record(number: int) -> None:
        try:
            history = DatabaseHistory(url)
            together.wait()
            for turn in range(2):
                history.record(report(number * 10 + turn))
                history.remember("told", f"{number} {turn}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert DatabaseHistory(url).count() == 12
    assert (DatabaseHistory(url).recall("told") or "").endswith(" 1")


BEFORE = sa.Table(  # as the version made it that did not count problems
    "backupkit_reports",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("identity", sa.String(64), nullable=False, unique=True),
    sa.Column("started", sa.DateTime, nullable=False, index=True),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("operation", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("took", sa.Double, nullable=False),
    sa.Column("read", sa.BigInteger, nullable=False),
    sa.Column("written", sa.BigInteger, nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("ix_backupkit_reports_of", "name", "operation", "started"),
)


def test_the_table_of_an_earlier_version_gets_what_it_lacks_whoever_begins_first(url: str) -> None:
    engine = Records(url, ()).engine
    BEFORE.create(engine)
    row = {"name": "shop", "operation": "run", "outcome": "succeeded", "took": 90, "read": 0, "written": 0}
    written = json.dumps(plain(report(1)))

    def earlier(number: int, body: str = written) -> None:
        started = report(number).started.replace(tzinfo=None, microsecond=0)
        values = {**row, "identity": f"{number}", "started": started, "entries": number, "body": body}
        with engine.begin() as connection:
            connection.execute(BEFORE.insert(), values)

    earlier(0, '{"version": ')
    earlier(1)
    together, failures = threading.Barrier(6), list[Exception]()

    def record(number: int) -> None:
        try:
            history = DatabaseHistory(url)
            together.wait()
            history.record(replace(report(number), problems=()))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=record, args=(number,)) for number in range(3, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    earlier(2)  # a process of the earlier version is still at work
    history = DatabaseHistory(url)
    listed = [(one.entries, one.problems) for one in history.recorded()]
    assert listed == [*((number, 0) for number in range(8, 2, -1)), (2, 1), (1, 1), (0, 1)]
    assert history.newest("shop")[0].entries == 8


FORKING = """
import os, sys
from datetime import UTC, datetime, timedelta
from backupkit import DatabaseHistory, Report

def record(number):
    history.record(Report(operation="run", outcome="succeeded", name="shop", took=timedelta(0),
                          started=datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=number)))

history = DatabaseHistory(sys.argv[1])
if len(sys.argv) > 2:
    record(99_999)
read, write = os.pipe()
children = []
for child in range(4):
    if not (pid := os.fork()):
        os.close(write)
        os.read(read, 1)  # until all are there
        for turn in range(8):
            record(child * 100 + turn)
        os._exit(0)
    children.append(pid)
os.close(write)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
print(history.count())
"""


@pytest.mark.parametrize("used_before", [False, True])
def test_forked_processes_write_one_sqlite_file_at_once(file: Path, used_before: bool) -> None:
    arguments = [f"sqlite:///{file}", *(["used"] if used_before else [])]
    program = [sys.executable, "-W", "error", "-c", FORKING, *arguments]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{32 + used_before}\n", "")


@settings(max_examples=25)
@given(st.lists(made_of(Report), max_size=3))
def test_any_reports_come_back_equal(reports: list[Report]) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    history = DatabaseHistory(engine)
    for one in reports:
        history.record(one)
    for one in reports:
        assert one in [*history.reports(one.name, one.operation, since=one.started, limit=None)]
    engine.dispose()


def test_all_of_a_long_history_can_be_read(history: DatabaseHistory) -> None:
    with history._records.begin() as connection:
        row = {"name": "shop", "operation": "run", "outcome": "failed", "took": 1.5, "body": "{}"}
        rows = [
            {
                **row,
                "identity": f"{number}",
                "started": START + timedelta(hours=number // 2),
                "entries": number,
                "read": 0,
                "written": 0,
                "problems": 0,
            }
            for number in range(250)
        ]
        connection.execute(REPORTS.insert(), rows)
    assert [one.entries for one in history.reports(limit=None)] == [*range(249, -1, -1)]
    assert [one.entries for one in history.reports(limit=201)] == [*range(249, 48, -1)]
    assert [*history.reports(limit=0)] == []


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"operation": "fly"}', "zlib:!", "zlib:AAAA", "[" * 100_000]
)
def test_a_report_whose_details_cannot_be_read_is_there_with_a_warning(
    history: DatabaseHistory, body: str
) -> None:
    history.record(report(7))
    with history._records.begin() as connection:
        connection.execute(REPORTS.update().values(body=body))
    (found,) = history.reports()
    assert replace(found, problems=()) == replace(report(7), problems=())
    (problem,) = found.problems
    assert (problem.severity, problem.check) == ("warning", "history")
    assert "cannot be read" in problem.message
    assert history.report(history.recorded()[0].id) == found


def test_the_default_file_lies_where_the_memory_does_and_is_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backupkit.tables.state_folder", lambda: str(tmp_path / "state" / "backupkit"))
    DatabaseHistory().record(report())
    file = tmp_path / "state" / "backupkit" / "backupkit.sqlite3"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert DatabaseHistory(f"sqlite:///{file}").count() == 1


def test_a_table_that_somebody_dropped_is_made_again(history: DatabaseHistory, file: Path) -> None:
    history.record(report())
    with history._records.begin() as connection:
        connection.execute(sa.text("DROP TABLE backupkit_reports"))
    assert failure(history).retryable
    history.record(report())
    assert history.count() == 1


def test_a_file_that_somebody_removed_is_made_again_for_its_owner_alone(
    history: DatabaseHistory, file: Path
) -> None:
    history.record(report())
    file.unlink()
    history.record(report())
    assert history.count() == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def failure(history: DatabaseHistory, number: int = 1) -> NotificationError:
    with pytest.raises(NotificationError) as caught:
        history.record(report(number))
    return caught.value


def test_a_locked_database_may_be_tried_again(history: DatabaseHistory, file: Path) -> None:
    history.record(report())
    impatient = DatabaseHistory(f"sqlite:///{file}?timeout=0.1")
    locker = sqlite3.connect(file)
    locker.execute("BEGIN IMMEDIATE")
    error = failure(impatient)
    locker.close()
    assert error.retryable
    assert "database is locked" in str(error)
    assert history.count() == 1


def test_a_database_that_may_only_be_read_is_not_tried_again(history: DatabaseHistory, file: Path) -> None:
    history.record(report())
    error = failure(DatabaseHistory(f"sqlite:///file:{file}?mode=ro&uri=true"))
    assert not error.retryable
    assert "readonly" in str(error)
    assert history.count() == 1


@pytest.mark.parametrize("content", [b"no database" * 100, None])
def test_a_file_that_is_no_database_is_not_tried_again(file: Path, content: bytes | None) -> None:
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert not failure(DatabaseHistory(f"sqlite:///{file}")).retryable


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    error = failure(DatabaseHistory(f"sqlite:///{tmp_path}/missing/records.sqlite3"))
    assert str(error) == (
        f"The database sqlite:///{tmp_path}/missing/records.sqlite3 could not be used: No such file or directory."
    )


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("cut_at", [b"INSERT INTO backupkit_reports", b"DELETE FROM backupkit_reports"])
def test_a_server_that_goes_away_in_the_middle_has_kept_nothing(url: str, cut_at: bytes) -> None:
    with wire_to(url) as (wire, over_wire):
        history = DatabaseHistory(over_wire, keep=timedelta(days=1))
        history.record(report())
        wire.cut_at = cut_at
        error = failure(history)
        assert len(wire.cuts) == 1
        assert error.retryable
        assert DatabaseHistory(url).count() == 1
        wire.cut_at = b"\0nothing"
        history.record(report(1))
        assert DatabaseHistory(url).count() == 2


def test_a_server_that_hangs_is_not_waited_for_without_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # the system accepts, and nobody ever answers
        url = f"mysql+pymysql://user@127.0.0.1:{nobody.getsockname()[1]}/db?read_timeout=1"
        assert failure(DatabaseHistory(url)).retryable


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_wrong_password_is_not_shown(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(f"{kind}_server")
    history = DatabaseHistory(server.url("mysql", password="s3cr:t/ @"))
    message = str(failure(history))
    assert "s3cr" not in message + repr(history)
    assert f"127.0.0.1:{server.port}/mysql could not be used: " in message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("records.sqlite3", "not the URL of a database"),
        ("postgresql://us3r:s3cret@host:port/x", "not the URL of a database"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite+aiosqlite:////tmp/x", "aiosqlite"),
        ("oracle+oracledb://us3r:s3cret@host/x", "oracledb"),
        ("mysql+mysqlconnector://us3r:s3cret@host/x", "driver mysql"),
        ("postgresql+nothing://us3r:s3cret@host/x", "cannot be used"),
        ("gopher://us3r:s3cret@host/x", "cannot be used"),
        ("mssql+pymssql://us3r:s3cret@host/x", "pymssql"),
    ],
)
def test_an_url_that_cannot_be_used_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        DatabaseHistory(url)
    assert "s3cret" not in str(caught.value)


def test_what_is_no_url_and_no_engine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither the URL"):
        DatabaseHistory(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="would keep no report"):
        DatabaseHistory("sqlite:////tmp/x", keep=timedelta(0))


def test_the_usual_names_of_servers_find_a_driver_that_is_installed() -> None:
    urls = ["postgres://host/a", "postgresql://host/a", "mysql://host/a", "mariadb://host/a"]
    drivers = [DatabaseHistory(url)._records.engine.driver for url in urls]
    assert drivers == ["psycopg", "psycopg", "pymysql", "pymysql"]


def test_a_missing_sqlalchemy_names_the_extra() -> None:
    program = "import sys; sys.modules['sqlalchemy'] = None\nimport backupkit; backupkit.DatabaseHistory()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("needs sqlalchemy: pip install 'backupkit[history]'")
