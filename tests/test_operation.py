"""What every operation has in common: events in order, totals, one report, and observers that do no harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backupkit import (
    BackupKitError,
    BackupPipeline,
    DestinationError,
    Entry,
    OperationCancelledError,
    Problem,
    Report,
    Retry,
    SourceError,
)
from backupkit._operation import Running, raise_all
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
from backupkit.model import Operation, Severity
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from tests.pipeline.shop import Clock, NoLock, Scripted

FILES = {"app/a": b"aaa", "app/b": b"bb"}


def running(
    *observers: Callable[[Event], object], cancel: threading.Event | None = None, clock: Clock | None = None
) -> Running:
    return Running("run", "shop", observers=observers, clock=clock or Clock(), cancel=cancel)  # type: ignore[arg-type]  # what an observer returns is not looked at


def fail_on(kind: type[object]) -> Callable[[Event], None]:
    def observer(event: Event) -> None:
        if isinstance(event, kind):
            raise RuntimeError("the mail server is down")

    return observer


def operations(pipeline: BackupPipeline) -> Iterator[Callable[[], Report]]:
    """All that tell observers, in an order in which each succeeds."""
    yield pipeline.run
    yield pipeline.verify
    yield pipeline.monitor
    yield pipeline.clean
    yield lambda: pipeline.restore(to="/nowhere/at/all", dry_run=True)


@pytest.fixture
def pipeline() -> BackupPipeline:
    return BackupPipeline(
        "shop",
        Scripted("app", FILES),
        MemoryDestination(),
        encryptor=None,
        retry=Retry(wait=0),
        lock=NoLock(),
    )


# The order of events


def test_a_run_tells_its_beginning_each_entry_and_its_end(pipeline: BackupPipeline) -> None:
    events: list[Event] = []
    pipeline.observers = (events.append,)
    report = pipeline.run()
    assert events == [
        Started("run", "shop"),
        EntryStarted("app/a", None),
        BytesRead(3),
        EntryStarted("app/b", None),
        BytesRead(2),
        Finished(report),
    ]


def test_a_verification_tells_how_much_there_is_first(pipeline: BackupPipeline) -> None:
    events: list[Event] = []
    pipeline.run()
    pipeline.observers = (events.append,)
    pipeline.verify()
    assert events[:2] == [Started("verify", "shop"), Expected(5)]
    assert sum(event.count for event in events if isinstance(event, BytesRead)) == 5


def test_every_operation_begins_with_started_and_ends_with_finished(pipeline: BackupPipeline) -> None:
    for operation in operations(pipeline):
        events: list[Event] = []
        pipeline.observers = (events.append,)
        report = operation()
        assert events[0] == Started(report.operation, "shop")
        assert events[-1] == Finished(report)
        assert [type(event) for event in events].count(Finished) == 1


def test_an_operation_that_fails_tells_why_and_ends_with_finished(pipeline: BackupPipeline) -> None:
    events: list[Event] = []
    pipeline.observers = (events.append,)
    acts: list[Callable[[], Report]] = [
        pipeline.verify,
        lambda: pipeline.run(only="databases"),
        lambda: pipeline.run(to="/elsewhere"),
    ]
    for act in acts:
        events.clear()
        with pytest.raises(BackupKitError) as caught:
            act()
        assert [type(event) for event in events] == [Started, ProblemFound, Finished]
        assert isinstance(events[1], ProblemFound)
        assert events[1].problem.message == str(caught.value)
        assert events[2] == Finished(caught.value.report)  # type: ignore[arg-type]  # it has one


# Totals


def test_the_report_counts_entries_bytes_and_time() -> None:
    clock = Clock(datetime(2026, 11, 23, 3, tzinfo=UTC))
    one = running(clock=clock)
    for entry in (
        with_content(Entry(path="a"), b"aaa", b"a"),
        Entry(path="folder", kind="directory"),
        Entry(path="link", kind="symlink", target="a"),
        with_content(Entry(path="same", kind="hardlink", target="a"), b"aaaa"),
    ):
        assert b"".join(one.watched(entry).chunks()) in (b"aaaa", b"")
    clock.forward(hours=1)
    report = one.finish("succeeded", written=7)
    assert (report.operation, report.name, report.outcome) == ("run", "shop", "succeeded")
    assert (report.entries, report.read, report.written) == (4, 8, 7)
    assert (report.started, report.took) == (datetime(2026, 11, 23, 3, tzinfo=UTC), timedelta(hours=1))


def test_what_is_made_of_a_file_that_is_there_is_watched_too() -> None:
    heard: list[Event] = []
    cancel = threading.Event()
    one = running(heard.append, cancel=cancel)
    assert one.watched(Entry(path="a")).reusing is None

    def reusing(descriptor: int) -> Iterator[bytes]:
        yield str(descriptor).encode()
        cancel.set()
        yield b"too late"

    assert one.watched(Entry(path="a", within=lambda start, stop: iter(()))).within is None
    watched = one.watched(Entry(path="a", size=9, reusing=reusing)).reusing
    assert watched is not None
    chunks = watched(7)
    assert next(chunks) == b"7"
    with pytest.raises(OperationCancelledError):
        next(chunks)
    assert heard == [EntryStarted("a", 9), BytesRead(1)]


def test_what_was_watched_is_closed_when_its_reader_stops() -> None:
    closed: list[bool] = []

    def content() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    chunks = running().watched(Entry(path="a", chunks=content)).chunks()
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True]


def test_the_outcome_is_incomplete_as_soon_as_something_was_lost() -> None:
    one = running()
    outcomes = [one.outcome]
    severities: list[Severity] = ["warning", "error", "warning"]
    for severity in severities:
        one.add(Problem(message="something", severity=severity))
        outcomes.append(one.outcome)
    assert outcomes == ["succeeded", "succeeded", "incomplete", "incomplete"]


def test_a_problem_is_told_and_reported_once() -> None:
    events: list[Event] = []
    one = running(events.append)
    for _ in range(2):
        one.add(Problem(message="lost", path="a"))
    one.add(Problem(message="lost", path="b"))
    assert [event.problem.path for event in events if isinstance(event, ProblemFound)] == ["a", "b"]
    assert [problem.path for problem in one.finish("incomplete").problems] == ["a", "b"]


# Failing


def test_an_error_leaves_with_the_report_of_the_operation() -> None:
    error = DestinationError("The disk is full.", location="file:///mnt")
    one = running()
    one.entries = 3
    with pytest.raises(DestinationError) as caught, one:
        raise error
    assert caught.value is error
    assert error.report is not None
    assert (error.report.outcome, error.report.entries) == ("failed", 3)
    assert error.report.problems == (Problem(message="The disk is full.", destination="file:///mnt"),)


def test_each_error_of_a_group_has_the_report_and_so_has_the_group() -> None:
    errors = [SourceError("one", path="a"), DestinationError("two", location="b")]
    with pytest.raises(ExceptionGroup) as caught, running():
        raise ExceptionGroup("both failed", errors)
    report = caught.value.report  # type: ignore[attr-defined]  # that is the test
    assert [problem.message for problem in report.problems] == ["one", "two"]
    assert errors[0].report is errors[1].report is report


def test_an_error_that_was_told_already_is_not_told_again() -> None:
    one = running()
    one.add(Problem(message="down", destination="b", check="Reachable"))
    with pytest.raises(DestinationError) as caught, one:
        raise DestinationError("down", location="b")
    assert caught.value.report is not None
    assert [problem.check for problem in caught.value.report.problems] == ["Reachable"]


@pytest.mark.parametrize("error", [ValueError("a mistake"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_whatever_ends_an_operation_passes_through_and_is_told(error: BaseException) -> None:
    events: list[Event] = []
    with pytest.raises(type(error)) as caught, running(events.append):
        raise error
    assert caught.value is error
    assert isinstance(events[-1], Finished)
    assert events[-1].report.outcome == "failed"
    assert events[-1].report.problems[0].message == (str(error) or "KeyboardInterrupt")


def test_several_errors_are_raised_as_a_group_and_one_as_itself() -> None:
    raise_all("nothing", [])
    one, two = ValueError("one"), ValueError("two")
    with pytest.raises(ValueError, match="one") as caught:
        raise_all("failed", [one])
    assert caught.value is one
    with pytest.raises(ExceptionGroup, match="failed") as group:
        raise_all("failed", [one, two])
    assert group.value.exceptions == (one, two)


# Observers that fail


def test_an_observer_that_fails_is_told_no_more_and_the_others_are() -> None:
    told: list[Event] = []
    heard: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        raise RuntimeError("the mail server is down")

    with running(broken, heard.append) as one:
        one.expect(5)
        report = one.finish("succeeded")
    assert told == [Started("run", "shop")]
    assert [type(event) for event in heard] == [ProblemFound, Started, Expected, Finished]
    (problem,) = report.problems
    assert (problem.severity, problem.check) == ("warning", "observer")
    assert problem.message.endswith("failed and was told no more: RuntimeError")
    assert report.outcome == "succeeded"


@pytest.mark.parametrize("kind", [Started, EntryStarted, BytesRead, ProblemFound, Finished])
def test_no_observer_can_fail_a_run(pipeline: BackupPipeline, kind: type[object]) -> None:
    source = Scripted("app", {**FILES, "": Problem(message="a socket", severity="warning")})
    pipeline.sources = (source,)
    events: list[Event] = []
    pipeline.observers = (fail_on(kind), events.append, fail_on(kind))
    report = pipeline.run()
    assert report.outcome == "succeeded"
    failed = [problem for problem in report.problems if problem.check == "observer"]
    assert [problem.severity for problem in failed] == ["warning"] * 2
    assert pipeline.get().good
    assert source.reads == [*FILES], "nothing was done twice for it"


def test_nothing_is_told_after_finished() -> None:
    events: list[Event] = []
    report = running(events.append, fail_on(Finished)).finish("succeeded")
    assert [type(event) for event in events] == [Finished]
    assert [problem.check for problem in report.problems] == ["observer"]


def test_an_observer_is_told_again_in_the_next_operation(pipeline: BackupPipeline) -> None:
    events: list[Event] = []

    def broken_at_first(event: Event) -> None:
        events.append(event)
        if len(events) == 1:
            raise RuntimeError

    pipeline.observers = (broken_at_first,)
    pipeline.run()
    assert len(events) == 1
    pipeline.run()
    assert isinstance(events[-1], Finished)


def test_an_interrupt_in_an_observer_ends_the_operation(pipeline: BackupPipeline) -> None:
    def interrupted(event: Event) -> None:
        if isinstance(event, BytesRead):
            raise KeyboardInterrupt

    pipeline.observers = (interrupted,)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert pipeline.list().backups == ()


# Who else is told


class BrokenTelling:
    """What no telling does: it raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        if isinstance(self._error, Exception):
            raise self._error

    def ended(self, report: Report) -> Iterator[Problem]:
        raise self._error


@pytest.mark.parametrize("failing", [True, False])
def test_no_telling_can_fail_an_operation_or_change_its_error(failing: bool) -> None:
    events: list[Event] = []
    one = Running(
        "run",
        "shop",
        observers=[events.append],
        clock=Clock(),
        cancel=None,
        telling=BrokenTelling(RuntimeError("https://chat.example/T0KEN")),
    )
    error = SourceError("gone", path="a")
    if failing:
        with pytest.raises(SourceError) as caught, one:
            raise error
        assert caught.value is error
        report = error.report
    else:
        with one:
            report = one.finish("succeeded")
    assert report is not None
    assert report.outcome == ("failed" if failing else "succeeded")
    (problem,) = [problem for problem in report.problems if problem.check == "notification"]
    assert problem.severity == "warning"
    assert problem.message == "Not everybody was told, or not everything was kept: RuntimeError"
    assert events[-1] == Finished(report)


def test_an_end_that_was_told_is_not_told_again_as_a_failure() -> None:
    events: list[Event] = []
    one = Running(
        "run",
        "shop",
        observers=[events.append],
        clock=Clock(),
        cancel=None,
        telling=BrokenTelling(KeyboardInterrupt()),
    )
    with pytest.raises(KeyboardInterrupt), one:
        one.finish("succeeded")
    assert [event.report.outcome for event in events if isinstance(event, Finished)] == ["succeeded"]


# Cancelling and waiting


def test_cancelling_ends_a_stream_at_the_next_chunk() -> None:
    cancel = threading.Event()
    one = running(cancel=cancel)
    chunks = one.watched(with_content(Entry(path="a"), b"one", b"two")).chunks()
    assert next(chunks) == b"one"
    cancel.set()
    with pytest.raises(OperationCancelledError, match=r"The run of shop was cancelled\."):
        next(chunks)
    assert one.read == 3


def test_a_wait_is_told_with_its_length_and_reason() -> None:
    events: list[Event] = []
    tries = 0
    for attempt in running(events.append).retry(Retry(tries=3, wait=0.001)).attempts():
        with attempt:
            tries += 1
            if tries < 3:
                raise SourceError(f"failure {tries}", path="a", retryable=True)
    assert events == [Waiting(0.001, "failure 1"), Waiting(0.001, "failure 2")]


def test_cancelling_ends_a_wait() -> None:
    cancel = threading.Event()
    cancel.set()
    waiting = running(cancel=cancel).retry(Retry(tries=2, wait=10_000)).attempts()
    with next(waiting):
        raise SourceError("failure", path="a", retryable=True)
    with pytest.raises(OperationCancelledError):
        next(waiting)


def test_what_other_threads_tell_is_heard_by_the_operations_own_before_its_next_event() -> None:
    heard: list[tuple[Event, int]] = []

    def observer(event: Event) -> None:
        heard.append((event, threading.get_ident()))

    with Running("run", "shop", observers=[observer], clock=Clock(), cancel=None) as running:
        other = threading.Thread(target=running.tell, args=(Waiting(1.0, "the cable"),))
        other.start()
        other.join()
        assert len(heard) == 1
        running.tell(BytesRead(1))
    assert [event for event, _ in heard[1:]] == [Waiting(1.0, "the cable"), BytesRead(1)]
    assert {thread for _, thread in heard} == {threading.get_ident()}
