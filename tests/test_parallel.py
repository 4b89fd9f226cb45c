from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._parallel import beside, map_ordered, read_ahead
from backupkit.testing.executors import SerialExecutor
from tests.leftovers import no_thread_left

Executors = Callable[[], AbstractContextManager[Executor | None]]

each_executor = pytest.mark.parametrize(
    "make_executor",
    [nullcontext, SerialExecutor, lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(4)],
    ids=["none", "serial", "one-thread", "four-threads"],
)


def double(number: int) -> int:
    return number * 2


@each_executor
@pytest.mark.parametrize("window", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_results_come_in_the_order_of_the_items(make_executor: Executors, window: int, count: int) -> None:
    with make_executor() as executor:
        results = [*map_ordered(executor, double, range(count), window)]
    assert results == [number * 2 for number in range(count)]


def test_a_slow_first_item_does_not_lose_its_place() -> None:
    first_may_end = threading.Event()

    def function(number: int) -> int:
        if number == 0:
            first_may_end.wait()
        elif number == 3:
            first_may_end.set()
        return number

    with ThreadPoolExecutor(4) as executor:
        assert [*map_ordered(executor, function, range(10), 5)] == [*range(10)]


@given(st.integers(1, 6), st.integers(0, 20))
def test_no_more_than_the_window_is_ahead_of_the_reader(window: int, count: int) -> None:
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for number in range(count):
            pulled += 1
            yield number

    for number in map_ordered(SerialExecutor(), double, items(), window):
        assert pulled - number // 2 <= window


@each_executor
def test_items_are_pulled_by_the_thread_of_the_caller(make_executor: Executors) -> None:
    threads = set()

    def items() -> Iterator[int]:
        for number in range(10):
            threads.add(threading.get_ident())
            yield number

    with make_executor() as executor:
        list(map_ordered(executor, double, items(), 3))
    assert threads == {threading.get_ident()}


@each_executor
def test_an_error_comes_in_the_place_of_its_result(make_executor: Executors) -> None:
    def function(number: int) -> float:
        return 1 / (number - 3)

    with make_executor() as executor:
        results = map_ordered(executor, function, range(10), 4)
        assert [next(results) for _ in range(3)] == [function(number) for number in range(3)]
        with pytest.raises(ZeroDivisionError):
            next(results)


@each_executor
@pytest.mark.parametrize("error", [ValueError("from the items"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_the_items_passes_unchanged(make_executor: Executors, error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise error

    with make_executor() as executor, pytest.raises(type(error)) as caught:
        list(map_ordered(executor, double, items(), 3))
    assert caught.value is error


def test_closing_cancels_what_has_not_begun_and_waits_for_what_has() -> None:
    begun: list[int] = []
    ended: list[int] = []
    second_began, one_was_cancelled = threading.Event(), threading.Event()

    class Watched(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(*args, **kwargs)
            future.add_done_callback(lambda one: one_was_cancelled.set() if one.cancelled() else None)
            return future

    def function(number: int) -> int:
        begun.append(number)
        if number:
            second_began.set()
            one_was_cancelled.wait(60)
        ended.append(number)
        return number

    with Watched(1) as executor:
        results = map_ordered(executor, function, range(100), 5)
        assert next(results) == 0
        second_began.wait(60)
        results.close()  # type: ignore[attr-defined] # it is a generator
        assert ended == [0, 1]
        assert begun == [0, 1]


def test_nothing_begins_before_the_first_pull() -> None:
    executor = SerialExecutor()
    results = map_ordered(executor, double, range(3), 3)
    assert executor.submitted == 0
    assert next(results) == 0
    assert executor.submitted == 3


def test_a_serial_executor_refuses_work_after_its_end() -> None:
    with SerialExecutor() as executor:
        assert executor.submit(double, 4).result() == 8
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(double, 4)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_what_is_read_ahead_comes_unchanged_and_in_order(items: list[int], depth: int) -> None:
    assert [*read_ahead(items, depth)] == items


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the second")

    ahead = read_ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the second"):
        next(ahead)


@given(st.integers(1, 6), st.integers(0, 20))
def test_no_more_than_the_depth_is_read_ahead(depth: int, count: int) -> None:
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for number in range(count):
            pulled += 1
            yield number

    for number in read_ahead(items(), depth):
        # The thread holds one more, for which there is no room.
        assert pulled <= number + depth + 2


@pytest.mark.parametrize("read", [0, 1, 3])
def test_closing_closes_what_was_read_from_and_leaves_no_thread(read: int) -> None:
    ended = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            ended.set()

    with no_thread_left():
        ahead = read_ahead(items(), 2)
        assert [next(ahead) for _ in range(read)] == [*range(read)]
        ahead.close()
    assert ended.is_set() or not read


def test_items_are_pulled_by_another_thread() -> None:
    def items() -> Iterator[int]:
        yield threading.get_ident()

    assert [*read_ahead(items(), 1)] != [threading.get_ident()]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_what_is_handed_to_a_thread_beside_is_consumed_in_order(items: list[int], depth: int) -> None:
    consumed: list[int] = []
    with beside(consumed.append, depth) as give:
        for item in items:
            give(item)
    assert consumed == items


def test_what_fails_beside_is_raised_at_the_end_and_nothing_follows_it() -> None:
    consumed: list[int] = []

    def consume(item: int) -> None:
        if item == 3:
            raise OSError("the third")
        consumed.append(item)

    with pytest.raises(OSError, match="the third"), beside(consume, 1) as give:  # noqa: PT012 - the end raises
        for item in range(10):
            give(item)
    assert consumed == [0, 1, 2]


def test_an_error_of_ones_own_is_not_replaced_and_the_thread_ends() -> None:
    with (  # noqa: PT012 - as here
        no_thread_left(),
        pytest.raises(ValueError, match="mine"),
        beside(lambda _: 1 / 0, 2) as give,
    ):
        give(1)
        raise ValueError("mine")
