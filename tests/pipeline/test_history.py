"""Every operation leaves one report, which reads back equal; a history that fails is a warning and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from backupkit import (
    BackupKitError,
    BackupPipeline,
    DatabaseHistory,
    DatabaseNotifier,
    DeadManPing,
    Delivery,
    NotificationError,
    Report,
    WebhookNotifier,
)
from backupkit.testing.destinations import MemoryDestination
from tests.notifiers.receiving import http_server
from tests.pipeline.shop import Clock, Make, Scripted, messages

SOURCE = Scripted("app", {"app/caf\udce9": b"a" * 1000})
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Refusing:
    """A history that refuses this many times."""

    error: Exception
    times: int = 1000
    calls: list[Report] = field(default_factory=list)

    def record(self, report: Report) -> None:
        self.calls.append(report)
        if len(self.calls) <= self.times:
            raise self.error


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records.sqlite3"


@pytest.fixture
def history(url: str) -> DatabaseHistory:
    return DatabaseHistory(url)


@pytest.fixture
def pipeline(make: Make, history: DatabaseHistory, clock: Clock) -> BackupPipeline:
    return make(SOURCE, MemoryDestination(), history=history, clock=clock)


def restored(pipeline: BackupPipeline, folder: Path) -> Report:
    pipeline.run(notify=False)
    return pipeline.restore("latest", to=folder / "restored")


def verified(pipeline: BackupPipeline, folder: Path) -> Report:
    pipeline.run()
    return pipeline.verify("latest")


def drilled(pipeline: BackupPipeline, folder: Path) -> Report:
    pipeline.run()
    return pipeline.drill(scratch=folder, assertions=[lambda restored: False])


def monitored(pipeline: BackupPipeline, folder: Path) -> Report:
    return pipeline.monitor()


@pytest.mark.parametrize(
    "operate",
    [
        lambda pipeline, folder: pipeline.run(),
        lambda pipeline, folder: pipeline.run(notify=False),
        lambda pipeline, folder: pipeline.clean(),
        verified,
        drilled,
        monitored,
        restored,
    ],
    ids=["run", "silent run", "clean", "verify", "drill", "monitor", "restore"],
)
def test_each_operation_leaves_one_report_that_reads_back_equal(
    pipeline: BackupPipeline,
    history: DatabaseHistory,
    operate: Callable[[BackupPipeline, Path], Report],
    tmp_path: Path,
) -> None:
    report = operate(pipeline, tmp_path)
    assert history.last("shop", report.operation) == report
    assert history.count("shop", report.operation) == 1


def test_a_run_that_fails_leaves_the_report_that_its_error_carries(
    make: Make, history: DatabaseHistory, tmp_path: Path
) -> None:
    with pytest.raises(BackupKitError) as caught:
        make(SOURCE, tmp_path / "missing", history=history).run(notify=False)
    (report,) = history.reports("shop", "run")
    assert report == caught.value.report
    assert report.outcome == "failed"


def test_a_run_that_fails_tells_what_it_was_to_back_up(make: Make, tmp_path: Path) -> None:
    both = [SOURCE, Scripted("dumps", {"db-dumps/a.sql": b"a"}, "databases")]
    with pytest.raises(BackupKitError) as caught:
        make(both, tmp_path / "missing").run(only="databases")
    assert caught.value.report is not None
    assert caught.value.report.contents == {"databases"}


def test_a_dry_run_of_cleaning_leaves_none(pipeline: BackupPipeline, history: DatabaseHistory) -> None:
    pipeline.clean(dry_run=True)
    assert history.count() == 0


@pytest.mark.parametrize(
    "error", [NotificationError("The table is full."), OSError("s3cret"), RuntimeError("s3cret")]
)
def test_a_history_that_fails_is_a_warning_and_nothing_else(
    make: Make, clock: Clock, error: Exception
) -> None:
    pipeline = make(
        SOURCE, MemoryDestination(), history=Refusing(error), clock=clock, delivery=Delivery(tries=2, wait=0)
    )
    report = pipeline.run()
    assert report.outcome == "succeeded"
    (message,) = messages(report.problems, "warning")
    assert message.startswith("The history (Refusing) failed: ")
    assert "s3cret" not in message


def test_a_database_that_cannot_be_used_is_a_warning_and_nothing_else(make: Make, tmp_path: Path) -> None:
    nowhere = f"sqlite:///{tmp_path}/missing/records.sqlite3"
    pipeline = make(
        SOURCE,
        MemoryDestination(),
        history=DatabaseHistory(nowhere),
        notifiers=[DatabaseNotifier(nowhere)],
        delivery=Delivery(wait=0),
    )
    report = pipeline.run()
    assert report.outcome == "succeeded"
    assert [message.partition(":")[0] for message in messages(report.problems)] == [
        "Notifier 1 (DatabaseNotifier) failed",
        "The history (DatabaseHistory) failed",
    ]


def test_a_history_that_was_busy_is_tried_again(make: Make) -> None:
    history = Refusing(NotificationError("Busy.", retryable=True), times=1)
    report = make(SOURCE, MemoryDestination(), history=history, delivery=Delivery(wait=0)).run()
    assert report.problems == ()
    assert history.calls == [report, report]


def test_what_a_notifier_could_not_do_is_in_the_history_too(make: Make, history: DatabaseHistory) -> None:
    with http_server() as receiver:
        receiver.answer(404)
        notifier = WebhookNotifier(receiver.url, SECRET)
        report = make(SOURCE, MemoryDestination(), history=history, notifiers=[notifier]).run()
    assert messages(report.problems) == [
        "Notifier 1 (WebhookNotifier) failed: The webhook at 127.0.0.1 refused with status 404."
    ]
    assert history.last("shop", "run") == report


def test_a_webhook_that_is_sent_again_has_the_same_id(make: Make) -> None:
    with http_server() as receiver:
        receiver.answer(503, 0, 200)
        notifier = WebhookNotifier(receiver.url, SECRET)
        report = make(SOURCE, MemoryDestination(), notifiers=[notifier], delivery=Delivery(wait=0)).run()
    assert report.problems == ()
    assert len(receiver.requests) == 3
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_the_history_remembers_what_has_been_told_of_health(
    make: Make, url: str, clock: Clock, tmp_path: Path
) -> None:
    def checked() -> Report:  # as another process would
        notifier = DatabaseNotifier(url, on=["healthy", "unhealthy"])
        pipeline = make(SOURCE, destination, history=DatabaseHistory(url), notifiers=[notifier], clock=clock)
        return pipeline.monitor()

    destination = MemoryDestination()
    notifier = DatabaseNotifier(url)
    for hours in (0, 1, 2, 22):
        clock.forward(hours=hours)
        checked()
    assert [(one.occasion, one.notice["reminder"]) for one in notifier.list()] == [
        ("unhealthy", True),
        ("unhealthy", False),
    ]
    make(SOURCE, destination, clock=clock).run()
    checked()
    assert notifier.list()[0].occasion == "healthy"
    assert notifier.count() == 3


def test_a_run_is_pinged_at_both_ends_and_a_silent_one_at_neither(make: Make) -> None:
    with http_server() as receiver:
        pings: list[Any] = [DeadManPing(f"{receiver.url}/t0ken")]
        pipeline = make(SOURCE, MemoryDestination(), notifiers=pings)
        assert pipeline.run().problems == ()
        assert pipeline.run(notify=False).problems == ()
        first, last = (urlsplit(path) for path in receiver.paths)
    assert (first.path, last.path) == ("/t0ken/start", "/t0ken")
    assert first.query == last.query != ""
