from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from backupkit.destinations import fan_out as fan_out_module
from backupkit.destinations.answers import limit_of
from backupkit.destinations.branch import Branch
from backupkit.destinations.fan_out import FanOut
from backupkit.destinations.local import LocalDestination
from backupkit.destinations.opening import open_destination
from backupkit.errors import (
    AccessDeniedError,
    BackupKitError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
    OutcomeUnknownError,
)
from backupkit.filesystems.transfer import Transfer
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination
from backupkit.testing.destinations import CONTENT, Fault, FaultyDestination, MemoryDestination, Method

MiB = 1 << 20
END = 1 << 60
STALL = 0.5  # seconds; long enough for the others to be no slower on a busy machine


def broken(message: str = "no more room") -> DestinationError:
    return DestinationError(message, location="memory:broken")


def failing(error: BaseException, after: int = 3) -> Iterator[bytes]:
    for _ in range(after):
        yield b"x" * MiB
    raise error


def read(destination: Destination, name: str) -> bytes:
    return b"".join(destination.read(name))


class Hanging(MemoryDestination):
    """Takes some chunks, then waits for the test to let it go on; tells what it was given then."""

    def __init__(self, after: int) -> None:
        super().__init__("hanging")
        self.waits = threading.Event()
        self.go_on = threading.Event()
        self.ended = threading.Event()
        self.raised: BaseException | None = None
        self._after = after

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        def hanging() -> Iterator[bytes]:
            number = 0
            for number, chunk in enumerate(chunks, 1):
                if number == self._after:
                    self._hang()
                yield chunk
            if number < self._after:
                self._hang()

        try:
            return super().write(name, hanging(), overwrite=overwrite)
        except BaseException as error:
            self.raised = error
            raise
        finally:
            self.ended.set()

    def _hang(self) -> None:
        self.waits.set()
        self.go_on.wait()


def no_threads_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("backupkit ")]


def test_every_destination_gets_the_same_object(tmp_path: Path) -> None:
    one, two = MemoryDestination("one"), LocalDestination(tmp_path)
    fan_out = FanOut([one, two])
    stored = fan_out.write("a/object", [CONTENT[i : i + 99_999] for i in range(0, len(CONTENT), 99_999)])
    assert read(one, "a/object") == read(two, "a/object") == CONTENT
    assert stored == one.stat("a/object")
    assert fan_out.failures == {}
    assert fan_out.location == f"memory:one, {two.location}"
    assert no_threads_left()


def test_a_chunk_larger_than_the_queue_passes() -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    FanOut([one, two]).write("object", [b"x" * (20 * MiB), b"y"])
    assert one.objects == two.objects == {"object": b"x" * (20 * MiB) + b"y"}


@pytest.mark.parametrize("after", [0, 5 * MiB, END], ids=["start", "middle", "commit"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_that_fails_does_not_fail_the_others(index: int, after: int) -> None:
    inner = [MemoryDestination(str(number)) for number in range(3)]
    error = broken()
    given: list[Destination] = [*inner]
    given[index] = FaultyDestination(inner[index], [Fault(method="write", does=error, after=after)])
    fan_out = FanOut(given)
    stored = fan_out.write("object", [b"x" * MiB] * 20)
    assert stored.size == 20 * MiB
    assert fan_out.failures == {index: error}
    assert fan_out.failures[index] is error
    assert [len(one.objects) for one in inner] == [int(number != index) for number in range(3)]
    assert no_threads_left()


def test_one_that_failed_is_not_asked_again() -> None:
    faulty = FaultyDestination(MemoryDestination("faulty"), [Fault(method="write", does=broken())])
    good = MemoryDestination("good")
    fan_out = FanOut([faulty, good])
    fan_out.write("1", [b"content"])
    fan_out.write("2", [b"content"])
    fan_out.delete("1")
    assert [stored.name for stored in fan_out.list()] == ["2"]
    assert read(fan_out, "2") == b"content"
    assert fan_out.stat("2") == good.stat("2")
    assert faulty.calls == {"write": 1}


def test_when_all_fail_the_call_raises_all_their_errors_and_closes_the_chunks() -> None:
    errors = [broken("one"), broken("two")]
    fan_out = FanOut(
        [
            FaultyDestination(MemoryDestination(), [Fault(method="write", does=error, after=number * MiB)])
            for number, error in enumerate(errors)
        ]
    )
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            for _ in range(100):
                yield b"x" * MiB
        except GeneratorExit:
            closed.append(True)
            raise

    with pytest.raises(ExceptionGroup) as caught:
        fan_out.write("object", chunks())
    assert list(caught.value.exceptions) == errors
    assert closed == [True]
    assert no_threads_left()
    for ask in (
        lambda: fan_out.write("object", [b""]),
        lambda: fan_out.stat("object"),
        lambda: next(fan_out.read("object")),
        lambda: next(fan_out.list()),
        lambda: fan_out.delete("object"),
    ):
        with pytest.raises(ExceptionGroup):
            ask()


def test_an_only_destination_that_fails_raises_its_own_error() -> None:
    error = broken()
    fan_out = FanOut([FaultyDestination(MemoryDestination(), [Fault(method="write", does=error, after=MiB)])])
    with pytest.raises(DestinationError) as caught:
        fan_out.write("object", [b"x" * MiB] * 2)
    assert caught.value is error
    assert fan_out.failures == {0: error}


@pytest.mark.parametrize("count", [1, 2])
def test_a_foreign_exception_is_wrapped_and_its_text_kept_to_itself(count: int) -> None:
    foreign = ValueError("https://user:hunter2@example.org")
    faulty = FaultyDestination(MemoryDestination(), [Fault(method="write", does=foreign)])
    given: list[Destination] = [faulty, MemoryDestination()]
    fan_out = FanOut(given[:count])
    if count == 1:
        with pytest.raises(DestinationError):
            fan_out.write("object", [b"content"])
    else:
        fan_out.write("object", [b"content"])
    failure = fan_out.failures[0]
    assert isinstance(failure, DestinationError)
    assert failure.__cause__ is foreign
    assert "ValueError" in str(failure)
    assert "hunter2" not in str(failure)


def test_one_that_stores_less_than_it_was_given_has_failed_and_keeps_none_of_it() -> None:
    inner = MemoryDestination("liar")
    liar = FaultyDestination(inner, [Fault(method="write", does=None, after=MiB)])
    fan_out = FanOut([liar, MemoryDestination()])
    assert fan_out.write("object", [b"x" * MiB] * 20).size == 20 * MiB
    assert "stored 1048576 bytes" in str(fan_out.failures[0])
    assert inner.objects == {}


def test_what_was_to_be_replaced_is_not_deleted_when_less_was_stored() -> None:
    inner = MemoryDestination()
    liar = FaultyDestination(inner, [Fault(method="write", does=None, after=1)])
    with pytest.raises(DestinationError, match="it is broken"):
        FanOut([liar]).write("object", [b"content"], overwrite=True)
    assert inner.objects == {"object": b"c"}


# The chunks fail


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("after", [0, 30])
@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        broken("of a source"),
        ObjectExistsError("", location=""),
        KeyboardInterrupt(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_the_chunks_is_the_callers_and_drops_nobody(
    error: BaseException, after: int, count: int
) -> None:
    inner = [MemoryDestination(str(number)) for number in range(count)]
    fan_out = FanOut(inner)
    with pytest.raises(type(error)) as caught:
        fan_out.write("object", failing(error, after))
    assert caught.value is error
    assert fan_out.failures == {}
    assert [one.objects for one in inner] == [{}] * count
    assert no_threads_left()
    assert fan_out.write("object", [b"next try"]).size == 8


def test_the_traceback_of_the_chunks_exception_shows_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match="here") as caught:
        FanOut([MemoryDestination("1"), MemoryDestination("2")]).write("object", failing(ValueError("here")))
    functions = [entry.name for entry in caught.traceback]
    assert functions[-1] == "failing"
    assert "_run" not in functions


def test_every_destination_sees_the_exception_of_the_chunks() -> None:
    error = KeyboardInterrupt()
    destinations = [Hanging(after=100), Hanging(after=100)]
    for destination in destinations:
        destination.go_on.set()
    with pytest.raises(KeyboardInterrupt):
        FanOut(destinations).write("object", failing(error))
    assert [destination.raised for destination in destinations] == [error, error]


def test_a_destination_that_failed_before_the_chunks_did_is_still_dropped() -> None:
    error, failed = broken(), threading.Event()

    def fail() -> None:
        failed.set()
        raise error

    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        failed.wait()
        raise KeyboardInterrupt

    faulty = FaultyDestination(MemoryDestination(), [Fault(method="write", does=fail)])
    fan_out = FanOut([faulty, MemoryDestination()])
    with pytest.raises(KeyboardInterrupt):
        fan_out.write("object", chunks())
    assert fan_out.failures == {0: error}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_ctrl_c_while_some_still_commit_leaves_nothing_that_was_not_there(overwrite: bool) -> None:
    good = MemoryDestination("good")
    committed = threading.Event()

    def interrupt() -> None:
        committed.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    late = FaultyDestination(MemoryDestination("late"), [Fault(method="write", does=interrupt, after=END)])
    told = Fault(method="write", does=committed.set, answer_lost=True)
    fan_out = FanOut([FaultyDestination(good, [told]), late])
    with pytest.raises(KeyboardInterrupt):
        fan_out.write("object", [b"content"], overwrite=overwrite)
    assert good.objects == ({"object": b"content"} if overwrite else {})


@pytest.mark.parametrize("begun", [False, True])
def test_a_ctrl_c_while_a_thread_begins_leaves_nothing_and_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            start(thread)
        raise KeyboardInterrupt

    inner = [MemoryDestination("1"), MemoryDestination("2")]
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        FanOut(inner).write("object", [b"content"])
    assert [one.objects for one in inner] == [{}, {}]
    assert no_threads_left()


# One hangs


@pytest.mark.parametrize("after", [1, 2, 30], ids=["first chunk", "middle", "commit"])
def test_one_that_hangs_is_dropped_and_aborted_when_it_wakes(after: int) -> None:
    hanging, good = Hanging(after), MemoryDestination("good")
    fan_out = FanOut([hanging, good], stall_limit=STALL)
    assert fan_out.write("object", [b"x" * MiB] * 29).size == 29 * MiB
    failure = fan_out.failures[0]
    assert isinstance(failure, DestinationError)
    assert failure.retryable
    # Only of one that was given all of it is nothing known.
    assert isinstance(failure, OutcomeUnknownError) == (after == 30)
    assert ("memory:hanging did not move for 0.5 seconds" in str(failure)) == (after < 30)
    assert ("did not answer for 0.5 seconds" in str(failure)) == (after == 30)
    assert fan_out.write("object-2", [b"content"]).size == 7

    hanging.go_on.set()
    hanging.ended.wait()
    if after < 30:
        assert hanging.raised is failure
        assert hanging.objects == {}
    else:
        assert hanging.objects == {"object": b"x" * (29 * MiB)}


def test_one_that_hangs_does_not_keep_an_interrupt_until_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out_module, "_PARTING", 0.1)
    hanging, good = Hanging(after=1), MemoryDestination("good")
    fan_out = FanOut([hanging, good], stall_limit=20)

    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        hanging.waits.wait()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fan_out.write("object", chunks())
    assert not hanging.ended.is_set()
    assert fan_out.failures == {}, "its limit was waited for"
    assert good.objects == {}
    hanging.go_on.set()
    hanging.ended.wait()
    assert hanging.objects == {}


def test_one_that_hangs_does_not_keep_an_exception_of_the_chunks_for_ever() -> None:
    error = ValueError("the source")
    hanging, good = Hanging(after=1), MemoryDestination("good")
    fan_out = FanOut([hanging, good], stall_limit=STALL)

    def chunks() -> Iterator[bytes]:
        yield b"x" * MiB
        hanging.waits.wait()
        raise error

    with pytest.raises(ValueError, match="the source") as caught:
        fan_out.write("object", chunks())
    assert caught.value is error
    assert good.objects == {}
    assert set(fan_out.failures) == {0}
    hanging.go_on.set()
    hanging.ended.wait()
    assert hanging.objects == {}


def test_when_the_others_fail_one_that_hangs_is_a_failure_too() -> None:
    hanging = Hanging(after=1)
    faulty = FaultyDestination(MemoryDestination(), [Fault(method="write", does=broken())])
    fan_out = FanOut([hanging, faulty], stall_limit=STALL)
    with pytest.raises(ExceptionGroup):
        fan_out.write("object", [b"x" * MiB] * 20)
    assert set(fan_out.failures) == {0, 1}
    hanging.go_on.set()
    hanging.ended.wait()


def test_one_that_is_slow_but_moves_is_not_dropped() -> None:
    class Slow(MemoryDestination):
        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            def paced() -> Iterator[bytes]:
                for chunk in chunks:
                    threading.Event().wait(0.05)
                    yield chunk

            return super().write(name, paced(), overwrite=overwrite)

    # The large chunk has to wait until all the small ones are gone: longer than the limit, which each renews.
    chunks = [b"x" * (300 << 10)] * 26 + [b"x" * (8 * MiB)]
    fan_out = FanOut([Slow(), MemoryDestination()], stall_limit=1)
    fan_out.write("object", chunks)
    assert fan_out.failures == {}


def test_a_destination_lags_behind_by_a_few_mebibytes_at_most() -> None:
    hanging = Hanging(after=1)
    branch = Branch(hanging, "object", False, stall_limit=0.1)
    branch.start()
    put = 0
    while not branch.over:
        branch.put(b"x" * MiB)
        put += 1
    assert put == 1 + 8 + 1  # taken, waiting, and the one for which there was no room
    hanging.go_on.set()
    hanging.ended.wait()


@pytest.mark.parametrize("method", ["stat", "delete"])
def test_one_that_does_not_answer_a_question_is_dropped_and_the_others_are_heard(method: Method) -> None:
    go_on = threading.Event()
    hanging = FaultyDestination(MemoryDestination("dead"), [Fault(method=method, does=go_on.wait, call=None)])
    good = MemoryDestination("good")
    good.write("object", [b"content"])
    fan_out = FanOut([hanging, good], stall_limit=STALL)
    getattr(fan_out, method)("object")
    failure = fan_out.failures[0]
    assert isinstance(failure, DestinationError)
    assert not isinstance(failure, ObjectNotFoundError)
    assert "did not answer within 0.5 seconds" in str(failure)
    fan_out.write("another", [b"content"])
    assert hanging.calls == {method: 1}
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "backupkit memory:dead":
            thread.join()


def test_an_interrupt_that_a_destination_raises_when_it_is_asked_is_the_callers() -> None:
    fan_out = FanOut(
        [FaultyDestination(MemoryDestination(), [Fault(method="stat", does=KeyboardInterrupt())])]
    )
    with pytest.raises(KeyboardInterrupt):
        fan_out.stat("object")
    assert fan_out.failures == {}


def test_all_are_asked_at_once() -> None:
    both = threading.Barrier(2)  # each waits for the other
    destinations = [
        FaultyDestination(MemoryDestination(str(number)), [Fault(method="stat", does=both.wait)])
        for number in range(2)
    ]
    with pytest.raises(ObjectNotFoundError):
        FanOut(destinations, stall_limit=30).stat("object")


@pytest.mark.parametrize(("own", "limit"), [(1.0, 300.0), (900.0, 900.0)])
def test_one_that_gives_up_by_itself_has_the_time_for_it(own: float, limit: float) -> None:
    class Patient(MemoryDestination):
        stall_limit = own

    assert limit_of(Patient(), None) == limit
    assert limit_of(MemoryDestination(), None) == 300.0
    assert limit_of(Patient(), 7.0) == 7.0


def test_what_takes_long_by_its_own_terms_is_not_dropped_for_it() -> None:
    # All parts that are under way share the slowest link that its own time limit allows, and end at one moment.
    for terms in (Transfer(), Transfer(part_size=64 * MiB), Transfer(patience=600), Transfer(concurrency=64)):
        destination = open_destination("memory://", **asdict(terms))
        together = terms.seconds_for(terms.concurrency * terms.part_size)
        assert limit_of(destination, None) > terms.patience + together


# Answers that are no failures


def test_a_name_that_exists_everywhere_is_an_answer_and_drops_nobody() -> None:
    inner = [MemoryDestination("1"), MemoryDestination("2")]
    fan_out = FanOut(inner)
    fan_out.write("object", [b"old"])
    with pytest.raises(ObjectExistsError):
        fan_out.write("object", [b"new"])
    assert fan_out.failures == {}
    assert inner[0].objects == inner[1].objects == {"object": b"old"}


def test_a_name_that_exists_somewhere_is_a_failure_there() -> None:
    inner = [MemoryDestination("1"), MemoryDestination("2")]
    inner[0].write("object", [b"old"])
    fan_out = FanOut(inner)
    fan_out.write("object", [b"new"])
    assert isinstance(fan_out.failures[0], ObjectExistsError)
    assert [one.objects for one in inner] == [{"object": b"old"}, {"object": b"new"}]


def test_the_first_that_has_the_object_is_asked_for_it() -> None:
    inner = [MemoryDestination("1"), MemoryDestination("2")]
    inner[1].write("object", [b"content"])
    fan_out = FanOut(inner)
    assert fan_out.stat("object") == inner[1].stat("object")
    assert read(fan_out, "object") == b"content"
    with pytest.raises(ObjectNotFoundError):
        fan_out.stat("missing")
    fan_out.delete("object")
    assert inner[1].objects == {}
    with pytest.raises(ObjectNotFoundError):
        fan_out.delete("object")
    assert fan_out.failures == {}


def test_the_first_that_answers_is_listed() -> None:
    denied = AccessDeniedError("denied", location="memory:1")
    fan_out = FanOut(
        [
            FaultyDestination(MemoryDestination("1"), [Fault(method="list", does=denied)]),
            MemoryDestination("2"),
        ]
    )
    fan_out.write("object", [b"content"])
    assert [stored.name for stored in fan_out.list()] == ["object"]


@pytest.mark.parametrize("faulty_one", [0, 1])
def test_one_that_cannot_tell_what_it_has_is_dropped_and_the_others_answer(faulty_one: int) -> None:
    denied = AccessDeniedError("denied", location="memory")
    destinations: list[Destination] = [MemoryDestination("1"), MemoryDestination("2")]
    destinations[faulty_one] = FaultyDestination(
        destinations[faulty_one], [Fault(method="stat", does=denied, call=None)]
    )
    fan_out = FanOut(destinations)
    with pytest.raises(ObjectNotFoundError):
        fan_out.stat("object")
    failures: dict[int, BackupKitError] = {faulty_one: denied}
    assert fan_out.failures == failures


def test_one_that_cannot_delete_does_not_keep_the_others_from_it() -> None:
    denied = AccessDeniedError("denied", location="memory:1")
    inner = [MemoryDestination("1"), MemoryDestination("2")]
    fan_out = FanOut([FaultyDestination(inner[0], [Fault(method="delete", does=denied)]), inner[1]])
    fan_out.write("object", [b"content"])
    fan_out.delete("object")
    failures: dict[int, BackupKitError] = {0: denied}
    assert fan_out.failures == failures
    assert inner[1].objects == {}


def test_no_destination_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        FanOut([])
