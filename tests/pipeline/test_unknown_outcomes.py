"""A destination that was given a whole backup and does not answer: neither success nor plain failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    ConfigurationError,
    DestinationError,
    KeepLast,
    LocalDestination,
    OutcomeUnknownError,
    Report,
    Retry,
    open_repository,
)
from backupkit.cli.exit_codes import OF_OUTCOME
from backupkit.cli.reports import report_lines
from backupkit.events import BytesRead
from backupkit.plain_data import plain, report_from
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Make, MiB, Scripted, content, down, messages, names, stored, write_fault

FILES = {"uploads/a": b"a" * 10, "uploads/large": bytes(range(256)) * 4096}
STALL = timedelta(seconds=0.5)  # long enough for the others to be no slower on a busy machine
END = 1 << 60


@pytest.fixture
def source() -> Scripted:
    return Scripted("uploads", FILES)


class Gate:
    """Where a destination hangs until it is let go; `wait` is what a fault calls."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def wait(self) -> None:
        self._open.wait()

    def open(self) -> None:
        """Let it go, and wait until it has ended."""
        self._open.set()
        for thread in threading.enumerate():
            if thread.name.startswith(("backupkit memory:", "backupkit file:")):
                thread.join()


@contextmanager
def hanging() -> Iterator[Gate]:
    gate = Gate()
    try:
        yield gate
    finally:
        gate.open()


def commit_hangs(gate: Gate, call: int = 1, *, kept: bool = False) -> Fault:
    """It hangs once it was given all: before it has kept the object, or when it should say that it did."""
    return Fault(
        method="write", does=gate.wait, call=call, after=0 if kept else END, answer_lost=kept, goes_on=True
    )


def reported(report: Report) -> list[str]:
    return [one.outcome for one in report.destinations]


def test_a_commit_that_hangs_is_reported_as_unknown_and_the_others_finish(
    make: Make, source: Scripted
) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    with hanging() as gate:
        destinations = [FaultyDestination(inner, [commit_hangs(gate)]), whole]
        report = make(source, destinations, stall_limit=STALL, retry=Retry(tries=1)).run()
        assert report.outcome == "incomplete"
        assert reported(report) == ["unknown", "succeeded"]
        assert source.reads == [*FILES]
        (problem,) = report.problems
        assert (problem.severity, problem.destination) == ("error", "memory:hangs")
        assert problem.message.startswith("Whether memory:hangs has kept the object 'shop/")
        assert "did not answer for 0.5 seconds" in problem.message
        assert content(open_repository(whole)) == FILES
        assert OF_OUTCOME[report.outcome] == 3
        lines = [*report_lines(report)]
        assert lines[1].split() == ["unknown", "memory:hangs"]
        document = plain(report)
        assert document["destinations"][0]["outcome"] == "unknown"
        assert report_from(json.loads(json.dumps(document))) == report


def test_an_only_destination_whose_commit_hangs_fails_the_run_and_is_unknown_in_the_report(
    make: Make, source: Scripted
) -> None:
    with hanging() as gate:
        faulty = FaultyDestination(MemoryDestination("hangs"), [commit_hangs(gate)])
        with pytest.raises(OutcomeUnknownError) as caught:
            make(source, faulty, stall_limit=STALL, retry=Retry(tries=1)).run()
        assert caught.value.report is not None
        assert caught.value.report.outcome == "failed"
        assert reported(caught.value.report) == ["unknown"]


def test_what_a_later_attempt_fails_with_does_not_make_an_unknown_outcome_known(
    make: Make, source: Scripted
) -> None:
    with hanging() as gate:
        faults = [commit_hangs(gate, kept=True), write_fault(down(retryable=False), call=2)]
        faulty = FaultyDestination(MemoryDestination("hangs"), faults)
        with pytest.raises(DestinationError) as caught:
            make(source, faulty, stall_limit=STALL, retry=Retry(tries=2, wait=0)).run()
        assert caught.value.report is not None
        assert reported(caught.value.report) == ["unknown"]
        assert "The cable was cut." in messages(caught.value.report.problems)


@pytest.mark.parametrize("kept", [True, False])
def test_the_copy_that_follows_settles_it_whether_the_object_is_there_or_not(
    make: Make, source: Scripted, kept: bool
) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    with hanging() as gate:
        destinations = [FaultyDestination(inner, [commit_hangs(gate, kept=kept)]), whole]
        report = make(source, destinations, stall_limit=STALL, retry=Retry(tries=2, wait=0)).run()
        assert (report.outcome, report.problems) == ("succeeded", ())
        assert reported(report) == ["succeeded", "succeeded"]
        assert source.reads == [*FILES]
        assert inner.objects == whole.objects
    # And when the thread that was left behind goes on, it cannot replace or remove what is there now.
    assert inner.objects == whole.objects


def test_if_no_copy_succeeds_it_stays_unknown(make: Make, source: Scripted) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    with hanging() as gate:
        faults = [commit_hangs(gate), write_fault(down(retryable=False), call=2)]
        report = make(
            source,
            [FaultyDestination(inner, faults), whole],
            stall_limit=STALL,
            retry=Retry(tries=2, wait=0),
        ).run()
        assert reported(report) == ["unknown", "succeeded"]
        assert messages(report.problems)[0].startswith("Whether memory:hangs has kept")


def test_that_another_object_is_there_is_no_longer_unknown(make: Make, source: Scripted) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    with hanging() as gate:

        def replaced() -> None:
            inner.objects[next(iter(inner.objects))] = b"something else"
            gate.wait()

        faulty = FaultyDestination(inner, [Fault(method="write", does=replaced, answer_lost=True)])
        report = make(source, [faulty, whole], stall_limit=STALL, retry=Retry(tries=2, wait=0)).run()
        assert reported(report) == ["failed", "succeeded"]


@pytest.mark.parametrize(
    ("call", "state"), [(1, None), (2, True)], ids=["the archive", "the summary, which ends it"]
)
def test_what_is_kept_after_all_is_listed_as_what_it_is(
    make: Make, source: Scripted, tmp_path: Path, call: int, state: bool | None
) -> None:
    inner, whole = stored(tmp_path / "hangs"), stored(tmp_path / "whole")
    with hanging() as gate:
        faulty = FaultyDestination(inner, [commit_hangs(gate, call)])
        report = make(source, [faulty, whole], stall_limit=STALL, retry=Retry(tries=1)).run()
        assert reported(report) == ["unknown", "succeeded"]
        before = [one.complete for one in open_repository(inner).list().backups] if call == 2 else []
        assert before == ([None] if call == 2 else [])
        gate.open()
        backups = open_repository(inner)
        (late,) = backups.list().backups
        assert (late.complete, late.good) == (state, state is True)
        assert content(backups, late.id) == FILES
        assert backups.verify(late).outcome == "succeeded"
        assert [one.good for one in backups.list().backups] == [True]


def test_one_that_is_dead_from_the_first_question_on_is_dropped_and_the_others_finish(
    make: Make, source: Scripted
) -> None:
    whole = MemoryDestination("whole")
    with hanging() as gate:
        dead = FaultyDestination(
            MemoryDestination("dead"),
            [Fault(method="stat", does=gate.wait, call=None), write_fault(gate.wait, call=None)],
        )
        report = make(source, [dead, whole], stall_limit=STALL, retry=Retry(tries=1)).run()
        assert reported(report) == ["failed", "succeeded"]
        assert "did not answer within 0.5 seconds" in messages(report.problems)[0]
        assert content(open_repository(whole)) == FILES


def test_a_slow_one_slows_the_run_which_reads_no_more_than_a_few_mebibytes_ahead(make: Make) -> None:
    stuck, go_on = threading.Event(), threading.Event()
    read: list[int] = []
    read_when_stuck: list[int] = []

    def slow() -> None:
        stuck.set()
        go_on.wait()

    def count(event: object) -> None:
        if isinstance(event, BytesRead):
            read.append(event.count)

    def release() -> None:
        stuck.wait()
        before = -1
        while before != len(read):  # until the run seems to wait as well: too early does no harm
            before = len(read)
            threading.Event().wait(0.2)
        read_when_stuck.append(sum(read))
        go_on.set()

    helper = threading.Thread(target=release)
    helper.start()
    fault = Fault(method="write", does=slow, after=MiB, goes_on=True)
    destinations = [FaultyDestination(MemoryDestination("slow"), [fault]), MemoryDestination("fast")]
    large = Scripted("uploads", {"uploads/large": [[os.urandom(MiB)] * 60]})
    report = make(large, destinations, compressor="store", observers=[count]).run()
    helper.join()
    assert reported(report) == ["succeeded", "succeeded"]
    assert read_when_stuck[0] <= 20 * MiB
    assert sum(read) == 60 * MiB


PROGRAM = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from backupkit import BackupPipeline, Directory, LocalDestination, MachineLock, Retry
from backupkit.testing.destinations import Fault, FaultyDestination

root = Path(sys.argv[1])
hangs = Fault(method="write", does=threading.Event().wait, after=1 << 60, goes_on=True)
pipeline = BackupPipeline(
    "shop",
    Directory(root / "app"),
    [FaultyDestination(LocalDestination(root / "hangs"), [hangs]), root / "whole"],
    encryptor=None, retry=Retry(tries=1), lock=MachineLock(root / "locks"), stall_limit=timedelta(seconds=0.5),
)
"""


def test_a_thread_that_was_left_behind_keeps_neither_the_process_nor_the_lock(tmp_path: Path) -> None:
    for folder in ("app", "hangs", "whole"):
        (tmp_path / folder).mkdir()
    (tmp_path / "app/index.html").write_text("<h1>Shop</h1>")
    (tmp_path / "shop_backups.py").write_text(PROGRAM.replace("sys.argv[1]", repr(str(tmp_path))))
    done = subprocess.run(
        [sys.executable, "-m", "backupkit", "run", "--app", "shop_backups:pipeline"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "\n  unknown " in done.stderr
    assert "error: Whether file://" in done.stderr
    assert len(open_repository(tmp_path / "whole").list().backups) == 1
    twice = "pipeline.run(); print('free'); pipeline.run(); print('again')"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + twice, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "free\nagain\n"), done.stderr


def test_how_long_one_may_keep_the_others_waiting_must_be_a_time(make: Make, source: Scripted) -> None:
    for limit in (timedelta(0), timedelta(seconds=-1), timedelta(days=2)):
        with pytest.raises(ConfigurationError, match="stall_limit"):
            make(source, MemoryDestination(), stall_limit=limit)


def test_a_run_may_repeat_it_for_one(make: Make, source: Scripted) -> None:
    inner, whole = MemoryDestination("hangs"), MemoryDestination("whole")
    with hanging() as gate:
        destinations = [FaultyDestination(inner, [commit_hangs(gate)]), whole]
        pipeline = make(source, destinations, stall_limit=STALL, retry=Retry(tries=1))
        assert reported(pipeline.run()) == ["unknown", "succeeded"]
        assert reported(pipeline.run(to="memory:hangs")) == ["succeeded"]
        assert content(open_repository(inner)) == FILES
        assert len(whole.objects) == 2


# Errors that are not ours


@pytest.mark.parametrize("method", ["write", "stat"])
def test_an_only_destination_that_raises_what_is_not_ours_fails_the_run_in_our_words(
    make: Make, source: Scripted, method: str
) -> None:
    fault = Fault(method=method, does=RuntimeError("secret"), call=None)  # type: ignore[arg-type]
    with pytest.raises(DestinationError, match="failed with RuntimeError") as caught:
        make(source, FaultyDestination(MemoryDestination(), [fault])).run()
    assert caught.value.report is not None
    assert reported(caught.value.report) == ["failed"]
    assert "secret" not in str(caught.value.report)


@pytest.mark.parametrize("method", ["list", "delete"])
@pytest.mark.parametrize(
    "error",
    [down(retryable=False), RuntimeError("a mistake in an adapter"), OSError(5, "Input/output error")],
)
def test_clean_and_monitor_go_on_after_whatever_one_fails_with(
    make: Make, source: Scripted, method: str, error: Exception
) -> None:
    bad, good = MemoryDestination("bad"), MemoryDestination("good")
    for number in range(3):
        assert make(source, [bad, good]).run().outcome == "succeeded", number
    fault = Fault(method=method, does=error, call=None)  # type: ignore[arg-type]
    pipeline = make(source, [FaultyDestination(bad, [fault]), good], retention=KeepLast(1))
    monitored = pipeline.monitor()
    assert reported(monitored) == (["failed", "succeeded"] if method == "list" else ["succeeded"] * 2)
    cleaned = pipeline.clean()
    assert cleaned.outcome == "incomplete"
    assert reported(cleaned)[0] in ("failed", "incomplete")
    assert cleaned.destinations[1].outcome == "succeeded"
    assert len(open_repository(good).list().backups) == 1
    assert len(open_repository(bad).list().backups) == 3


def test_leftovers_that_cannot_be_listed_keep_nobody_else_from_being_cleaned(
    make: Make, source: Scripted, tmp_path: Path
) -> None:
    class Broken(LocalDestination):
        def leftovers(self, prefix: str = "") -> Iterator[object]:  # type: ignore[override]
            raise RuntimeError("a mistake in an adapter")

    (tmp_path / "bad").mkdir()
    good = MemoryDestination("good")
    pipeline = make(source, [Broken(tmp_path / "bad"), good], retention=KeepLast(1))
    for _ in range(2):
        pipeline.run()
    assert reported(pipeline.clean()) == ["failed", "succeeded"]
    assert len(open_repository(good).list().backups) == 1
    assert reported(pipeline.monitor()) == ["failed", "succeeded"]
    assert len(names(tmp_path / "bad")) == 4
