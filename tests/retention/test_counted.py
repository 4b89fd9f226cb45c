"""Counts as `restic forget` and `borg prune` have them: what the real tools said of a history, and what is ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.model import Pin
from backupkit.retention import CountedRetention, KeepWithin
from tests.retention.histories import DATABASES, NOW, backup, kept, reasons, zone

# Made by both tools at these times of UTC, and judged by restic 0.14.0 and borg 1.2.4.
HISTORY = """
    2021-01-10T12:00 2021-01-10T11:30 2021-01-10T10:48 2021-01-10T09:00 2021-01-10T08:30 2021-01-10T05:00
    2021-01-10T03:00 2021-01-09T03:30 2021-01-08T03:00 2021-01-07T15:59 2021-01-07T03:30 2021-01-06T03:00
    2021-01-05T03:00 2021-01-04T15:00 2021-01-04T03:59 2021-01-03T03:30 2021-01-02T03:59 2021-01-01T15:59
    2021-01-01T03:00 2020-12-31T03:00 2020-12-30T03:00 2020-12-29T15:30 2020-12-29T03:00 2020-12-28T03:30
    2020-12-27T03:00 2020-12-26T15:00 2020-12-26T03:00 2020-12-21T17:27 2020-12-17T01:52 2020-12-14T18:07
    2020-12-10T07:40 2020-12-08T20:37 2020-12-05T01:36 2020-11-30T18:25 2020-11-26T01:14 2020-11-19T01:35
    2020-11-12T04:18 2020-11-11T13:09 2020-11-10T17:07 2020-10-27T18:19 2020-10-12T17:52 2020-10-04T21:11
    2020-09-12T03:37 2020-08-30T18:40 2020-08-03T06:23 2020-07-04T03:35 2020-05-05T22:04 2020-03-16T18:03
    2020-01-06T19:13 2019-12-27T15:43 2019-11-17T17:27 2019-08-29T10:29 2019-02-10T18:59
"""
ALL_SIX: dict[str, Any] = {"last": 2, "hourly": 4, "daily": 7, "weekly": 4, "monthly": 6, "yearly": 2}
THREE: dict[str, Any] = {"daily": 5, "weekly": 8, "monthly": 3}
OF_BOTH = """
    2021-01-10T12:00 2021-01-09T03:30 2021-01-08T03:00 2021-01-07T15:59 2021-01-06T03:00 2021-01-03T03:30
    2020-12-31T03:00 2020-12-27T03:00 2020-12-17T01:52 2020-12-10T07:40 2020-12-05T01:36 2020-11-30T18:25
    2020-11-26T01:14 2020-11-19T01:35
"""
RESTIC_ALL_SIX = """
    2021-01-10T12:00 2021-01-10T11:30 2021-01-10T10:48 2021-01-10T09:00 2021-01-09T03:30 2021-01-08T03:00
    2021-01-07T15:59 2021-01-06T03:00 2021-01-05T03:00 2021-01-04T15:00 2021-01-03T03:30 2020-12-31T03:00
    2020-12-27T03:00 2020-12-17T01:52 2020-11-30T18:25 2020-10-27T18:19 2020-09-12T03:37 2020-08-30T18:40
"""
BORG_ALL_SIX = """
    2021-01-10T12:00 2021-01-10T11:30 2021-01-10T10:48 2021-01-10T09:00 2021-01-10T08:30 2021-01-10T05:00
    2021-01-09T03:30 2021-01-08T03:00 2021-01-07T15:59 2021-01-06T03:00 2021-01-05T03:00 2021-01-04T15:00
    2021-01-03T03:30 2020-12-31T03:00 2020-12-27T03:00 2020-12-17T01:52 2020-12-10T07:40 2020-12-05T01:36
    2020-11-30T18:25 2020-10-27T18:19 2020-09-12T03:37 2020-08-30T18:40 2020-07-04T03:35 2019-12-27T15:43
    2019-02-10T18:59
"""
FEW_YEARS = """
    2021-01-10T12:00 2021-01-09T03:30 2021-01-08T03:00 2020-12-31T03:00 2019-12-27T15:43 2019-02-10T18:59
"""
EIGHT_HOURS = """
    2021-01-10T12:00 2021-01-10T11:30 2021-01-10T10:48 2021-01-10T09:00 2021-01-10T08:30 2021-01-10T05:00
    2021-01-10T03:00 2021-01-09T03:30
"""


def of(policy: CountedRetention | KeepWithin, **facts: Any) -> list[str]:
    made = [backup(time, **facts) for time in HISTORY.split()]
    return kept(policy, made, backup("2021-01-10T13:00").time)


@pytest.mark.parametrize(
    ("counts", "stay"),
    [
        (ALL_SIX, RESTIC_ALL_SIX),
        (THREE, OF_BOTH),
        ({"hourly": 8}, EIGHT_HOURS),
        ({"hourly": 99}, HISTORY),
    ],
    ids=["all six", "three", "hours", "more than there are"],
)
def test_a_backup_may_stand_for_several_periods_as_in_restic(counts: dict[str, Any], stay: str) -> None:
    assert of(CountedRetention(**counts)) == stay.split()


@pytest.mark.parametrize(
    ("counts", "stay"),
    [
        (ALL_SIX, BORG_ALL_SIX),
        (THREE, OF_BOTH + "2020-11-12T04:18 2020-10-27T18:19"),
        ({"daily": 3, "yearly": 5}, FEW_YEARS),
        ({"hourly": 8}, EIGHT_HOURS),
    ],
    ids=["all six", "three", "fewer years than asked for", "hours"],
)
def test_a_backup_is_counted_once_as_in_borg(counts: dict[str, Any], stay: str) -> None:
    assert of(CountedRetention(**counts, once=True)) == stay.split()


def test_the_oldest_stays_while_there_are_fewer_periods_than_asked_for() -> None:
    # As borg does above, and as newer versions of restic document it; 0.14 kept one less here.
    assert of(CountedRetention(daily=3, yearly=5)) == FEW_YEARS.split()


@pytest.mark.parametrize(
    ("span", "count"),
    [({"days": 2}, 8), ({"weeks": 2}, 24), ({"hours": 6}, 5), ({"days": 1, "hours": 3}, 7)],
)
def test_what_is_kept_within_a_span_is_what_restic_keeps(span: dict[str, int], count: int) -> None:
    assert of(KeepWithin(**span)) == HISTORY.split()[:count]


def test_each_reason_says_which_of_how_many() -> None:
    history = [
        backup("2026-11-23T06:00"),
        backup("2026-11-23T03:00"),
        backup("2026-11-22T18:00"),
        backup("2026-11-22T06:00"),
        backup("2026-11-21T06:00"),
        backup("2026-10-01T06:00"),
        backup("2026-09-05T06:00"),
        backup("2026-09-01T06:00"),
    ]
    assert reasons(CountedRetention(last=1, hourly=2, daily=2, monthly=4), history) == {
        "2026-11-23T06:00": "the newest good, newest of 2026-11-23 06h (hourly 1 of 2), "
        "newest of 2026-11-23 (daily 1 of 2), newest of 2026-11 (monthly 1 of 4), "
        "newest good backup of files and databases",
        "2026-11-23T03:00": "newest of 2026-11-23 03h (hourly 2 of 2)",
        "2026-11-22T18:00": "newest of 2026-11-22 (daily 2 of 2)",
        "2026-11-22T06:00": "not one of the 1 newest, 2 hourly, 2 daily or 4 monthly ones",
        "2026-11-21T06:00": "not one of the 1 newest, 2 hourly, 2 daily or 4 monthly ones",
        "2026-10-01T06:00": "newest of 2026-10 (monthly 2 of 4)",
        "2026-09-05T06:00": "newest of 2026-09 (monthly 3 of 4)",
        "2026-09-01T06:00": "the oldest (monthly 4 of 4)",
    }


@pytest.mark.parametrize("once", [False, True])
def test_the_oldest_is_not_named_again_where_it_stands_for_a_period(once: bool) -> None:
    history = [backup("2026-11-22"), backup("2026-11-21")]
    told = reasons(CountedRetention(daily=3, monthly=3, once=once), history)
    assert told["2026-11-21T00:00"] == "newest of 2026-11-21 (daily 2 of 3)" + (
        "" if once else ", the oldest (monthly 2 of 3)"
    )


def test_periods_without_a_backup_are_not_counted() -> None:
    history = [backup("2026-11-23"), backup("2026-06-01"), backup("2019-01-01"), backup("2018-01-01")]
    assert len(kept(CountedRetention(daily=3), history)) == 3
    later = NOW + timedelta(days=10_000)
    assert kept(CountedRetention(daily=3), history, later) == kept(CountedRetention(daily=3), history)


def test_a_good_backup_stands_for_its_day_before_a_newer_one_that_is_not() -> None:
    history = [
        backup("2026-11-22T18:00", complete=False),
        backup("2026-11-22T12:00"),
        backup("2026-11-21T18:00", damaged=True),
        backup("2026-11-21T12:00", complete=None),
        backup("2026-11-20T12:00"),
    ]
    assert reasons(CountedRetention(daily=2), history) == {
        "2026-11-22T18:00": "not one of the 2 daily ones",
        "2026-11-22T12:00": "newest good one of 2026-11-22 (daily 1 of 2), "
        "newest good backup of files and databases",
        "2026-11-21T18:00": "newest of 2026-11-21 (daily 2 of 2)",
        "2026-11-21T12:00": "not one of the 2 daily ones",
        "2026-11-20T12:00": "not one of the 2 daily ones",
    }


def test_days_on_which_nothing_good_was_made_do_not_push_out_the_minimum() -> None:
    bad = [backup(f"2026-11-{day}", complete=False) for day in (22, 21, 20)]
    good = [backup(f"2026-11-{day}") for day in (19, 18, 17)]
    assert kept(CountedRetention(daily=3, minimum=2), [*bad, *good])[3:] == [
        "2026-11-19T00:00",
        "2026-11-18T00:00",
    ]


def test_the_contents_are_counted_by_themselves() -> None:
    history = [
        *(backup(f"2026-11-23T{hour:02}:00", contents=DATABASES) for hour in range(10)),
        *(backup(f"2026-11-{day}T03:30") for day in (20, 19, 18)),
    ]
    assert kept(CountedRetention(last=2), history) == [
        "2026-11-23T09:00",
        "2026-11-23T08:00",
        "2026-11-20T03:30",
        "2026-11-19T03:30",
    ]


@pytest.mark.parametrize("once", [False, True])
def test_what_is_pinned_stays_and_changes_nothing_else(once: bool) -> None:
    history = [backup(NOW - timedelta(hours=5 * number)) for number in range(100)]
    policy = CountedRetention(last=1, hourly=3, daily=4, weekly=2, once=once)
    without = kept(policy, history)
    for place in range(0, 100, 7):
        pinned = [*history]
        pinned[place] = backup(history[place].time, pin=Pin(reason="x"))
        assert set(kept(policy, pinned)) == {*without, history[place].id}


def test_what_is_dated_in_the_future_stays_and_is_not_counted() -> None:
    history = [backup("2036-01-01"), backup("2026-11-22"), backup("2026-11-21"), backup("2026-11-20")]
    assert kept(CountedRetention(daily=2), history) == [
        "2036-01-01T00:00",
        "2026-11-22T00:00",
        "2026-11-21T00:00",
    ]


def test_days_and_hours_are_those_of_the_time_zone() -> None:
    zone("Asia/Kathmandu")  # 5:45 ahead of UTC
    history = [backup("2026-11-22T18:20"), backup("2026-11-22T18:10"), backup("2026-11-22T17:50")]
    assert kept(CountedRetention(hourly=2), history) == ["2026-11-22T18:20", "2026-11-22T17:50"]
    assert reasons(CountedRetention(hourly=2, time_zone="Asia/Kathmandu"), history) == {
        "2026-11-22T18:20": "newest of 2026-11-23 00h (hourly 1 of 2), "
        "newest good backup of files and databases",
        "2026-11-22T18:10": "newest of 2026-11-22 23h (hourly 2 of 2)",
        "2026-11-22T17:50": "not one of the 2 hourly ones",
    }


def test_an_hour_that_the_clock_shows_twice_is_one() -> None:
    zone("Europe/Berlin")
    history = [backup(f"2026-10-25T{time}") for time in ("01:30", "00:30", "00:00")]
    policy = CountedRetention(hourly=9, time_zone="Europe/Berlin")
    assert "newest of 2026-10-25 02h (hourly 1 of 9)" in reasons(policy, history)["2026-10-25T01:30"]
    assert "2026-10-25T00:30" not in kept(policy, history)


def test_times_at_the_very_edge_of_the_calendar_are_planned_too() -> None:
    zone("America/New_York")
    history = [backup("2026-11-22"), backup("0001-01-01T00:00"), backup("9999-12-31T23:59")]
    assert len(kept(CountedRetention(daily=5, time_zone="America/New_York"), history)) == 3


@pytest.mark.parametrize("field", ["last", "hourly", "daily", "weekly", "monthly", "yearly"])
@pytest.mark.parametrize("value", [-1, True, 0.5, "7", None])
def test_impossible_counts_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"CountedRetention\({field}=.*\) is not possible"):
        CountedRetention(**{"daily": 1, field: value})


def test_counts_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="say how many to keep"):
        CountedRetention()
    with pytest.raises(ConfigurationError, match=r"minimum=0\) is not possible"):
        CountedRetention(daily=1, minimum=0)
    with pytest.raises(ConfigurationError, match="There is no time zone"):
        CountedRetention(daily=1, time_zone="Europe/Bielefeld")
