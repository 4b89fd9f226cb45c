"""Who is told how operations end, and that nothing of it can harm a backup."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, get_args

import pytest

from backupkit import (
    BackupAlreadyRunningError,
    BackupPipeline,
    ConfigurationError,
    Delivery,
    DestinationError,
    FileMemory,
    Notice,
    NotificationError,
    OperationCancelledError,
    Problem,
    Report,
    RepositoryState,
    Summary,
)
from backupkit.events import BytesRead, Event, Finished, ProblemFound
from backupkit.model import Occasion, Operation
from backupkit.plain_data import plain, report_from
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.observers import RecordingObserver
from tests.pipeline.shop import Clock, Make, NoLock, Scripted, down

EVERYTHING: Collection[Occasion] = frozenset(get_args(Occasion))
FILES = {"app/a": b"aaa"}
AGAIN = Delivery(tries=3, wait=0, limit=60)
HASTY = Delivery(tries=3, wait=0, limit=0.5)  # for what is meant to pass it
SECRET = "https://chat.example/T0KEN"


def raised(error: BaseException) -> NoReturn:
    raise error


@dataclass
class Told:
    """A notifier that keeps what it is told. `does` is called before that, on its thread."""

    on: Collection[Occasion] = EVERYTHING
    does: Callable[[Notice], object] = lambda notice: None
    notices: list[Notice] = field(default_factory=list)
    tries: int = 0

    def notify(self, notice: Notice) -> None:
        self.tries += 1
        self.does(notice)
        self.notices.append(notice)

    @property
    def heard(self) -> list[Occasion]:
        return [notice.occasion for notice in self.notices]


@dataclass
class Starting(Told):
    """One that hears starts too."""

    starts: list[tuple[Operation, str]] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    at_start: Callable[[], object] = lambda: None

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        self.at_start()
        self.starts.append((operation, name))
        self.times.append(time)


@dataclass
class Kept:
    """A history, and a memory if it is given as one."""

    does: Callable[[], object] = lambda: None
    reports: list[Report] = field(default_factory=list)
    known: dict[str, str | None] = field(default_factory=dict)

    def record(self, report: Report) -> None:
        self.does()
        self.reports.append(report)


class Remembering(Kept):
    def recall(self, key: str) -> str | None:
        self.does()
        return self.known.get(key)

    def remember(self, key: str, value: str | None) -> None:
        self.does()
        self.known[key] = value


@dataclass
class Sick:
    """A health check that finds what is in it, by destination."""

    finds: dict[str, Sequence[str]] = field(default_factory=dict)

    def problems(self, state: RepositoryState) -> list[Problem]:
        return [
            Problem(message=f"{check} is bad", check=check) for check in self.finds.get(state.location, ())
        ]


@pytest.fixture
def app() -> Scripted:
    return Scripted("app", FILES)


@pytest.fixture
def told(make: Make, app: Scripted, tmp_path: Path) -> Callable[..., BackupPipeline]:
    """Make a pipeline that tells these, quickly, and remembers in a folder of the test."""

    def made(*notifiers: object, to: object = None, **options: Any) -> BackupPipeline:
        settings: dict[str, Any] = {
            "notifiers": notifiers,
            "delivery": AGAIN,
            "memory": FileMemory(tmp_path / "memory"),
        }
        return make(app, to or MemoryDestination(), **(settings | options))

    return made


Make_ = Callable[..., BackupPipeline]


def warnings(report: Report) -> list[str]:
    assert all(one.severity == "warning" for one in report.problems if one.check == "notification")
    return [one.message for one in report.problems if one.check == "notification"]


@pytest.fixture
def hang() -> Any:
    """A call that returns only when the test is over."""
    over = threading.Event()
    yield lambda *_: over.wait(30)
    over.set()


# Who hears what


def test_each_operation_is_told_by_its_end(told: Make_) -> None:
    notifier = Told()
    pipeline = told(notifier)
    pipeline.run()
    pipeline.verify()
    pipeline.clean()
    pipeline.drill()
    pipeline.drill(assertions=[lambda restored: False])
    assert notifier.heard == [
        "run succeeded",
        "verify succeeded",
        "clean succeeded",
        "drill passed",
        "drill failed",
    ]


def test_a_run_that_lost_something_or_failed_is_told_as_that(told: Make_) -> None:
    notifier = Told()
    pipeline = told(notifier)
    pipeline.sources = (Scripted("app", {"app/a": b"a", "app/b": Problem(message="lost", path="app/b")}),)
    pipeline.run()
    pipeline.sources = (Scripted("app", {}),)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        pipeline.run()
    assert notifier.heard == ["run incomplete", "run failed"]
    failed = notifier.notices[1].report
    assert failed is not None
    assert failed.outcome == "failed"
    assert failed == caught.value.report  # type: ignore[attr-defined]  # every failed operation has one


def test_a_cancelled_run_and_one_that_found_another_running_are_told_as_failed(told: Make_) -> None:
    notifier = Told()
    pipeline = told(notifier)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(OperationCancelledError):
        pipeline.run(cancel=cancel)
    with (
        pipeline.lock.hold(pipeline.lock_name, wait=timedelta(0)),
        pytest.raises(BackupAlreadyRunningError),
    ):
        pipeline.run()
    assert notifier.heard == ["run failed", "run failed"]


def test_a_notifier_hears_only_what_it_wants_to(told: Make_) -> None:
    one, other = Told(on={"run failed"}), Told(on=["run succeeded"])
    told(one, other).run()
    assert (one.heard, other.heard) == ([], ["run succeeded"])


def test_restores_and_dry_runs_are_told_to_nobody_and_only_restores_are_kept(
    told: Make_, tmp_path: Path
) -> None:
    notifier, history = Starting(), Kept()
    pipeline = told(notifier, history=history)
    pipeline.run(notify=False)
    pipeline.clean(dry_run=True)
    pipeline.restore(to=tmp_path / "dry", dry_run=True)
    pipeline.restore(to=tmp_path / "wet")
    assert (notifier.heard, notifier.starts) == ([], [])
    assert [one.operation for one in history.reports] == ["run", "restore"]


def test_a_run_that_is_not_told_keeps_the_others_told_in_the_same_pool(told: Make_) -> None:
    notifier, history = Starting(), Kept()
    pipeline = told(notifier, history=history, lock=NoLock())
    with ThreadPoolExecutor(2) as threads:
        [*threads.map(lambda notify: pipeline.run(notify=notify), [False, True] * 4)]
    assert notifier.heard == ["run succeeded"] * 4
    assert notifier.starts == [("run", "shop")] * 4
    assert len(history.reports) == 8


def test_the_lock_is_free_while_they_are_told(told: Make_) -> None:
    during: list[str] = []

    def run_again(notice: Notice) -> None:
        during.append(pipeline.run(notify=False).outcome)

    pipeline = told(Told(on={"run succeeded", "run failed"}, does=run_again), delivery=Delivery(limit=10))
    assert warnings(pipeline.run()) == []
    assert during == ["succeeded"]
    good, pipeline.sources = pipeline.sources, (Scripted("app", {"app/a": KeyError("a")}),)

    def repair(notice: Notice) -> None:
        pipeline.sources = good
        run_again(notice)

    pipeline.notifiers = (Told(on={"run failed"}, does=repair),)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is
        pipeline.run()
    assert during == ["succeeded"] * 2


def test_a_notice_says_how_the_backups_stand_after_it(told: Make_) -> None:
    notifier = Told()
    pipeline = told(notifier)
    report = pipeline.run()
    (notice,) = notifier.notices
    assert (notice.name, notice.time) == ("shop", report.started + report.took)
    assert notice.report == report
    assert notice.summary is not None
    assert [(one.location, one.count, one.healthy) for one in notice.summary.destinations] == [
        ("memory:memory", 1, True)
    ]


def test_the_backups_are_looked_at_once_for_all_and_not_at_all_for_nobody(told: Make_) -> None:
    destination = FaultyDestination(MemoryDestination())
    pipeline = told(Told(), Told(), to=destination)

    def lists() -> int:
        before = destination.calls["list"]
        pipeline.run()
        return destination.calls["list"] - before

    two = lists()
    pipeline.notifiers = (Told(on={"run succeeded"}),)
    assert lists() == two
    pipeline.notifiers = (Told(on={"run failed"}), Told(on=()))
    without = lists()
    pipeline.notifiers = ()
    assert lists() == without < two


# What goes wrong


FAILURES: Mapping[str, Callable[..., object]] = {
    "an error": lambda *_: raised(ValueError(SECRET)),
    "a network": lambda *_: raised(ConnectionError(SECRET)),
    "an exit": lambda *_: raised(SystemExit(SECRET)),
    "an interrupt": lambda *_: raised(KeyboardInterrupt(SECRET)),
    "a generator's": lambda *_: raised(GeneratorExit(SECRET)),
    "another": lambda *_: raised(BaseException(SECRET)),
}


class Unasked(Told):
    """One whose wishes cannot be read."""

    def __init__(self, does: Callable[..., Any]) -> None:
        super().__init__()
        self._does = does

    def __getattribute__(self, name: str) -> Any:
        return self._does() if name == "on" else super().__getattribute__(name)


def broken(does: Callable[..., object]) -> Mapping[str, tuple[Mapping[str, Any], str]]:
    """Options of a pipeline in each of which one part does this, and who is told to have failed."""
    return {
        "notify": ({"notifiers": (Told(does=does),)}, "Notifier 1 (Told)"),
        "started": ({"notifiers": (Starting(at_start=does),)}, "Notifier 1 (Starting), told of the start,"),
        "on": ({"notifiers": (Unasked(does),)}, "Notifier 1 (Unasked)"),
        "history": ({"history": Kept(does=does)}, "The history (Kept)"),
        "everything": (
            {"notifiers": (Starting(at_start=does, does=does),)},
            "Notifier 1 (Starting)",
        ),
    }


PARTS = [*broken(lambda: None)]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_fails_is_one_warning_of_a_run_and_says_no_foreign_text(
    told: Make_, app: Scripted, part: str, failure: str
) -> None:
    options, who = broken(FAILURES[failure])[part]
    other = Told()
    pipeline = told(**options)
    pipeline.notifiers = (*pipeline.notifiers, other)
    report = pipeline.run()
    (warning,) = warnings(report)
    assert warning.startswith(f"{who} failed: ")
    assert (report.outcome, len(report.problems)) == ("succeeded", 1)
    assert SECRET not in str(plain(report))
    assert (app.walks, app.reads, len(pipeline.list().backups)) == (1, ["app/a"], 1)
    assert other.heard == ["run succeeded"]


@pytest.mark.parametrize("part", PARTS)
def test_whatever_fails_leaves_the_error_of_a_run_what_it_is(told: Make_, part: str) -> None:
    options, who = broken(FAILURES["an exit"])[part]
    destination = FaultyDestination(
        MemoryDestination(), [Fault(method="write", does=down(retryable=False), call=None)]
    )
    with pytest.raises(DestinationError, match="The cable was cut") as caught:
        told(**options, to=destination).run()
    report = caught.value.report
    assert report is not None
    assert report.outcome == "failed"
    (warning,) = warnings(report)
    assert warning.startswith(who)


@pytest.mark.parametrize("part", PARTS)
def test_whatever_hangs_is_left_behind_within_the_limit_with_one_warning(
    told: Make_, part: str, hang: Callable[..., object]
) -> None:
    options, who = broken(hang)[part]
    history = options.get("history") or Kept()
    begin = time.monotonic()
    report = told(**{"history": history, "delivery": HASTY, **options}).run()
    assert time.monotonic() - begin < HASTY.limit + 2
    (warning,) = warnings(report)
    assert warning.startswith(f"{who} had not finished after ")
    assert report.outcome == "succeeded"
    if part != "history":
        assert [one.problems for one in history.reports] == [report.problems], "it is kept all the same"


def test_all_at_once_may_hang_and_it_takes_no_longer_than_the_limit(
    told: Make_, hang: Callable[..., object]
) -> None:
    memory = Remembering(does=hang)
    pipeline = told(
        *(Unasked(hang), Starting(does=hang, at_start=hang), Told(does=hang), Told()),
        history=memory,
        memory=memory,
        delivery=HASTY,
    )
    pipeline._summarised = hang  # type: ignore[method-assign,assignment]
    begin = time.monotonic()
    report = pipeline.run()
    assert time.monotonic() - begin < HASTY.limit + 2
    assert len(warnings(report)) == 5
    assert pipeline.notifiers[3].heard == ["run succeeded"]  # type: ignore[attr-defined]


def test_a_memory_that_hangs_or_fails_tells_rather_too_often_than_never(
    told: Make_, hang: Callable[..., object]
) -> None:
    for does in (hang, FAILURES["an exit"], FAILURES["an error"]):
        notifier = Told()
        checks = [Sick({"memory:memory": ["Age"]})]
        pipeline = told(notifier, memory=Remembering(does=does), checks=checks, delivery=HASTY)
        for _ in range(2):
            (warning,) = warnings(pipeline.monitor())
            assert warning.startswith("What has been told before is not known. The memory ")
            assert SECRET not in warning
        assert notifier.heard == ["unhealthy", "unhealthy"]


def test_a_memory_that_can_only_be_read_is_a_warning(told: Make_, tmp_path: Path) -> None:
    class ReadOnly(Remembering):
        def remember(self, key: str, value: str | None) -> None:
            FileMemory("/proc/nowhere").remember(key, value)

    notifier = Told()
    pipeline = told(notifier, memory=ReadOnly(), checks=[Sick({"memory:memory": ["Age"]})])
    for _ in range(2):
        (warning,) = warnings(pipeline.monitor())
        assert warning.startswith(
            "What has been told may be told again. The memory failed: What has been told "
        )
    assert notifier.heard == ["unhealthy", "unhealthy"]


@pytest.mark.parametrize("failure", [*FAILURES, "hang"])
def test_a_notifier_is_told_without_the_summary_that_cannot_be_had(
    told: Make_, failure: str, hang: Callable[..., object]
) -> None:
    notifier = Told()
    pipeline = told(notifier, delivery=HASTY)
    pipeline._summarised = FAILURES.get(failure, hang)  # type: ignore[method-assign,assignment]
    (warning,) = warnings(pipeline.run())
    assert warning.startswith("How the backups stand was not told: finding it out ")
    assert SECRET not in warning
    assert [(one.occasion, one.summary) for one in notifier.notices] == [("run succeeded", None)]


def test_where_no_thread_can_be_started_nobody_is_told_and_the_backup_is_made(
    told: Make_, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier, history = Starting(), Kept()
    start = threading.Thread.start

    def exhausted(thread: threading.Thread) -> None:
        if thread.name == "backupkit-telling":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", exhausted)
    pipeline = told(notifier, history=history)
    report = pipeline.run()
    assert warnings(report) == [
        "Notifier 1 (Starting) failed: RuntimeError",
        "The history (Kept) failed: RuntimeError",
    ]
    assert (report.outcome, len(pipeline.list().backups)) == ("succeeded", 1)


@pytest.mark.parametrize(
    "on",
    ["unhealthy", None, 5, iter(["run succeeded"]), [{}]],
    ids=["a text", "None", "a number", "an iterator", "unhashable"],
)
def test_an_on_that_is_no_collection_is_a_warning(told: Make_, on: Any) -> None:
    notifier = Told(on=on)
    (warning,) = warnings(told(notifier).run())
    assert warning.startswith("Notifier 1 (Told) failed: ")
    assert notifier.tries == 0


def test_a_word_that_is_no_occasion_is_a_warning_and_the_others_are_heard(told: Make_) -> None:
    on: Any = ["run succeeded", "run-failed", 5]
    notifier = Told(on=on)
    assert warnings(told(notifier).run()) == [
        "Notifier 1 (Told) wants to hear 'run-failed', int: nothing is called so."
    ]
    assert notifier.heard == ["run succeeded"]


def test_what_is_no_notifier_is_refused_and_not_shown(told: Make_) -> None:
    with pytest.raises(ConfigurationError, match=r"Notifier 2 is str, which has no notify\(\)") as caught:
        told(Told(), SECRET)
    assert SECRET not in str(caught.value)


def test_sending_is_tried_again_and_what_succeeds_then_is_no_problem(told: Make_) -> None:
    errors = [ConnectionError("refused"), NotificationError("busy", retryable=True)]
    notifier = Told(does=lambda notice: raised(errors.pop()) if errors else None)
    assert warnings(told(notifier).run()) == []
    assert (notifier.tries, notifier.heard) == (3, ["run succeeded"])


def test_of_several_notices_one_that_cannot_be_told_does_not_keep_back_the_others(told: Make_) -> None:
    def pick(notice: Notice) -> None:
        if notice.destination is not None and notice.destination.location == "memory:a":
            raise NotificationError("no such template")

    notifier = Told(does=pick)
    checks = [Sick({"memory:a": ["Age"], "memory:b": ["Age"]})]
    pipeline = told(notifier, to=[MemoryDestination("a"), MemoryDestination("b")], checks=checks)
    assert warnings(pipeline.monitor()) == ["Notifier 1 (Told) failed: no such template"]
    pipeline.monitor()
    assert [one.destination and one.destination.location for one in notifier.notices] == ["memory:b"]
    assert notifier.tries == 3, "the first is tried again at the next monitor, the second is not"


def test_what_is_left_behind_does_not_try_again_after_the_limit(told: Make_) -> None:
    late, entered = threading.Event(), threading.Event()

    def slow(notice: Notice) -> None:
        entered.set()
        late.wait(30)
        raise ConnectionError

    before = {*threading.enumerate()}
    notifier = Told(does=slow)
    told(notifier, delivery=Delivery(tries=99, wait=0, limit=0.4)).run()
    left_behind = {*threading.enumerate()} - before
    late.set()
    for thread in left_behind:
        thread.join(10)
    assert (entered.is_set(), notifier.tries) == (True, 1)


def test_nothing_is_begun_to_be_told_after_the_limit(told: Make_) -> None:
    late = threading.Event()
    before = {*threading.enumerate()}
    notifier = Told(does=lambda notice: late.wait(30))
    checks = [Sick({"memory:a": ["Age"], "memory:b": ["Age"]})]
    to = [MemoryDestination("a"), MemoryDestination("b")]
    told(notifier, to=to, checks=checks, delivery=HASTY).monitor()
    left_behind = {*threading.enumerate()} - before
    late.set()
    for thread in left_behind:
        thread.join(10)
    assert notifier.tries == 1, "the other destination's was not told after the report was made"


# Starts


def test_a_start_is_told_before_the_end_and_only_to_whoever_may_hear_the_end(told: Make_) -> None:
    order: list[str] = []

    def at_start() -> None:
        threading.Event().wait(0.02)
        order.append("start")

    notifier = Starting(
        at_start=at_start,
        does=lambda notice: order.append(notice.occasion),
    )
    uninterested = Starting(on={"clean failed"})
    pipeline = told(notifier, uninterested)
    pipeline.run()
    assert order == ["start", "run succeeded"]
    assert (notifier.starts, uninterested.starts) == ([("run", "shop")], [])


def test_a_monitor_tells_no_start_as_its_end_is_not_told_if_all_is_well(told: Make_) -> None:
    notifier = Starting()
    told(notifier, checks=()).monitor()
    assert notifier.starts == []


def test_a_start_that_hangs_delays_nothing_of_the_run(told: Make_, hang: Callable[..., object]) -> None:
    waited: list[float] = []
    begin = time.monotonic()

    def at_first_byte(event: Event) -> None:
        if isinstance(event, BytesRead):
            waited.append(time.monotonic() - begin)

    notifier = Starting(at_start=hang)
    pipeline = told(notifier, observers=[at_first_byte], delivery=Delivery(limit=1))
    report = pipeline.run()
    assert waited[0] < 0.5
    assert notifier.heard == ["run succeeded"], "the end is told all the same"
    assert len(warnings(report)) == 1


def test_a_start_is_not_tried_again_once_the_end_is_told(told: Make_) -> None:
    calls: list[str] = []
    ended = threading.Event()

    def at_start() -> None:
        calls.append("start")
        ended.wait(30)
        raise ConnectionError

    def at_end(notice: Notice) -> None:
        calls.append("end")
        ended.set()

    told(Starting(at_start=at_start, does=at_end), delivery=Delivery(tries=3, wait=0, limit=2)).run()
    for thread in threading.enumerate():
        if thread.name == "backupkit-telling":
            thread.join(30)
    assert calls == ["start", "end"]


def test_a_start_has_the_time_by_which_its_end_is_known(told: Make_) -> None:
    notifier = Starting()
    pipeline = told(notifier, lock=NoLock())
    with ThreadPoolExecutor(4) as threads:
        reports = [*threads.map(lambda _: pipeline.run(), range(4))]
    assert sorted(notifier.times) == sorted(report.started for report in reports)


def test_a_start_is_tried_again_too(told: Make_) -> None:
    errors = [ConnectionError("refused")]
    notifier = Starting(at_start=lambda: raised(errors.pop()) if errors else None)
    assert warnings(told(notifier).run()) == []
    assert notifier.starts == [("run", "shop")]


# Observers, the history, and interrupts


def test_observers_and_the_history_hear_what_notifiers_could_not_do(told: Make_) -> None:
    observer, history = RecordingObserver(), Kept()
    report = told(Told(does=FAILURES["an error"]), observers=[observer], history=history).run()
    (warning,) = report.problems
    assert history.reports == [report]
    assert observer.events[-2:] == [ProblemFound(warning), Finished(report)]


def test_a_history_that_fails_is_a_warning_of_the_report(told: Make_) -> None:
    history = Kept(does=FAILURES["a network"])
    report = told(history=history).run()
    assert warnings(report) == ["The history (Kept) failed: ConnectionError"]


def test_every_end_is_kept_failed_and_untold_ones_too(told: Make_) -> None:
    history = Kept()
    pipeline = told(history=history)
    pipeline.run(notify=False)
    pipeline.monitor()
    with pytest.raises(ConfigurationError) as caught:
        pipeline.run(only="databases")
    assert [(one.operation, one.outcome) for one in history.reports] == [
        ("run", "succeeded"),
        ("monitor", "succeeded"),
        ("run", "failed"),
    ]
    assert history.reports[-1] == caught.value.report


@pytest.fixture
def interrupt() -> Iterator[Callable[[Notice], None]]:
    """What presses Ctrl-C while it is told."""

    def pressed(notice: Notice) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.1)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if started in the background
    yield pressed
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_telling_ends_the_wait_and_the_end_is_told_once(
    told: Make_, interrupt: Callable[[Notice], None]
) -> None:
    observer = RecordingObserver()
    notifier = Told(does=interrupt)
    pipeline = told(notifier, observers=[observer], delivery=Delivery(limit=60))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    (finished,) = observer.of(Finished)
    assert finished.report.outcome == "succeeded"
    assert warnings(finished.report) == [
        "Not everybody was told, or not everything was kept: KeyboardInterrupt"
    ]
    assert (notifier.tries, len(pipeline.list().backups)) == (1, 1)


def test_an_interrupt_while_a_failure_is_told_leaves_the_failure_its_report(
    told: Make_, interrupt: Callable[[Notice], None]
) -> None:
    pipeline = told(Told(does=interrupt), delivery=Delivery(limit=60))
    with pytest.raises(KeyboardInterrupt) as caught:
        pipeline.run(only="databases")
    cause = caught.value.__context__
    assert isinstance(cause, ConfigurationError)
    assert cause.report is not None
    assert cause.report.outcome == "failed"


# Health


def monitored(pipeline: BackupPipeline, notifier: Told) -> list[tuple[str, bool]]:
    """What one monitor tells: the occasion, and whether it is a reminder."""
    before = len(notifier.notices)
    assert warnings(pipeline.monitor()) == []
    return [(one.occasion, one.reminder) for one in notifier.notices[before:]]


def test_unhealthy_is_told_when_it_begins_each_day_and_when_it_ends(told: Make_, clock: Clock) -> None:
    notifier, check = Told(), Sick()
    pipeline = told(notifier, checks=[check], clock=clock)
    assert monitored(pipeline, notifier) == []
    begin = clock.now
    check.finds["memory:memory"] = ["Age"]
    assert monitored(pipeline, notifier) == [("unhealthy", False)]
    clock.forward(hours=22.9)
    assert monitored(pipeline, notifier) == []
    clock.forward(hours=0.1)
    assert monitored(pipeline, notifier) == [("unhealthy", True)]
    clock.forward(hours=22.9)
    assert monitored(pipeline, notifier) == []
    check.finds.clear()
    assert monitored(pipeline, notifier) == [("healthy", False)]
    assert monitored(pipeline, notifier) == []
    assert {one.since for one in notifier.notices} == {begin}
    assert notifier.notices[0].destination is not None
    assert [one.check for one in notifier.notices[0].destination.problems] == ["Age"]


def test_a_daily_monitor_reminds_every_day_though_it_begins_some_seconds_earlier(
    told: Make_, clock: Clock
) -> None:
    notifier = Told()
    pipeline = told(notifier, checks=[Sick({"memory:memory": ["Age"]})], clock=clock)
    heard = []
    for minutes in (0, 7, -7, 3, -3):
        heard += monitored(pipeline, notifier)
        clock.forward(hours=24 + minutes / 60)
    assert heard == [("unhealthy", False)] + [("unhealthy", True)] * 4


def test_another_check_that_fails_is_told_at_once_and_one_that_recovers_is_not(
    told: Make_, clock: Clock
) -> None:
    notifier, check = Told(), Sick({"memory:memory": ["Age"]})
    pipeline = told(notifier, checks=[check], clock=clock)
    heard = []
    for found in (["Age"], ["Age", "Storage"], ["Storage"], ["Age"], ["Count"], []):
        check.finds["memory:memory"] = found
        heard.append(monitored(pipeline, notifier))
        clock.forward(hours=1)
    new = [("unhealthy", False)]
    assert heard == [new, new, [], [], new, [("healthy", False)]]


def test_a_check_that_is_asked_of_two_contents_is_told_of_the_second_too(told: Make_, clock: Clock) -> None:
    notifier, check = Told(), Sick()
    pipeline = told(notifier, checks=[check], clock=clock)
    heard = []
    for found in (["Age"], ["Age", "Age"], ["Age"], ["Age", "Age"]):
        check.finds["memory:memory"] = found
        heard.append(monitored(pipeline, notifier))
        clock.forward(hours=1)
    assert heard == [[("unhealthy", False)]] * 2 + [[], []]


def test_each_destination_is_told_by_itself(told: Make_) -> None:
    notifier, check = Told(), Sick({"memory:a": ["Age"]})
    pipeline = told(notifier, checks=[check], to=[MemoryDestination("a"), MemoryDestination("b")])
    pipeline.monitor()
    check.finds = {"memory:b": ["Age"]}
    pipeline.monitor()
    assert [(one.occasion, one.destination and one.destination.location) for one in notifier.notices] == [
        ("unhealthy", "memory:a"),
        ("healthy", "memory:a"),
        ("unhealthy", "memory:b"),
    ]


def test_what_was_told_of_a_destination_is_known_when_another_one_is_added(told: Make_) -> None:
    notifier, check = Told(), Sick({"memory:a": ["Age"]})
    told(notifier, checks=[check], to=MemoryDestination("a")).monitor()
    told(notifier, checks=[check], to=[MemoryDestination("b"), MemoryDestination("a")]).monitor()
    assert notifier.heard == ["unhealthy"]


def test_it_is_told_when_it_begins_and_ends_while_the_clock_stands_still(told: Make_, clock: Clock) -> None:
    notifier, check = Told(), Sick()
    pipeline = told(notifier, checks=[check], clock=clock)
    heard = []
    for found in (["Age"], ["Age"], [], ["Age"], []):
        check.finds["memory:memory"] = found
        heard += monitored(pipeline, notifier)
    assert [occasion for occasion, _ in heard] == ["unhealthy", "healthy"] * 2


def test_a_clock_that_was_set_back_does_not_silence_the_reminders(told: Make_, clock: Clock) -> None:
    notifier = Told()
    pipeline = told(notifier, checks=[Sick({"memory:memory": ["Age"]})], clock=clock)
    clock.forward(days=3650)
    heard = [monitored(pipeline, notifier)]
    clock.forward(days=-3650)
    heard.append(monitored(pipeline, notifier))
    assert heard == [[("unhealthy", False)], [("unhealthy", True)]]


def test_what_nobody_could_deliver_is_told_at_the_next_monitor(told: Make_, clock: Clock) -> None:
    errors = [NotificationError("down")] * 2
    notifier = Told(does=lambda notice: raised(errors.pop()) if errors else None)
    other = Told(on={"run succeeded"})
    check = Sick({"memory:memory": ["Age"]})
    pipeline = told(notifier, other, checks=[check], clock=clock)
    for _ in range(4):
        pipeline.monitor()
    assert (notifier.tries, notifier.heard) == (3, ["unhealthy"])
    errors.append(NotificationError("down"))
    check.finds.clear()
    for _ in range(3):
        pipeline.monitor()
    assert notifier.heard == ["unhealthy", "healthy"]


def test_what_some_have_heard_and_others_cannot_is_a_warning_and_not_told_again(told: Make_) -> None:
    notifier = Told(does=lambda notice: raised(NotificationError("Bob was told, Eve was not.", partly=True)))
    pipeline = told(notifier, checks=[Sick({"memory:memory": ["Age"]})])
    assert warnings(pipeline.monitor()) == ["Notifier 1 (Told) failed: Bob was told, Eve was not."]
    assert warnings(pipeline.monitor()) == []
    assert notifier.tries == 1


def test_what_some_have_heard_is_not_told_again_though_telling_the_rest_took_too_long(
    told: Make_, hang: Callable[..., object]
) -> None:
    def tell(notice: Notice) -> None:
        if notifier.tries > 1:
            hang()
        raise NotificationError("Bob was told, Eve was not.", retryable=True, partly=True)

    notifier = Told(does=tell)
    delivery = Delivery(wait=0, limit=1)
    pipeline = told(notifier, checks=[Sick({"memory:memory": ["Age"]})], delivery=delivery)
    assert len(warnings(pipeline.monitor())) == 1
    assert warnings(pipeline.monitor()) == []


def test_what_one_of_two_has_heard_is_not_told_again(told: Make_) -> None:
    deaf = Told(does=lambda notice: raised(NotificationError("down")))
    hearing = Told()
    pipeline = told(deaf, hearing, checks=[Sick({"memory:memory": ["Age"]})])
    pipeline.monitor()
    pipeline.monitor()
    assert (deaf.tries, hearing.heard) == (1, ["unhealthy"])


def unreachable(times: list[bool]) -> Told:
    """Who cannot be reached by a monitor for as often as there is a True in the list."""
    return Told(does=lambda notice: raised(ConnectionError("down")) if times and times.pop() else None)


def test_who_could_not_be_reached_is_told_at_the_next_monitor_and_nobody_else(
    told: Make_, clock: Clock
) -> None:
    down = [True]
    late, other, check = unreachable(down), Told(), Sick({"memory:memory": ["Age"]})
    memory = Remembering()
    pipeline = told(
        late, other, checks=[check], clock=clock, memory=memory, delivery=Delivery(tries=1, wait=0)
    )
    heard = []
    for found, is_down in (
        (["Age"], True),
        (["Age"], False),
        (["Age"], False),
        ([], True),
        ([], False),
        ([], False),
    ):
        check.finds["memory:memory"], down[:] = found, [is_down]
        clock.forward(hours=1)
        pipeline.monitor()
        heard.append((len(late.notices), len(other.notices)))
    assert heard == [(0, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 2)]
    assert late.heard == other.heard == ["unhealthy", "healthy"]
    assert len({one.since for one in late.notices + other.notices}) == 1
    assert memory.known == {"shop memory:memory": None}


def test_what_begins_anew_while_somebody_does_not_know_that_it_was_over_is_told_as_new(
    told: Make_, clock: Clock
) -> None:
    down: list[bool] = []
    late, other, check = unreachable(down), Told(), Sick()
    pipeline = told(late, other, checks=[check], clock=clock, delivery=Delivery(tries=1, wait=0))
    for found, is_down in ((["Age"], False), ([], True), (["Age"], False), ([], False)):
        check.finds["memory:memory"], down[:] = found, [is_down]
        clock.forward(hours=1)
        pipeline.monitor()
    assert late.heard == ["unhealthy", "unhealthy", "healthy"]
    assert other.heard == ["unhealthy", "healthy", "unhealthy", "healthy"]
    begin = clock.now - timedelta(hours=1)
    assert [one.since for one in other.notices[2:]] == [begin, begin]


def test_whoever_wants_only_the_good_news_hears_it(told: Make_) -> None:
    notifier, check = Told(on={"healthy"}), Sick({"memory:memory": ["Age"]})
    pipeline = told(notifier, checks=[check])
    pipeline.monitor()
    check.finds.clear()
    pipeline.monitor()
    assert notifier.heard == ["healthy"]


def test_nothing_is_remembered_if_nobody_wants_to_hear_of_health(told: Make_, tmp_path: Path) -> None:
    told(Told(on={"run failed"}), checks=[Sick({"memory:memory": ["Age"]})]).monitor()
    told(checks=[Sick({"memory:memory": ["Age"]})]).monitor()
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        '{"since": 1, "told": 2, "checks": 3}',
        '{"since": "2026-01-01", "told": "0001-01-01T00:00:00+14:00", "checks": []}',
        '{"since": "2026-01-01", "told": "2026-01-01", "checks": [[], null]}',
        '{"since": "2026-01-01", "told": "2026-01-01", "checks": [], "owed": 5}',
    ],
)
def test_what_cannot_be_understood_was_never_told(told: Make_, text: str, clock: Clock) -> None:
    notifier, memory = Told(), Remembering()
    pipeline = told(notifier, memory=memory, checks=[Sick({"memory:memory": ["Age"]})], clock=clock)
    memory.known["shop memory:memory"] = text
    assert warnings(pipeline.monitor()) == []
    assert notifier.heard == ["unhealthy"]


def test_a_history_that_remembers_is_the_memory_unless_another_is_given(told: Make_) -> None:
    history = Remembering()
    pipeline = told(Told(), history=history, memory=None, checks=[Sick({"memory:memory": ["Age"]})])
    assert pipeline.memory is history
    pipeline.monitor()
    assert [*history.known] == ["shop memory:memory"]
    other = Remembering()
    assert told(history=history, memory=other).memory is other
    assert told(history=Kept(), memory=None).memory == FileMemory()


def test_a_monitors_results_say_how_the_backups_stand_and_come_back_from_plain_data(told: Make_) -> None:
    pipeline = told(checks=[Sick({"memory:memory": ["Age"]})])
    pipeline.run()
    report = pipeline.monitor()
    (result,) = report.destinations
    assert result.summary is not None
    assert (result.summary.count, result.summary.healthy) == (1, False)
    assert result.summary.problems == result.problems
    assert report_from(json.loads(json.dumps(plain(report)))) == report


# The summary that is sent


def test_a_summary_is_sent_to_those_who_want_it_and_is_returned(told: Make_) -> None:
    notifier, other = Told(on={"summary"}), Told(on={"run succeeded"})
    pipeline = told(notifier, other)
    pipeline.run()
    summary = pipeline.send_summary()
    (notice,) = notifier.notices
    assert (notice.occasion, notice.report, notice.summary) == ("summary", None, summary)
    assert isinstance(summary, Summary)
    assert other.heard == ["run succeeded"]


def test_a_summary_that_could_not_be_sent_is_an_error_without_foreign_text(told: Make_) -> None:
    other = Told()
    pipeline = told(Told(does=FAILURES["a network"]), other)
    with pytest.raises(NotificationError, match=r"Notifier 1 \(Told\) failed: ConnectionError"):
        pipeline.send_summary()
    assert other.heard == ["summary"], "the others are told first"


# Processes


PROCESS = """
import os, sys, threading, time
from pathlib import Path
from backupkit import BackupPipeline, Delivery, Directory, FileMemory, LocalDestination

root = Path(sys.argv[1])
class Notifier:
    on = {"run succeeded", "unhealthy", "healthy"}
    def notify(self, notice):
        if sys.argv[2] == "hang":
            print("begun", flush=True)
            threading.Event().wait(60)
        if sys.argv[2] == "refuse":
            print("try", flush=True)
            raise ConnectionError
        print(notice.occasion, flush=True)

(root / "app").mkdir(exist_ok=True)
(root / "app/a").write_text("a")
(root / "backups").mkdir(exist_ok=True)
pipeline = BackupPipeline(
    "shop", Directory(root / "app"), root / "backups", encryptor=None, notifiers=[Notifier()],
    memory=FileMemory(root / "memory"), delivery=Delivery(tries=9, wait=0.01, limit=float(sys.argv[3])),
)
if sys.argv[2] == "fork":
    pipeline.run()
    if not os.fork():
        pipeline.run()
        os._exit(0)
    os.wait()
elif sys.argv[2] == "monitor":
    pipeline.monitor()
else:
    print(pipeline.run().outcome, flush=True)
    if sys.argv[2] == "refuse":
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(30)
"""


def process(folder: Path, does: str, limit: float = 20.0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROCESS, str(folder), does, str(limit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_notifier_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert process(tmp_path, "hang", 0.2) == ["begun", "succeeded"]
    assert time.monotonic() - begin < 30, "it hangs for a minute"


def test_after_the_limit_a_process_tries_no_more_and_its_threads_end(tmp_path: Path) -> None:
    *tries, last = process(tmp_path, "refuse", 0.4)
    assert (set(tries), last) == ({"try"}, "succeeded")


def test_health_is_told_from_one_process_to_the_next(tmp_path: Path) -> None:
    assert [process(tmp_path, "monitor") for _ in range(2)] == [["unhealthy"], []]
    assert process(tmp_path, "run") == ["run succeeded", "succeeded"]
    assert process(tmp_path, "monitor") == ["healthy"]


def test_after_a_fork_the_child_tells_too(tmp_path: Path) -> None:
    assert process(tmp_path, "fork") == ["run succeeded"] * 2
