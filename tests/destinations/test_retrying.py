from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    LocalDestination,
    ObjectExistsError,
    ObjectNotFoundError,
    OutcomeUnknownError,
    Retrying,
)
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, HasLeftovers
from backupkit.testing.destinations import (
    CONTENT,
    DestinationTests,
    Fault,
    FaultyDestination,
    MemoryDestination,
    Method,
)

MiB = 1 << 20


class TestRetrying(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return Retrying(LocalDestination(tmp_path))


class TestRetryingWhatFailsOnce(DestinationTests):
    """Every first call fails in passing, reads in the middle: nobody sees anything of it."""

    @pytest.fixture
    def destination(self) -> Destination:
        after: dict[Method, int] = {"read": MiB + 7, "list": 1, "stat": 0, "delete": 0}
        faults = [Fault(method=method, does=passing(), after=count) for method, count in after.items()]
        return Retrying(FaultyDestination(MemoryDestination(), faults, piece=100_003), wait=0)


def passing(kind: type[DestinationError] = DestinationError) -> DestinationError:
    return kind("The cable is loose.", location="memory:memory", retryable=True)


def retrying(*faults: Fault, patience: float = 60) -> tuple[MemoryDestination, FaultyDestination, Retrying]:
    inner = MemoryDestination()
    inner.objects["object"] = CONTENT
    faulty = FaultyDestination(inner, faults, piece=100_000)
    return inner, faulty, Retrying(faulty, patience=patience, wait=0)


def use(destination: Destination, method: Method) -> object:
    match method:
        case "write":
            return destination.write("new", [b"content"])
        case "read":
            return b"".join(destination.read("object"))
        case "stat":
            return destination.stat("object")
        case "list":
            return [*destination.list()]
        case "delete":
            destination.delete("object")
            return None


METHODS: tuple[Method, ...] = ("write", "read", "stat", "list", "delete")


@pytest.mark.parametrize("method", METHODS)
def test_a_failure_that_may_pass_is_tried_again(method: Method) -> None:
    faults = [Fault(method=method, does=passing(), call=call) for call in (1, 2)]
    _, faulty, destination = retrying(*faults)
    use(destination, method)
    assert faulty.calls[method] == 3


@pytest.mark.parametrize("method", METHODS)
def test_a_failure_for_good_is_raised_at_once(method: Method) -> None:
    denied = AccessDeniedError("No.", location="memory:memory")
    _, faulty, destination = retrying(Fault(method=method, does=denied))
    with pytest.raises(AccessDeniedError) as caught:
        use(destination, method)
    assert caught.value is denied
    assert faulty.calls[method] == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_patience_for_one_call_ends(method: Method) -> None:
    error = passing()
    inner = MemoryDestination()
    inner.objects["object"] = CONTENT
    slept: list[float] = []
    faulty = FaultyDestination(inner, [Fault(method=method, does=error, call=None)])
    destination = Retrying(faulty, patience=0.05, wait=0.001, sleep=slept.append)
    with pytest.raises(DestinationError) as caught:
        use(destination, method)
    assert caught.value is error
    # A wait that would not end in time is not begun; with these waits, up to twice as long each, some are.
    assert all(wait < 0.05 for wait in slept)
    assert faulty.calls[method] == len(slept) + 1


def test_waits_differ_by_chance_and_are_limited() -> None:
    slept: list[float] = []
    faults = [Fault(method="stat", does=passing(), call=call) for call in range(1, 13)]
    inner = MemoryDestination()
    inner.objects["object"] = b""
    Retrying(FaultyDestination(inner, faults), patience=80_000, wait=1, sleep=slept.append).stat("object")
    assert len(slept) == 12
    assert len(set(slept)) > 6
    assert all(wait <= min(2.0**number, 20) for number, wait in enumerate(slept))


# Reading


@pytest.mark.parametrize(("start", "length"), [(0, None), (5, MiB), (MiB + 1, 2 * MiB), (0, 1)])
@pytest.mark.parametrize("after", [0, 1, 99_999, 100_000, MiB - 1, 3 * MiB])
def test_a_reading_goes_on_where_it_broke_off(start: int, length: int | None, after: int) -> None:
    faults = [Fault(method="read", does=passing(), call=call, after=after) for call in (1, 2)]
    _, _, destination = retrying(*faults)
    end = None if length is None else start + length
    assert b"".join(destination.read("object", start=start, length=length)) == CONTENT[start:end]


def test_a_reading_that_makes_headway_is_never_given_up() -> None:
    # Each break is a failure of its own: what the patience is for is a call that gets nowhere.
    faults = [Fault(method="read", does=passing(), call=call, after=200_000) for call in range(1, 12)]
    _, faulty, destination = retrying(*faults)
    assert b"".join(destination.read("object")) == CONTENT
    assert faulty.calls["read"] == 12


def test_a_reading_does_not_go_on_in_another_object() -> None:
    inner = MemoryDestination()
    inner.objects["object"] = CONTENT

    def replaced() -> None:
        inner.objects["object"] = bytes(reversed(CONTENT))
        raise passing()

    faulty = FaultyDestination(inner, [Fault(method="read", does=replaced, after=MiB)])
    with pytest.raises(DestinationError, match="was replaced while it was read"):
        b"".join(Retrying(faulty, wait=0).read("object"))


# Writing


def test_a_list_of_chunks_is_given_again_from_its_beginning() -> None:
    inner, faulty, destination = retrying(Fault(method="write", does=passing(), after=MiB))
    assert destination.write("new", [CONTENT]).size == len(CONTENT)
    assert inner.objects["new"] == CONTENT
    assert faulty.calls["write"] == 2


@pytest.mark.parametrize("after", [1, MiB, 1 << 60])
def test_a_stream_of_which_something_was_pulled_is_not_given_again(after: int) -> None:
    error = passing()
    inner, faulty, destination = retrying(Fault(method="write", does=error, after=after))
    with pytest.raises(DestinationError) as caught:
        destination.write("new", iter([CONTENT]))
    assert caught.value is error
    assert faulty.calls["write"] == 1
    assert "new" not in inner.objects


class RefusesOnce(MemoryDestination):
    """Fails before it has pulled anything, and closes the chunks, as every destination should."""

    refused = False

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        if not self.refused:
            self.refused = True
            getattr(chunks, "close", lambda: None)()
            raise passing()
        return super().write(name, chunks, overwrite=overwrite)


def test_a_stream_of_which_nothing_was_pulled_is_given_again() -> None:
    inner = RefusesOnce()
    Retrying(inner, wait=0).write("new", (part for part in [b"a", b"b"]))
    assert inner.objects == {"new": b"ab"}


def test_a_retryable_error_of_the_chunks_is_their_own() -> None:
    error = passing()

    def chunks() -> Iterator[bytes]:
        yield b"a"
        raise error

    _, faulty, destination = retrying()
    with pytest.raises(DestinationError) as caught:
        destination.write("new", chunks())
    assert caught.value is error
    assert faulty.calls["write"] == 1


@pytest.mark.parametrize("kind", [DestinationError, OutcomeUnknownError])
def test_an_object_that_a_lost_answer_has_left_is_ours(kind: type[DestinationError]) -> None:
    inner, _, destination = retrying(Fault(method="write", does=passing(kind), answer_lost=True))
    assert destination.write("new", [b"con", b"tent"]) == inner.stat("new")
    assert inner.objects["new"] == b"content"


@pytest.mark.parametrize("other", [b"another", b"longer than that"])
def test_an_object_that_somebody_else_has_written_meanwhile_is_not_ours(other: bytes) -> None:
    inner = MemoryDestination()

    def overtaken() -> None:
        inner.objects["new"] = other
        raise passing()

    faulty = FaultyDestination(inner, [Fault(method="write", does=overtaken)])
    with pytest.raises(ObjectExistsError):
        Retrying(faulty, wait=0).write("new", [b"content"])
    assert inner.objects["new"] == other


def test_an_object_that_was_there_is_not_replaced() -> None:
    inner, faulty, destination = retrying()
    with pytest.raises(ObjectExistsError):
        destination.write("object", [CONTENT])
    assert inner.objects["object"] == CONTENT
    assert faulty.calls["write"] == 1


def test_a_deletion_whose_answer_was_lost_has_happened() -> None:
    inner, _, destination = retrying(Fault(method="delete", does=passing(), answer_lost=True))
    destination.delete("object")
    assert inner.objects == {}
    with pytest.raises(ObjectNotFoundError):
        destination.delete("object")


def test_leftovers_are_asked_for_again_too(tmp_path: Path) -> None:
    class Flaky(LocalDestination):
        asked = 0

        def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
            self.asked += 1
            if self.asked == 1:
                raise passing()
            yield from super().leftovers(prefix)

    (tmp_path / ".object.0123456789abcdef.partial").write_bytes(b"half")
    destination: Destination = Retrying(Flaky(tmp_path), wait=0)
    assert isinstance(destination, HasLeftovers)
    (leftover,) = destination.leftovers()
    destination.discard(leftover)
    assert [*tmp_path.iterdir()] == []


def test_an_interrupt_ends_it() -> None:
    inner = MemoryDestination()
    faulty = FaultyDestination(inner, [Fault(method="list", does=KeyboardInterrupt(), call=None)])
    with pytest.raises(KeyboardInterrupt):
        [*Retrying(faulty).list()]
    assert faulty.calls["list"] == 1


@pytest.mark.parametrize("option", ["patience", "wait"])
@pytest.mark.parametrize("value", [-1, "5", True, 1e9])
def test_times_that_are_none_are_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Retrying(MemoryDestination(), **{option: value})  # type: ignore[arg-type]


def test_many_threads_may_use_one() -> None:
    _, _, destination = retrying(*(Fault(method="read", does=passing(), call=call) for call in range(1, 9)))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(b"".join(destination.read("object")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
