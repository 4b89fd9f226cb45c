"""Times and lengths in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.integrations.asgi.words import ago, duration, moment, on_day

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2026-11-25T00:00", "today 00:00"),
        ("2026-11-25T23:59", "today 23:59"),
        ("2026-11-24T23:59", "yesterday 23:59"),
        ("2026-11-24T00:00", "yesterday 00:00"),
        ("2026-11-23T23:59", "Monday 23:59"),
        ("2026-11-19T00:00", "Thursday 00:00"),
        ("2026-11-18T23:59", "18 Nov 23:59"),
        ("2025-11-25T12:00", "25 Nov 2025 12:00"),
        ("2026-11-26T00:00", "tomorrow 00:00"),
        ("2026-11-27T00:00", "27 Nov 00:00"),
        ("2027-01-01T00:00", "1 Jan 2027 00:00"),
    ],
)
def test_a_moment_is_said_by_its_day(time: str, words: str) -> None:
    assert moment(datetime.fromisoformat(time).replace(tzinfo=UTC), now=NOON, zone=UTC) == words


def test_days_begin_at_midnight_of_the_zone() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    assert moment(late, now=NOON, zone=UTC) == "yesterday 23:30"
    assert moment(late, now=NOON, zone=BERLIN) == "today 00:30"


def test_a_day_of_twenty_three_hours_is_yesterday_all_the_same() -> None:
    spring = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)  # 00:30 on the day after the clocks went forward
    before = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # 00:30 on that day
    assert moment(before, now=spring, zone=BERLIN) == "yesterday 00:30"
    assert moment(before - timedelta(hours=1), now=spring, zone=BERLIN) == "Saturday 23:30"


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (NOON, "today"),
        (NOON - timedelta(days=1), "yesterday"),
        (NOON - timedelta(days=3), "on Sunday"),
        (NOON - timedelta(days=22), "on 3 Nov"),
    ],
)
def test_a_day_is_said_within_a_sentence(time: datetime, words: str) -> None:
    assert on_day(time, now=NOON, zone=UTC) == words


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(0), "less than a second"),
        (timedelta(seconds=0.99), "less than a second"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(seconds=59.6), "1 minute"),
        (timedelta(seconds=89), "1 minute"),
        (timedelta(minutes=6, seconds=10), "6 minutes"),
        (timedelta(minutes=59, seconds=40), "1 hour"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=23, minutes=40), "1 day"),
        (timedelta(days=3, hours=2), "3 days"),
        (timedelta(days=29, hours=18), "1 month"),
        (timedelta(days=364), "1 year"),
        (timedelta(days=730), "2 years"),
    ],
)
def test_a_length_is_said_in_its_largest_unit(length: timedelta, words: str) -> None:
    assert duration(length) == words


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3650)))
def test_no_unit_is_said_as_often_as_makes_the_next(length: timedelta) -> None:
    count, unit = duration(length).split()
    most = {"second": 59, "minute": 59, "hour": 23, "day": 29, "month": 11, "year": 10}
    assert 1 <= int(count) <= most[unit.removesuffix("s")]
    assert unit.endswith("s") == (count != "1")


def test_what_is_past_or_to_come_is_said_so() -> None:
    assert ago(timedelta(days=3)) == "3 days ago"
    assert ago(-timedelta(hours=2)) == "in 2 hours"
    assert ago(timedelta(seconds=0.5)) == ago(-timedelta(seconds=0.5)) == "just now"
