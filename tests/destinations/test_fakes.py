from __future__ import annotations

from collections.abc import Iterator

import pytest

from backupkit.errors import DestinationError
from backupkit.testing.destinations import CONTENT, Fault, FaultyDestination, MemoryDestination, Method

MiB = 1 << 20


def lost() -> DestinationError:
    return DestinationError("lost", location="memory:memory", retryable=True)


def chunks(size: int) -> Iterator[bytes]:
    for start in range(0, size, 1000):
        yield CONTENT[start : min(start + 1000, size)]


def test_calls_are_counted() -> None:
    destination = FaultyDestination(MemoryDestination())
    destination.write("object", [b"content"])
    for _ in range(2):
        assert b"".join(destination.read("object")) == b"content"
    destination.stat("object")
    assert [stored.name for stored in destination.list()] == ["object"]
    destination.delete("object")
    assert destination.calls == {"write": 1, "read": 2, "stat": 1, "list": 1, "delete": 1}


@pytest.mark.parametrize("method", ["stat", "delete"])
def test_the_call_that_was_named_fails_and_no_other(method: Method) -> None:
    error = lost()
    destination = FaultyDestination(MemoryDestination(), [Fault(method=method, does=error, call=2)])
    destination.write("1", [b"content"])
    destination.write("2", [b"content"])
    call = getattr(destination, method)
    call("1")
    with pytest.raises(DestinationError) as caught:
        call("2")
    assert caught.value is error
    call("2")


def test_each_call_can_fail() -> None:
    destination = FaultyDestination(MemoryDestination(), [Fault(method="stat", does=lost(), call=None)])
    destination.write("object", [b"content"])
    for _ in range(3):
        with pytest.raises(DestinationError):
            destination.stat("object")


@pytest.mark.parametrize("after", [0, 1, 999, 1000, 1500, 5000, 9999])
def test_a_write_fails_after_exactly_so_many_bytes_or_at_its_end(after: int) -> None:
    inner = MemoryDestination()
    liar = FaultyDestination(inner, [Fault(method="write", does=None, after=after)])
    liar.write("object", chunks(5000))
    assert inner.objects == {"object": CONTENT[: min(after, 5000)]}

    honest = FaultyDestination(inner, [Fault(method="write", does=lost(), after=after)])
    with pytest.raises(DestinationError):
        honest.write("object", chunks(5000), overwrite=True)
    assert inner.objects == {"object": CONTENT[: min(after, 5000)]}


def test_a_read_can_break_off_or_end_too_early_or_come_in_small_pieces() -> None:
    inner = MemoryDestination()
    inner.write("object", [CONTENT])
    faults = [
        Fault(method="read", does=lost(), after=1_500_000),
        Fault(method="read", does=None, after=1_500_000, call=2),
    ]
    destination = FaultyDestination(inner, faults, piece=7)
    received: list[bytes] = []
    with pytest.raises(DestinationError):
        received.extend(destination.read("object"))
    assert b"".join(received) == CONTENT[:1_500_000]
    assert max(map(len, received)) == 7
    assert b"".join(destination.read("object")) == CONTENT[:1_500_000]
    assert b"".join(destination.read("object")) == CONTENT


def test_a_list_can_break_off() -> None:
    destination = FaultyDestination(MemoryDestination(), [Fault(method="list", does=lost(), after=1)])
    destination.write("1", [b""])
    destination.write("2", [b""])
    listing = destination.list()
    assert next(listing).name == "1"
    with pytest.raises(DestinationError):
        next(listing)


def test_a_lost_answer_comes_after_the_deed() -> None:
    inner = MemoryDestination()
    faults = [
        Fault(method="write", does=lost(), answer_lost=True),
        Fault(method="delete", does=lost(), answer_lost=True),
    ]
    destination = FaultyDestination(inner, faults)
    with pytest.raises(DestinationError):
        destination.write("object", [b"content"])
    assert inner.objects == {"object": b"content"}
    with pytest.raises(DestinationError):
        destination.delete("object")
    assert inner.objects == {}


def test_a_fault_may_be_something_to_do() -> None:
    done: list[str] = []
    fault = Fault(method="write", does=lambda: done.append("done"), after=3)
    FaultyDestination(MemoryDestination(), [fault]).write("object", [b"content"])
    assert done == ["done"]


@pytest.mark.parametrize("after", [0, 1, 1500, 9999])
def test_a_fault_that_goes_on_keeps_nothing_back(after: int) -> None:
    inner = MemoryDestination()
    seen: list[bool] = []

    def look() -> None:
        seen.append("object" in inner.objects)

    faults = [Fault(method=method, does=look, after=after, goes_on=True) for method in ("write", "read")]
    destination = FaultyDestination(inner, faults)
    destination.write("object", chunks(5000))
    assert b"".join(destination.read("object")) == CONTENT[:5000]
    assert seen == [False, True]


def test_a_listing_that_goes_on_leaves_nothing_out() -> None:
    inner = MemoryDestination()
    inner.objects.update({"1": b"", "2": b""})
    slow = Fault(method="list", does=lambda: None, after=1, goes_on=True)
    assert [stored.name for stored in FaultyDestination(inner, [slow]).list()] == ["1", "2"]


def test_a_lasting_fault_befalls_that_call_and_every_later_one() -> None:
    full = Fault(method="write", does=lost(), call=2, lasting=True)
    destination = FaultyDestination(MemoryDestination(), [full])
    destination.write("1", [b"content"])
    for name in ("2", "3"):
        with pytest.raises(DestinationError):
            destination.write(name, [b"content"])
    assert destination.stat("1").size == 7


def test_the_objects_in_memory_can_be_damaged() -> None:
    destination = MemoryDestination()
    destination.write("object", [b"content"])
    destination.objects["object"] = b"damaged"
    destination.objects["planted"] = b""
    assert b"".join(destination.read("object")) == b"damaged"
    assert [stored.name for stored in destination.list()] == ["object", "planted"]
