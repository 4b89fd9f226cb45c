"""Cancelling, Ctrl-C and ended iterators in the middle of things: nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backupkit import Command, Directory, OperationCancelledError, Retry, open_repository
from backupkit.events import Event, Finished, Waiting
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import (
    Make,
    MiB,
    Scripted,
    Step,
    content,
    down,
    flaky,
    messages,
    names,
    stored,
    write_fault,
)


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    return [stored(tmp_path / name).folder for name in ("one", "two")]


def interrupted(step: Step) -> Scripted:
    """A source with this in the middle of its second file, which is large, and more after it."""
    large = [b"x" * MiB, b"y" * MiB, step, b"z" * MiB]
    return Scripted("app", {"app/a": b"a" * MiB, "app/large": [large], "app/z": b"z"})


@pytest.mark.parametrize("count", [1, 2])
def test_cancelling_ends_the_run_at_the_next_chunk_and_leaves_nothing(
    make: Make, places: list[Path], count: int
) -> None:
    cancel = threading.Event()
    source = interrupted(cancel.set)
    pipeline = make(source, places[:count])
    with pytest.raises(OperationCancelledError) as caught:
        pipeline.run(cancel=cancel)
    assert source.reads == ["app/a", "app/large"]
    assert caught.value.report is not None
    assert (caught.value.report.outcome, caught.value.report.read) == ("failed", 3 * MiB)
    assert [names(place) for place in places] == [[], []]

    source.reads.clear()
    assert pipeline.run().outcome == "succeeded"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("how", ["raised", "by a signal"])
def test_an_interrupt_ends_the_run_and_leaves_nothing(
    make: Make, places: list[Path], count: int, how: str
) -> None:
    def by_signal() -> None:
        signal.raise_signal(signal.SIGINT)

    events: list[Event] = []
    source = interrupted(KeyboardInterrupt() if how == "raised" else by_signal)
    pipeline = make(source, places[:count], observers=[events.append])
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert [names(place) for place in places] == [[], []]
    assert isinstance(events[-1], Finished)
    assert events[-1].report.outcome == "failed"

    pipeline.sources = (Scripted("app", {"app/a": b"a"}),)
    assert pipeline.run().outcome == "succeeded", "the lock was let go"


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError("all of it")], ids=repr)
def test_whatever_ends_a_run_leaves_nothing(make: Make, places: list[Path], error: BaseException) -> None:
    source = Scripted("app", {"app/a": b"a" * MiB, "": error, "app/z": b"z"})  # type: ignore[dict-item]
    if isinstance(error, MemoryError):
        assert make(source, places).run().outcome == "incomplete"
    else:
        with pytest.raises(SystemExit):
            make(interrupted(error), places).run()
        assert [names(place) for place in places] == [[], []]


def test_a_run_that_is_cancelled_before_it_begins_reads_nothing(make: Make) -> None:
    cancel = threading.Event()
    cancel.set()
    source = Scripted("app", {"app/a": b"a"})
    destination = MemoryDestination()
    with pytest.raises(OperationCancelledError):
        make(source, destination).run(cancel=cancel)
    assert source.reads == []
    assert destination.objects == {}


def test_cancelling_ends_the_wait_for_another_try(make: Make) -> None:
    cancel = threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, Waiting):
            cancel.set()

    source = Scripted("dumps", {"db-dumps/a": [[flaky()]]})
    destination = MemoryDestination()
    hours = Retry(tries=2, wait=10_000)
    with pytest.raises(OperationCancelledError):
        make(source, destination, retry=hours, observers=[observe]).run(cancel=cancel)
    assert source.reads == ["db-dumps/a"]
    assert destination.objects == {}


def test_cancelling_ends_a_program_that_is_being_read(make: Make, tmp_path: Path, places: list[Path]) -> None:
    cancel = threading.Event()
    pid = tmp_path / "pid"
    endless = Command(["sh", "-c", f"echo $$ > {pid}; exec yes"], name="endless")

    def observe(event: Event) -> None:
        if pid.exists():
            cancel.set()

    with pytest.raises(OperationCancelledError):
        make(endless, places, observers=[observe]).run(cancel=cancel)
    assert [names(place) for place in places] == [[], []]
    assert subprocess.run(["kill", "-0", pid.read_text().strip()], check=False, stderr=-3).returncode != 0


def test_cancelling_ends_the_copy_to_a_destination_that_failed(make: Make) -> None:
    cancel = threading.Event()
    late = MemoryDestination("late")
    faulty = FaultyDestination(late, [write_fault(down(retryable=True))])
    # The copy reads, for the first time in a run, and each of its chunks is a chance to end it.
    whole = FaultyDestination(MemoryDestination(), [Fault(method="read", does=cancel.set, answer_lost=True)])
    with pytest.raises(OperationCancelledError):
        make(interrupted(b""), [whole, faulty]).run(cancel=cancel)
    assert [name for name in late.objects if name.endswith(".json")] == []


def test_cancelling_a_restore_leaves_no_unfinished_file(make: Make, tmp_path: Path) -> None:
    pipeline = make(interrupted(b""), MemoryDestination())
    pipeline.run()
    cancel = threading.Event()

    def observe(event: Event) -> None:
        if "app/large" in str(event):
            cancel.set()

    watched = open_repository(pipeline.destinations[0], observers=[observe])
    with pytest.raises(OperationCancelledError):
        watched.restore(to=tmp_path / "restored", cancel=cancel)
    assert names(tmp_path / "restored") == ["app/a"]


def test_a_cancelled_verification_proves_nothing(make: Make) -> None:
    destinations = [MemoryDestination("one"), MemoryDestination("two")]
    pipeline = make(interrupted(b""), destinations)
    pipeline.run()
    before = [{**one.objects} for one in destinations]
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(OperationCancelledError) as caught:
        pipeline.verify(cancel=cancel)
    assert [one.objects for one in destinations] == before
    assert caught.value.report is not None
    assert messages(caught.value.report.problems) == ["The verify of shop was cancelled."]


@pytest.mark.parametrize("operation", ["clean", "monitor"])
def test_cleaning_and_monitoring_can_be_cancelled(make: Make, operation: str) -> None:
    cancel = threading.Event()
    cancel.set()
    pipeline = make(interrupted(b""), MemoryDestination())
    with pytest.raises(OperationCancelledError):
        getattr(pipeline, operation)(cancel=cancel)


def test_an_interrupted_process_leaves_nothing_and_keeps_no_lock(
    make: Make, tmp_path: Path, places: list[Path]
) -> None:
    program = (
        "import sys\n"
        "from backupkit import *\n"
        "app, one, two, locks = sys.argv[1:]\n"
        "dump = Command(['sh', '-c', 'kill -INT $PPID; exec yes'], name='dump')\n"
        "BackupPipeline('shop', [Directory(app), dump], [one, two], encryptor=None,"
        " lock=MachineLock(locks)).run()\n"
    )
    app = tree(tmp_path / "app", {"a": "a"})
    arguments = [str(one) for one in (app, *places, tmp_path / "locks")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=False, stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert [names(place) for place in places] == [[], []]
    pipeline = make(Directory(app), places)
    assert pipeline.run().outcome == "succeeded"
    assert content(pipeline) == {"app/a": b"a"}
