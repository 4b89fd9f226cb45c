"""Times as Go writes them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.formats.restic.times import NO_TIME, ns_text, text_ns, text_time, time_text

EARLIEST, LATEST = -62_135_596_800 * 10**9, 253_402_300_799 * 10**9 + 999_999_999


@given(st.integers(EARLIEST, LATEST))
def test_nanoseconds_are_themselves_again(ns: int) -> None:
    assert text_ns(ns_text(ns)) == ns


@given(st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False))
def test_a_time_is_itself_again_in_utc(time: datetime) -> None:
    try:
        utc = time.astimezone(UTC)
    except OverflowError:
        return
    assert text_time(time_text(time)) == utc
    assert time_text(time).endswith("Z")


@given(st.integers())
def test_times_that_no_year_of_four_digits_can_say_become_the_nearest_that_can(ns: int) -> None:
    assert EARLIEST <= text_ns(ns_text(ns)) <= LATEST


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", fullmatch=True))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    for read in (text_ns, text_time):
        with suppress(ValueError):
            read(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_500_000_000_120_000_000, "2017-07-14T02:40:00.12Z"),
        (1_500_000_000_000_000_001, "2017-07-14T02:40:00.000000001Z"),
        (EARLIEST, NO_TIME),
    ],
)
def test_zeros_at_the_end_are_left_out(ns: int, text: str) -> None:
    assert ns_text(ns) == text
    assert text_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "2017-07-14T04:40:00.12+02:00",
        "2017-07-13T22:10:00.12-04:30",
        "2017-07-14T02:40:00.12z",
        "2017-07-14T02:40:00.1200000009Z",
    ],
)
def test_the_same_time_may_be_said_in_other_ways(text: str) -> None:
    assert text_ns(text) == 1_500_000_000_120_000_000


def test_a_second_that_was_put_in_is_the_one_after() -> None:
    assert text_ns("2016-12-31T23:59:60Z") == text_ns("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2017-07-14",
        "2017-07-14T02:40:00",
        "2017-02-30T00:00:00Z",
        "2017-07-14T24:00:00Z",
        "2017-07-14T02:40:00.Z",
        "2017-07-14T02:40:00+99:00",
        "٢٠١٧-07-14T02:40:00Z",
        "2017-07-14T02:40:00Z\n",
    ],
)
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        text_ns(text)
