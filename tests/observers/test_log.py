"""The log: texts for people, fields for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Barrier
from typing import Any, Literal

import pytest
from pythonjsonlogger.json import JsonFormatter

from backupkit import (
    BackupPipeline,
    LoggingObserver,
    MaximumAge,
    Problem,
    Report,
)
from backupkit.events import (
    BytesRead,
    EntryStarted,
    Event,
    Expected,
    Finished,
    ProblemFound,
    Started,
    Waiting,
)
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import NoLock, Scripted, down


def report(outcome: Literal["succeeded", "incomplete", "failed"]) -> Report:
    return Report(
        operation="run",
        outcome=outcome,
        name="shop",
        started=datetime(2026, 11, 23, 3, tzinfo=UTC),
        took=timedelta(seconds=90),
        entries=3,
        read=5_000_000,
        written=1_000_000,
    )


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (Started("run", "shop"), "INFO", "run of shop started"),
        (EntryStarted("app/100%s", 5), "DEBUG", "reading app/100%s"),
        (ProblemFound(Problem(message="50%d lost")), "ERROR", "50%d lost"),
        (ProblemFound(Problem(message="a socket", severity="warning")), "WARNING", "a socket"),
        (Waiting(60, "locked"), "WARNING", "trying again in 60 seconds: locked"),
        (Waiting(0.5, "locked"), "WARNING", "trying again in 0.5 seconds: locked"),
    ],
    ids=repr,
)
def test_each_event_is_logged_at_its_level(
    event: Event, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    LoggingObserver()(event)
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("backupkit", level, text)
    ]


@pytest.mark.parametrize(
    ("outcome", "level"), [("succeeded", "INFO"), ("incomplete", "WARNING"), ("failed", "ERROR")]
)
def test_the_end_is_one_line_with_the_totals(
    outcome: Literal["succeeded", "incomplete", "failed"], level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    LoggingObserver()(Finished(report(outcome)))
    (line,) = caplog.records
    assert line.levelname == level
    assert line.getMessage().startswith(f"run of shop {outcome} after 0:01:30: 3 entries, ")
    assert "\n" not in line.getMessage()


@pytest.mark.parametrize("odd", ["app/a\nrun of shop succeeded", "app/\x1b[2K", "app/caf\udce9"])
def test_what_files_are_called_neither_makes_a_line_nor_keeps_one_from_the_log(
    odd: str, tmp_path: Path
) -> None:
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s %(backup_path)a"))
    logger = logging.Logger("of_this_test", logging.DEBUG)
    logger.addHandler(handler)
    LoggingObserver(logger)(EntryStarted(odd, 5))
    LoggingObserver(logger)(ProblemFound(Problem(message=f"{odd} is lost.", path=odd)))
    handler.close()
    written_out = odd.encode("unicode_escape").decode()
    assert (tmp_path / "log").read_text().splitlines() == [
        f"reading {written_out} {odd!a}",
        f"{written_out} is lost. {odd!a}",
    ]


@pytest.mark.parametrize("event", [Expected(5), BytesRead(5)])
def test_what_happens_thousands_of_times_is_not_logged(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    LoggingObserver()(event)
    assert caplog.records == []


def test_a_logger_of_ones_own_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    LoggingObserver(logging.getLogger("shop.backups"))(Started("run", "shop"))
    assert [one.name for one in caplog.records] == ["shop.backups"]


def test_nothing_is_logged_unless_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    BackupPipeline(
        "shop", Scripted("app", {"app/a": b"a"}), MemoryDestination(), encryptor=None, lock=NoLock()
    ).run()
    assert [one for one in caplog.records if one.name.startswith("backupkit")] == []


# Fields for programs


@pytest.fixture
def logged() -> Iterator[tuple[LoggingObserver, StringIO]]:
    """An observer of a logger that writes JSON as a stock formatter makes it, and what it wrote."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter("%(levelname)s %(message)s", exc_info_as_array=True))
    logger = logging.getLogger("tests.structured")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield LoggingObserver(logger), written
    logger.removeHandler(handler)


def records(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_stock_json_formatter_shows_every_field_of_every_record(
    logged: tuple[LoggingObserver, StringIO],
) -> None:
    observer, written = logged
    events: list[Event] = [
        Started("run", "shop"),
        EntryStarted("app/a", 5),
        EntryStarted("app/pipe", None),
        ProblemFound(Problem(message="lost", check="c", path="app/a", destination="file:///mnt")),
        Waiting(60, "locked"),
        Finished(report("incomplete")),
    ]
    for event in events:
        observer(event)
    of = {"backup_operation": "run", "backup_pipeline": "shop"}
    assert records(written) == [
        {"levelname": "INFO", "message": "run of shop started", "backup_event": "started", **of},
        {
            "levelname": "DEBUG",
            "message": "reading app/a",
            "backup_event": "entry",
            "backup_path": "app/a",
            "backup_size": 5,
            **of,
        },
        {
            "levelname": "DEBUG",
            "message": "reading app/pipe",
            "backup_event": "entry",
            "backup_path": "app/pipe",
            **of,
        },
        {
            "levelname": "ERROR",
            "message": "lost",
            "backup_event": "problem",
            "backup_severity": "error",
            "backup_check": "c",
            "backup_path": "app/a",
            "backup_destination": "file:///mnt",
            **of,
        },
        {
            "levelname": "WARNING",
            "message": "trying again in 60 seconds: locked",
            "backup_event": "waiting",
            "backup_seconds": 60,
            "backup_reason": "locked",
            **of,
        },
        {
            "levelname": "WARNING",
            "message": "run of shop incomplete after 0:01:30: 3 entries, 5 MB read, 1 MB written",
            "backup_event": "finished",
            "backup_outcome": "incomplete",
            "backup_dry_run": False,
            "backup_took": 90.0,
            "backup_entries": 3,
            "backup_read": 5_000_000,
            "backup_written": 1_000_000,
            "backup_skipped": 0,
            "backup_problems": 0,
            "backup_errors": 0,
            **of,
        },
    ]


def test_the_end_is_a_line_for_each_destination_and_one_for_all(
    logged: tuple[LoggingObserver, StringIO],
) -> None:
    observer, written = logged
    dead = FaultyDestination(
        MemoryDestination("dead"), [Fault(method="write", does=down(retryable=False), call=None)]
    )
    pipeline = BackupPipeline(
        "shop",
        Scripted("app", {"app/a": b"a"}),
        [MemoryDestination("good"), dead],
        encryptor=None,
        lock=NoLock(),
        observers=[observer],
    )
    backup = pipeline.run().destinations[0].backup
    assert backup is not None
    good, bad, finished = records(written)[-3:]
    assert good["message"] == f"run of shop at memory:good succeeded: {backup.id}, {backup.stored} B"
    assert (good["levelname"], good["backup_event"]) == ("INFO", "destination")
    assert (good["backup_destination"], good["backup_outcome"]) == ("memory:good", "succeeded")
    assert (good["backup_id"], good["backup_stored"]) == (backup.id, backup.stored)
    assert (bad["levelname"], bad["backup_destination"], bad["backup_outcome"]) == (
        "ERROR",
        "memory:dead",
        "failed",
    )
    assert (finished["levelname"], finished["backup_event"], finished["backup_errors"]) == (
        "WARNING",
        "finished",
        1,
    )


def test_cleaning_and_monitoring_say_numbers_of_backups(logged: tuple[LoggingObserver, StringIO]) -> None:
    observer, written = logged
    pipeline = BackupPipeline(
        "shop",
        Scripted("app", {"app/a": b"a"}),
        MemoryDestination(),
        encryptor=None,
        lock=NoLock(),
        observers=[observer],
        checks=[MaximumAge(days=1)],
    )
    pipeline.run()
    pipeline.clean(dry_run=True)
    pipeline.clean()
    pipeline.monitor()
    dry, clean, monitor = [one for one in records(written) if one["backup_event"] == "destination"][1:]
    assert dry["message"].startswith("dry run of clean of shop at memory:memory succeeded: 0 removed, 1 kept")
    for line in (dry, clean):
        assert (line["backup_removed"], line["backup_kept"], line["backup_freed"], line["backup_swept"]) == (
            (0, 1, 0, 0)
        )
    assert (monitor["backup_count"], monitor["backup_outcome"]) == (1, "succeeded")
    finished = [one for one in records(written) if one["backup_event"] == "finished"]
    assert [one["backup_dry_run"] for one in finished] == [False, True, False, False]


def test_of_a_destination_that_does_not_answer_no_number_of_backups_is_told(
    logged: tuple[LoggingObserver, StringIO],
) -> None:
    observer, written = logged
    silent = FaultyDestination(
        MemoryDestination(), [Fault(method="list", does=down(retryable=False), call=None)]
    )
    BackupPipeline(
        "shop", Scripted("app", {}), silent, encryptor=None, lock=NoLock(), observers=[observer]
    ).monitor()
    [line] = [one for one in records(written) if one["backup_event"] == "destination"]
    assert line["message"] == "monitor of shop at memory:memory failed"
    assert {"backup_count", "backup_stored"}.isdisjoint(line)


def test_every_name_begins_alike_so_that_none_is_a_records_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    own = set(vars(logging.makeLogRecord({})))
    observer = LoggingObserver()
    for event in (
        Started("run", "shop"),
        EntryStarted("a", 1),
        ProblemFound(Problem(message="m", path="a")),
        Waiting(1, "r"),
        Finished(report("failed")),
    ):
        observer(event)
    added = {name for one in caplog.records for name in vars(one)} - own - {"message", "asctime"}
    assert added
    assert {name.split("_")[0] for name in added} == {"backup"}


def test_messages_keep_their_patterns_so_that_programs_can_group_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("shop", "blog"):
        LoggingObserver()(Started("run", name))
    assert {one.msg for one in caplog.records} == {"%s of %s started"}


def test_one_observer_tells_pipelines_apart_that_run_at_once(
    logged: tuple[LoggingObserver, StringIO],
) -> None:
    observer, written = logged
    barrier = Barrier(2)

    def run(name: str) -> None:
        BackupPipeline(
            name,
            Scripted("app", {"app/a": [[lambda: barrier.wait(10), b"a"]]}),
            MemoryDestination(),
            encryptor=None,
            lock=NoLock(),
            observers=[observer],
        ).run()

    with ThreadPoolExecutor(2) as threads:
        [*threads.map(run, ["shop", "blog"])]
    entries = [one for one in records(written) if one["backup_event"] == "entry"]
    assert sorted(one["backup_pipeline"] for one in entries) == ["blog", "shop"]


def test_a_problem_after_the_end_is_not_said_of_the_operation_before(
    logged: tuple[LoggingObserver, StringIO],
) -> None:
    observer, written = logged
    observer(Started("run", "shop"))
    observer(Finished(report("succeeded")))
    observer(ProblemFound(Problem(message="whose?")))
    assert "backup_pipeline" not in records(written)[-1]
