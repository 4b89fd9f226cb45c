from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError, DestinationError, NotificationError, SourceError
from backupkit.retrying import Delivery, Retry, is_retryable, spread_wait
from backupkit.testing.clocks import FrozenClock


class BusyError(Exception):
    retryable = True


def run(retry: Retry, *errors: BaseException) -> int:
    """Fail with each of the errors in turn, then succeed; how many attempts were begun."""
    left = [*errors]
    begun = 0
    for attempt in retry.attempts():
        with attempt:
            begun += 1
            if left:
                raise left.pop(0)
    return begun


@pytest.mark.parametrize("failures", [0, 1, 2, 3, 4])
def test_what_is_retryable_is_tried_again_after_a_wait(failures: int) -> None:
    clock = FrozenClock()
    retry = Retry(tries=5, wait=7, sleep=clock.sleep)
    assert run(retry, *(BusyError() for _ in range(failures))) == failures + 1
    assert clock.slept == [7] * failures


@pytest.mark.parametrize("tries", [1, 2, 3, 6])
def test_the_last_failure_is_raised_as_it_was(tries: int) -> None:
    clock = FrozenClock()
    errors = [BusyError(number) for number in range(10)]
    with pytest.raises(BusyError) as caught:
        run(Retry(tries=tries, wait=1, sleep=clock.sleep), *errors)
    assert caught.value is errors[tries - 1]
    assert len(clock.slept) == tries - 1


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    "error",
    [ValueError("a bug"), SourceError("gone", path="f"), KeyboardInterrupt(), GeneratorExit()],
    ids=repr,
)
def test_anything_else_is_raised_at_once(error: BaseException, before: int) -> None:
    clock = FrozenClock()
    with pytest.raises(type(error)) as caught:
        run(Retry(tries=9, wait=1, sleep=clock.sleep), *(BusyError() for _ in range(before)), error)
    assert caught.value is error
    assert len(clock.slept) == before


def test_each_wait_is_told_with_its_reason() -> None:
    clock = FrozenClock()
    told: list[tuple[float, BaseException]] = []
    errors = [BusyError(1), BusyError(2)]
    retry = Retry(
        tries=3, wait=5, sleep=clock.sleep, tell=lambda seconds, error: told.append((seconds, error))
    )
    run(retry, *errors)
    assert told == [(5, errors[0]), (5, errors[1])]


def test_one_policy_serves_many_loops() -> None:
    clock = FrozenClock()
    retry = Retry(tries=2, wait=1, sleep=clock.sleep)
    assert [run(retry, BusyError()) for _ in range(3)] == [2, 2, 2]


def test_a_generator_that_is_closed_within_an_attempt_is_not_run_again() -> None:
    begun = []

    def stream() -> Iterator[int]:
        for attempt in Retry(tries=5, wait=0, sleep=FrozenClock().sleep).attempts():
            with attempt:
                begun.append(True)
                yield len(begun)
                raise BusyError

    for _ in range(2):
        chunks = stream()
        next(chunks)
        chunks.close()  # type: ignore[attr-defined] # it is a generator
    chunks = stream()
    next(chunks)
    next(chunks)  # within tenacity's attempts now
    chunks.close()  # type: ignore[attr-defined] # it is a generator
    assert len(begun) == 4


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (SourceError("", path="", retryable=True), True),
        (SourceError("", path=""), False),
        (DestinationError("", location="", retryable=True), True),
        (OSError(), False),
        (ExceptionGroup("", [ValueError(), BusyError()]), True),
        (ExceptionGroup("", [ExceptionGroup("", [BusyError()])]), True),
        (ExceptionGroup("", [ValueError()]), False),
        (type("Odd", (Exception,), {"retryable": "yes"})(), False),
    ],
    ids=repr,
)
def test_an_error_says_itself_whether_it_is_retryable(error: BaseException, retryable: bool) -> None:
    assert is_retryable(error) is retryable


@pytest.mark.parametrize(("tries", "wait"), [(0, 1.0), (-1, 1.0), (1, -0.1)])
def test_an_impossible_policy_is_refused(tries: int, wait: float) -> None:
    with pytest.raises(ConfigurationError, match="at least one try"):
        Retry(tries=tries, wait=wait)


# Delivery


class SpyEvent(threading.Event):
    """An event that is waited for in no time; `waits` lists the seconds asked for."""

    def __init__(self, *, set_after: int | None = None) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._set_after = set_after

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        if len(self.waits) == self._set_after:
            self.set()
        return self.is_set()


def failing(*errors: BaseException) -> tuple[Callable[[], None], list[int]]:
    """A call that fails with each of the errors in turn, then succeeds, and a list of one item for each call."""
    left, calls = [*errors], list[int]()

    def do() -> None:
        calls.append(len(calls))
        if left:
            raise left.pop(0)

    return do, calls


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_delivery_is_tried_again_after_waits_that_double(failures: int) -> None:
    stopped = SpyEvent()
    do, calls = failing(
        *[OSError("refused"), NotificationError("busy", retryable=True), BusyError()][:failures]
    )
    Delivery(tries=4, wait=2).deliver(do, stopped)
    assert len(calls) == failures + 1
    assert stopped.waits == [2, 4, 8][:failures]


def test_the_last_failure_of_a_delivery_is_raised_as_it_was() -> None:
    errors = [OSError(number) for number in range(9)]
    do, calls = failing(*errors)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - it is looked at
        Delivery(tries=3, wait=0).deliver(do, threading.Event())
    assert caught.value is errors[2]
    assert len(calls) == 3


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), NotificationError("refused"), SystemExit(1), KeyboardInterrupt()], ids=repr
)
def test_what_will_not_pass_is_not_tried_again(error: BaseException) -> None:
    do, calls = failing(error)
    with pytest.raises(type(error)):
        Delivery(tries=3, wait=0).deliver(do, threading.Event())
    assert len(calls) == 1


def test_once_it_is_stopped_a_delivery_is_not_tried_again_however_long_it_waited() -> None:
    do, calls = failing(*[OSError("refused")] * 9)
    with pytest.raises(OSError, match="refused"):
        Delivery(tries=9, wait=1).deliver(do, SpyEvent(set_after=2))
    assert len(calls) == 2


def test_no_wait_is_longer_than_a_day_however_often_it_doubled() -> None:
    stopped = SpyEvent()
    do, _ = failing(*[OSError("refused")] * 99)
    Delivery(tries=100, wait=50_000).deliver(do, stopped)
    assert stopped.waits[:3] == [50_000, 86_400, 86_400]


@pytest.mark.parametrize(
    "options",
    [
        {"tries": 0},
        {"tries": "3"},
        {"wait": -1},
        {"wait": float("nan")},
        {"limit": 0},
        {"limit": float("inf")},
        {"limit": float("nan")},
        {"limit": None},
    ],
    ids=repr,
)
def test_an_impossible_delivery_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"Delivery\(.*\) is not possible: use at least one try"):
        Delivery(**options)


@given(st.integers(1, 5000))
def test_a_spread_wait_is_within_its_doubling_limit_and_leaves_the_applications_chance_alone(
    attempt: int,
) -> None:
    before = random.getstate()
    waited = spread_wait(attempt, first=0.25, longest=20)
    assert 0 <= waited <= min(20, 0.25 * 2 ** min(attempt - 1, 10))
    assert random.getstate() == before
