"""No call to a destination lasts for ever, and what it fails with is an error of ours."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backupkit import DestinationError, LocalDestination
from backupkit.destinations.stall_limited import StallLimited
from backupkit.protocols import Destination
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method

CALLS: dict[Method, Callable[[Destination], object]] = {
    "read": lambda one: [*one.read("a")],
    "stat": lambda one: one.stat("a"),
    "list": lambda one: [*one.list()],
    "delete": lambda one: one.delete("a"),
    "write": lambda one: one.write("b", [b"b"]),
}


def holding_a() -> MemoryDestination:
    inner = MemoryDestination()
    inner.write("a", [b"content"])
    return inner


@pytest.mark.parametrize("method", CALLS)
def test_a_call_that_hangs_is_given_up_and_the_next_is_made_all_the_same(method: Method) -> None:
    go_on = threading.Event()
    faulty = FaultyDestination(holding_a(), [Fault(method=method, does=go_on.wait, goes_on=True)])
    with StallLimited(faulty, 0.1) as limited:
        with pytest.raises(DestinationError, match=r"did not (move|answer)|has kept") as caught:
            CALLS[method](limited)
        assert caught.value.retryable
        try:
            CALLS["list"](limited)
            CALLS[method](limited)
        finally:
            go_on.set()


@pytest.mark.parametrize("method", CALLS)
def test_what_is_no_error_of_a_destination_becomes_one_without_its_text(method: Method) -> None:
    fault = Fault(method=method, does=ValueError("https://user:secret@host"))
    with (
        StallLimited(FaultyDestination(holding_a(), [fault])) as limited,
        pytest.raises(DestinationError, match="failed with ValueError") as caught,
    ):
        CALLS[method](limited)
    assert "secret" not in str(caught.value)


def test_many_threads_may_call_at_once_and_no_thread_is_left() -> None:
    before = threading.active_count()
    with StallLimited(holding_a()) as limited:
        threads = [threading.Thread(target=CALLS["read"], args=(limited,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = [one for one in threading.enumerate() if one.name == "backupkit memory:memory"]
        assert kept
    for thread in kept:
        thread.join()
    assert threading.active_count() == before


def test_it_can_go_to_another_process(tmp_path: Path) -> None:
    with StallLimited(LocalDestination(tmp_path), 7.0) as limited:
        limited.write("a", [b"content"])
        CALLS["read"](limited)
        with pickle.loads(pickle.dumps(limited)) as other:
            assert [*other.read("a")] == [b"content"]


def test_a_call_that_outlasts_the_context_leaves_no_thread() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        go_on.wait()

    inner = FaultyDestination(holding_a(), [Fault(method="stat", does=waits, goes_on=True)])
    inner.location = "memory:outlasts"
    with StallLimited(inner) as limited:
        asking = threading.Thread(target=lambda: limited.stat("a"))
        asking.start()
        begun.wait()
    go_on.set()
    asking.join()
    limited.stat("a")
    for thread in threading.enumerate():
        if thread.name == "backupkit memory:outlasts":
            thread.join(10)
            assert not thread.is_alive()
