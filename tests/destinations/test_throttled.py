from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import ConfigurationError, LocalDestination, Throttled
from backupkit.destinations.throttled import Pace
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination
from backupkit.testing.destinations import CONTENT, DestinationTests, MemoryDestination

MiB = 1 << 20
CREDIT = 0.25  # seconds


class TestThrottled(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return Throttled(LocalDestination(tmp_path), "2GB")


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def throttled(time: Time, rate: int | str, inner: Destination | None = None) -> Throttled:
    return Throttled(inner or MemoryDestination(), rate, clock=time.clock, sleep=time.sleep)


@pytest.mark.parametrize("rate", ["1MB", 1_000_000, "1000 kB"])
def test_a_write_takes_as_long_as_its_bytes(time: Time, rate: int | str) -> None:
    destination = throttled(time, rate)
    destination.write("object", [CONTENT])
    took = time.now - 1000
    assert len(CONTENT) / 1e6 - CREDIT - 0.01 <= took <= len(CONTENT) / 1e6


def test_a_reading_takes_as_long_as_its_bytes(time: Time) -> None:
    inner = MemoryDestination()
    inner.objects["object"] = CONTENT
    assert b"".join(throttled(time, "1MB", inner).read("object")) == CONTENT
    assert len(CONTENT) / 1e6 - CREDIT - 0.01 <= time.now - 1000 <= len(CONTENT) / 1e6


def test_a_large_chunk_passes_in_pieces_of_a_tenth_of_a_second(time: Time) -> None:
    passed: list[tuple[float, int]] = []

    class Noting(MemoryDestination):
        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            def noted() -> Iterator[bytes]:
                for chunk in chunks:
                    passed.append((time.now, len(chunk)))
                    yield chunk

            return super().write(name, noted(), overwrite=overwrite)

    throttled(time, "1MB", Noting()).write("object", [bytes(5_000_000)])
    assert max(size for _, size in passed) == 100_000
    assert max(time.slept) <= 0.11
    for begin in range(4):
        second = sum(size for when, size in passed if 1000 + begin <= when < 1001 + begin)
        assert second <= 1_000_000 * (1 + CREDIT)


def test_many_small_chunks_do_not_sleep_each(time: Time) -> None:
    throttled(time, "1MB").write("object", [bytes(100)] * 20_000)
    assert len(time.slept) <= 400
    assert 2 - CREDIT - 0.01 <= time.now - 1000 <= 2


def test_an_idle_hour_allows_no_burst(time: Time) -> None:
    destination = throttled(time, "1MB")
    destination.write("one", [bytes(1_000_000)])
    time.now += 3600
    before = time.now
    destination.write("two", [bytes(2_000_000)])
    assert time.now - before >= 2 - CREDIT - 0.01


def test_all_threads_together_keep_to_the_rate() -> None:
    """In real time, but a floor: they cannot be faster, however busy the machine."""
    import time

    destination = Throttled(MemoryDestination(), "10MB")
    before = time.monotonic()
    threads = [
        threading.Thread(target=destination.write, args=(f"object-{number}", [bytes(2_000_000)]))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - before >= 0.8 - CREDIT - 0.01


def test_what_is_in_front_of_a_folder_above_has_the_same_pace(time: Time) -> None:
    destination = throttled(time, "1MB")
    above = destination.around(MemoryDestination())
    destination.write("one", [bytes(1_000_000)])
    above.write("two", [bytes(1_000_000)])
    assert time.now - 1000 >= 2 - CREDIT - 0.01


def test_a_reader_that_stops_closes_what_it_read_from(time: Time) -> None:
    closed: list[bool] = []

    class Closing(MemoryDestination):
        def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            try:
                yield bytes(MiB)
                yield bytes(MiB)
            finally:
                closed.append(True)

    chunks = throttled(time, "1MB", Closing()).read("object")
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_an_interrupt_of_the_waiting_leaves_nothing() -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    inner, closed = MemoryDestination(), []

    def chunks() -> Iterator[bytes]:
        try:
            yield bytes(MiB)
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        Throttled(inner, "1MB", sleep=interrupted).write("object", chunks())
    assert inner.objects == {}
    assert closed == [True]


@pytest.mark.parametrize("rate", [5, "5kB", "fast", -1, 0, True, 1.5e6, None])
def test_a_rate_that_is_none_is_refused(rate: object) -> None:
    with pytest.raises(ConfigurationError):
        Throttled(MemoryDestination(), rate)  # type: ignore[arg-type]


# The arithmetic

RATES = st.integers(10_000, 10**10)
# How long nobody asks, and then for how much of a second's bytes somebody does.
STEPS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 0.1)), min_size=1, max_size=60)


@given(RATES, STEPS)
def test_in_no_stretch_of_time_pass_more_bytes_than_the_rate_and_the_credit(
    rate: int, steps: list[tuple[float, float]]
) -> None:
    pace, now = Pace(rate), 0.0
    passed: list[tuple[float, int]] = []
    for idle, fraction in steps:
        now += idle
        count = int(rate * fraction)
        passed.append((now + pace.reserve(count, now), count))
    assert [when for when, _ in passed] == sorted(when for when, _ in passed)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            seconds = passed[last][0] - passed[first][0]
            count = sum(size for _, size in passed[first : last + 1])
            assert count <= rate * (seconds + CREDIT) * (1 + 1e-6) + 1


@given(RATES, st.lists(st.integers(0, 5 * MiB), min_size=1, max_size=60))
def test_those_that_ask_at_one_moment_wait_in_turn_and_use_all_of_the_rate(
    rate: int, counts: list[int]
) -> None:
    pace = Pace(rate)
    waits = [pace.reserve(count, 0.0) for count in counts]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(max(0.0, sum(counts) / rate - CREDIT), rel=1e-6, abs=1e-6)


@given(RATES, st.integers(0, 5 * MiB), st.floats(0, 1e6))
def test_nobody_waits_longer_than_for_all_that_was_let_through(rate: int, count: int, idle: float) -> None:
    pace = Pace(rate)
    pace.reserve(count, 0.0)
    assert pace.reserve(count, idle) <= 2 * count / rate + 1e-6
