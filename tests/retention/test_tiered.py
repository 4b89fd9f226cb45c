"""Tiers: their boundaries, their periods, the size limit, time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.model import Pin
from backupkit.retention import TieredRetention
from tests.retention.histories import DATABASES, FILES, NOW, backup, kept, reasons, zone


def test_each_tier_keeps_the_newest_of_each_of_its_periods() -> None:
    # 7 days back from now is 16 Nov noon, 16 more 31 Oct, 8 weeks 5 Sep, 4 months 5 May, 2 years 5 May 2024.
    history = [
        backup("2026-11-23T03:00"),
        backup("2026-11-20T09:00"),
        backup("2026-11-20T03:00"),
        backup("2026-11-14T09:00"),
        backup("2026-11-14T03:00"),
        backup("2026-10-25T03:00"),
        backup("2026-10-21T03:00"),
        backup("2026-08-30T03:00"),
        backup("2026-08-02T03:00"),
        backup("2025-12-31T03:00"),
        backup("2025-01-01T03:00"),
        backup("2024-05-05T11:59"),
    ]
    assert reasons(TieredRetention(), history) == {
        "2026-11-23T03:00": "newest good backup of files and databases",
        "2026-11-20T09:00": "newer than 7 days",
        "2026-11-20T03:00": "newer than 7 days",
        "2026-11-14T09:00": "newest of 2026-11-14",
        "2026-11-14T03:00": "not the newest of 2026-11-14",
        "2026-10-25T03:00": "newest of week 2026-W43",
        "2026-10-21T03:00": "not the newest of week 2026-W43",
        "2026-08-30T03:00": "newest of 2026-08",
        "2026-08-02T03:00": "not the newest of 2026-08",
        "2025-12-31T03:00": "newest of 2025",
        "2025-01-01T03:00": "not the newest of 2025",
        "2024-05-05T11:59": "older than all tiers",
    }


def test_the_halves_of_a_plan_are_each_newest_first() -> None:
    history = [backup(NOW - timedelta(hours=hours)) for hours in range(0, 3000, 7)]
    plan = TieredRetention(max_size=50).plan(history[100:] + history[:100], now=NOW)
    for half in ([one.backup.time for one in plan.keep], [one.backup.time for one in plan.remove]):
        assert len(half) > 10
        assert half == sorted(half, reverse=True)


def test_a_backup_exactly_on_a_boundary_belongs_to_the_newer_tier_alone() -> None:
    # The boundary of all and daily is 22 Nov noon, that of daily and weekly 21 Nov noon. If the one on the
    # boundary stood for its week too, as it does in laravel-backup, that week would end with none.
    history = [
        backup("2026-11-23T11:00"),
        backup("2026-11-22T12:00"),
        backup("2026-11-22T11:59"),
        backup("2026-11-21T18:00"),
        backup("2026-11-21T12:00"),
        backup("2026-11-21T11:59"),
    ]
    assert reasons(TieredRetention(1, 1, 1, 0, 0), history) == {
        "2026-11-23T11:00": "newest good backup of files and databases",
        "2026-11-22T12:00": "newer than 1 day",
        "2026-11-22T11:59": "newest of 2026-11-22",
        "2026-11-21T18:00": "newest of 2026-11-21",
        "2026-11-21T12:00": "not the newest of 2026-11-21",
        "2026-11-21T11:59": "newest of week 2026-W47",
    }


def test_a_week_that_spans_new_year_is_one_week() -> None:
    # 28 Dec 2020 to 3 Jan 2021 is week 53 of 2020.
    history = [backup("2021-01-08"), backup("2021-01-03"), backup("2021-01-01"), backup("2020-12-31")]
    assert reasons(TieredRetention(0, 0, 4, 0, 0), history, datetime(2021, 1, 9, tzinfo=UTC)) == {
        "2021-01-08T00:00": "newest good backup of files and databases",
        "2021-01-03T00:00": "newest of week 2020-W53",
        "2021-01-01T00:00": "not the newest of week 2020-W53",
        "2020-12-31T00:00": "not the newest of week 2020-W53",
    }


def test_the_last_days_of_december_are_not_confused_with_the_first_week_of_their_own_year() -> None:
    # 30 Dec 2024 lies in week 1 of 2025; 3 Jan 2024 in week 1 of 2024.
    history = [backup("2025-01-20"), backup("2024-12-30"), backup("2024-01-03")]
    assert len(kept(TieredRetention(0, 0, 60, 0, 0), history, datetime(2025, 1, 21, tzinfo=UTC))) == 3


@pytest.mark.parametrize(
    ("now", "months", "first_kept"),
    [
        ("2026-05-31T12:00", 3, "2026-02-28T12:00"),
        ("2024-05-31T12:00", 3, "2024-02-29T12:00"),
        ("2026-03-31T12:00", 1, "2026-02-28T12:00"),
        ("2026-01-31T12:00", 2, "2025-11-30T12:00"),
        ("2026-03-15T12:00", 14, "2025-01-15T12:00"),
        ("2026-01-15T12:00", 1, "2025-12-15T12:00"),
    ],
)
def test_a_month_back_from_a_day_it_lacks_ends_at_its_last_day(
    now: str, months: int, first_kept: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    boundary = datetime.fromisoformat(first_kept).replace(tzinfo=UTC)
    policy = TieredRetention(0, 0, 0, months, 0)
    newest = backup(moment)
    assert first_kept in kept(policy, [newest, backup(boundary)], moment)
    assert len(kept(policy, [newest, backup(boundary - timedelta(minutes=1))], moment)) == 1


def test_a_year_back_from_a_leap_day_is_the_last_of_february() -> None:
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    history = [backup(moment), backup("2023-02-28T12:00"), backup("2023-02-28T11:59")]
    assert kept(TieredRetention(0, 0, 0, 0, 1), history, moment) == ["2024-02-29T12:00", "2023-02-28T12:00"]


def test_the_newest_backup_stands_for_no_period() -> None:
    history = [backup("2026-10-14T18:00"), backup("2026-10-14T12:00"), backup("2026-10-14T06:00")]
    assert reasons(TieredRetention(0, 90, 0, 0, 0), history) == {
        "2026-10-14T18:00": "newest good backup of files and databases",
        "2026-10-14T12:00": "newest of 2026-10-14",
        "2026-10-14T06:00": "not the newest of 2026-10-14",
    }


def test_a_good_backup_stands_for_its_period_before_a_newer_one_that_is_not() -> None:
    history = [
        backup("2026-11-23"),
        backup("2026-11-10T18:00", complete=False),
        backup("2026-11-10T12:00", damaged=True),
        backup("2026-11-10T06:00"),
        backup("2026-11-10T03:00"),
        backup("2026-11-09T18:00", complete=None),
        backup("2026-11-09T12:00", complete=None),
    ]
    assert reasons(TieredRetention(), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-10T18:00": "not the newest good one of 2026-11-10",
        "2026-11-10T12:00": "not the newest good one of 2026-11-10",
        "2026-11-10T06:00": "newest good one of 2026-11-10",
        "2026-11-10T03:00": "not the newest good one of 2026-11-10",
        "2026-11-09T18:00": "newest of 2026-11-09",
        "2026-11-09T12:00": "not the newest of 2026-11-09",
    }


def test_the_newest_good_backup_stays_when_it_is_older_than_all_tiers() -> None:
    history = [backup("2026-11-23", complete=False), backup("2010-01-01"), backup("2009-01-01")]
    assert reasons(TieredRetention(), history) == {
        "2026-11-23T00:00": "newest backup of files and databases",
        "2010-01-01T00:00": "newest good backup of files and databases",
        "2009-01-01T00:00": "older than all tiers",
    }


def test_a_backup_dated_in_the_future_stays_and_does_not_stand_in_for_the_real_newest_good_one() -> None:
    history = [backup("2036-01-02"), backup("2036-01-01"), backup("2010-01-01"), backup("2009-01-01")]
    assert reasons(TieredRetention(), history) == {
        "2036-01-02T00:00": "dated in the future, newest good backup of files and databases",
        "2036-01-01T00:00": "dated in the future",
        "2010-01-01T00:00": "newest good backup of files and databases",
        "2009-01-01T00:00": "older than all tiers",
    }


def test_tiers_without_length_keep_what_is_never_removed_and_nothing_else() -> None:
    history = [
        backup("2026-11-23T11:59", complete=False),
        backup("2026-11-23T11:58"),
        backup("2026-11-23T11:57"),
        backup("2026-11-23T11:56", contents=DATABASES),
        backup("2026-11-23T11:55", contents=DATABASES),
    ]
    assert kept(TieredRetention(0, 0, 0, 0, 0), history) == [
        "2026-11-23T11:59",
        "2026-11-23T11:58",
        "2026-11-23T11:56",
    ]


def test_a_tier_without_length_is_passed_over() -> None:
    history = [backup("2026-11-23"), backup("2026-11-17"), backup("2026-11-16")]
    assert reasons(TieredRetention(1, 0, 4, 0, 0), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-17T00:00": "newest of week 2026-W47",
        "2026-11-16T00:00": "not the newest of week 2026-W47",
    }


def test_the_contents_are_series_of_their_own() -> None:
    history = [
        backup("2026-11-23"),
        backup("2026-11-23T06:00", contents=DATABASES),
        backup("2026-11-10T18:00", contents=DATABASES),
        backup("2026-11-10T12:00", contents=DATABASES),
        backup("2026-11-10T03:00"),
        backup("2026-11-10T02:00", contents=FILES),
        backup("2026-11-10T01:00", contents=FILES),
    ]
    assert kept(TieredRetention(), history) == [
        "2026-11-23T06:00",
        "2026-11-23T00:00",
        "2026-11-10T18:00",
        "2026-11-10T03:00",
        "2026-11-10T02:00",
        "2026-11-10T01:00",
    ]


# ---- pins and the minimum


def test_what_is_pinned_stays_and_changes_nothing_else() -> None:
    history = [backup(NOW - timedelta(hours=31 * number)) for number in range(300)]
    policy = TieredRetention(3, 5, 4, 3, 1)
    without = kept(policy, history)
    assert 10 < len(without) < 100
    for place in range(0, 300, 7):
        pinned = [*history]
        pinned[place] = backup(history[place].time, pin=Pin(reason="x"))
        assert set(kept(policy, pinned)) == {*without, history[place].id}


def test_a_pinned_backup_may_stand_for_its_day_like_any_other() -> None:
    pin = Pin(reason="before the migration")
    history = [
        backup("2026-11-23"),
        backup("2026-11-10T18:00", pin=pin),
        backup("2026-11-10T12:00"),
        backup("2026-11-10T06:00", pin=pin),
        backup("2009-11-10", pin=pin),
    ]
    assert reasons(TieredRetention(), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-10T18:00": "pinned: before the migration, newest of 2026-11-10",
        "2026-11-10T12:00": "not the newest of 2026-11-10",
        "2026-11-10T06:00": "pinned: before the migration",
        "2009-11-10T00:00": "pinned: before the migration",
    }


def test_a_pin_that_no_longer_holds_keeps_nothing() -> None:
    history = [backup("2026-11-23"), backup("2009-11-10", pin=Pin(reason="audit", until=NOW))]
    assert kept(TieredRetention(), history, NOW - timedelta(seconds=1)) == [
        "2026-11-23T00:00",
        "2009-11-10T00:00",
    ]
    assert kept(TieredRetention(), history, NOW) == ["2026-11-23T00:00"]


def test_the_newest_good_ones_stay_as_many_as_the_minimum_says() -> None:
    history = [
        backup("2026-11-23", complete=False),
        *(backup(f"2010-01-0{day}", complete=day != 4) for day in (5, 4, 3, 2, 1)),
        backup("2010-01-02T06:00", contents=DATABASES),
        backup("2010-01-01T06:00", contents=DATABASES),
    ]
    assert reasons(TieredRetention(minimum=3), history) == {
        "2026-11-23T00:00": "newest backup of files and databases",
        "2010-01-05T00:00": "newest good backup of files and databases",
        "2010-01-04T00:00": "older than all tiers",
        "2010-01-03T00:00": "one of the 3 newest good backups of files and databases",
        "2010-01-02T06:00": "newest good backup of databases",
        "2010-01-02T00:00": "one of the 3 newest good backups of files and databases",
        "2010-01-01T06:00": "one of the 3 newest good backups of databases",
        "2010-01-01T00:00": "older than all tiers",
    }


# ---- the size limit


def test_the_oldest_go_first_across_the_contents_until_the_rest_fits() -> None:
    history = [
        backup("2026-11-23", stored=10),
        backup("2026-11-22", stored=10, contents=DATABASES),
        backup("2026-11-21", stored=10),
        backup("2026-11-20", stored=10, contents=DATABASES),
        backup("2026-11-19", stored=10),
    ]
    assert reasons(TieredRetention(max_size=30), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-22T00:00": "newest good backup of databases",
        "2026-11-21T00:00": "newer than 7 days",
        "2026-11-20T00:00": "over the size limit of 30 B",
        "2026-11-19T00:00": "over the size limit of 30 B",
    }


def test_what_a_tier_removed_does_not_count_against_the_size() -> None:
    history = [
        backup("2026-11-23", stored=10),
        backup("2026-11-10T12:00", stored=10),
        backup("2026-11-10T06:00", stored=99),
    ]
    assert len(kept(TieredRetention(max_size=20), history)) == 2


def test_a_size_limit_of_nothing_spares_the_newest_and_the_newest_good_of_each_contents() -> None:
    history = [
        backup("2026-11-23T06:00", complete=False),
        backup("2026-11-23T03:00"),
        backup("2026-11-22T03:00"),
        backup("2026-11-21", contents=DATABASES),
        backup("2026-11-20", contents=DATABASES),
        backup("2024-11-20", contents=FILES, damaged=True),
    ]
    assert kept(TieredRetention(max_size=0), history) == [
        "2026-11-23T06:00",
        "2026-11-23T03:00",
        "2026-11-21T00:00",
        "2024-11-20T00:00",
    ]


def test_the_oldest_is_spared_and_the_next_ones_go_if_it_is_the_only_one_of_its_contents() -> None:
    history = [
        backup("2026-11-23", stored=10),
        backup("2026-11-22", stored=10),
        backup("2026-11-01", stored=10, contents=FILES),
    ]
    assert kept(TieredRetention(max_size=20), history) == ["2026-11-23T00:00", "2026-11-01T00:00"]


def test_the_size_limit_spares_what_is_pinned_and_the_minimum_but_counts_them() -> None:
    history = [
        backup("2026-11-23", stored=10),
        backup("2026-11-22", stored=10),
        backup("2026-11-21", stored=10),
        backup("2026-11-20", stored=10, pin=Pin(reason="audit")),
        backup("2026-11-19", stored=10),
    ]
    assert reasons(TieredRetention(max_size=20, minimum=2), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-22T00:00": "newer than 7 days, one of the 2 newest good backups of files and databases",
        "2026-11-21T00:00": "over the size limit of 20 B",
        "2026-11-20T00:00": "pinned: audit, newer than 7 days",
        "2026-11-19T00:00": "over the size limit of 20 B",
    }


def test_as_much_as_the_size_limit_may_stay() -> None:
    history = [backup("2026-11-23", stored=10), backup("2026-11-22", stored=10)]
    assert len(kept(TieredRetention(max_size=20), history)) == 2
    assert len(kept(TieredRetention(max_size=19), history)) == 1


def test_the_size_limit_is_told_as_people_read_it() -> None:
    history = [backup("2026-11-23"), backup("2026-11-22", stored=60 * 10**9)]
    assert reasons(TieredRetention(max_size="50GB"), history)["2026-11-22T00:00"] == (
        "over the size limit of 50 GB"
    )


# ---- time zones


def test_a_day_is_a_day_of_the_time_zone() -> None:
    zone("Asia/Seoul")
    # Midnight in Seoul is 15:00 UTC.
    history = [backup("2026-11-23"), backup("2026-11-10T15:00"), backup("2026-11-10T14:59")]
    assert len(kept(TieredRetention(), history)) == 2
    assert reasons(TieredRetention(time_zone="Asia/Seoul"), history) == {
        "2026-11-23T00:00": "newest good backup of files and databases",
        "2026-11-10T15:00": "newest of 2026-11-11",
        "2026-11-10T14:59": "newest of 2026-11-10",
    }


@pytest.mark.parametrize(
    ("now", "days", "boundary"),
    [
        # The clocks of Berlin went forward on 29 March 2026 at 02:00, and back on 25 October at 03:00.
        ("2026-03-30T10:00", 2, "2026-03-28T11:00"),
        ("2026-10-26T11:00", 2, "2026-10-24T10:00"),
        # 02:30 did not exist, and the clock showed 03:30 instead.
        ("2026-03-30T00:30", 1, "2026-03-29T01:30"),
        # 02:30 came twice: the first of the two.
        ("2026-10-26T01:30", 1, "2026-10-25T00:30"),
    ],
)
def test_boundaries_are_wall_clock_times_across_a_clock_change(now: str, days: int, boundary: str) -> None:
    zone("Europe/Berlin")
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    first = datetime.fromisoformat(boundary).replace(tzinfo=UTC)
    policy = TieredRetention(days, 0, 0, 0, 0, time_zone="Europe/Berlin")
    history = [backup(moment), backup(first), backup(first - timedelta(minutes=1))]
    assert reasons(policy, history, moment) == {
        history[0].id: "newest good backup of files and databases",
        history[1].id: f"newer than {days} day{'s' * (days > 1)}",
        history[2].id: "older than all tiers",
    }


def test_a_boundary_in_a_repeated_hour_is_compared_as_an_instant() -> None:
    berlin = zone("Europe/Berlin")
    # Two days back is 02:30 for the first time; the backup was made at 02:20 for the second time.
    moment = datetime(2026, 10, 27, 2, 30, tzinfo=berlin)
    history = [backup(moment), backup(datetime(2026, 10, 25, 2, 20, tzinfo=berlin, fold=1))]
    assert len(kept(TieredRetention(2, 0, 0, 0, 0, time_zone="Europe/Berlin"), history, moment)) == 2


def test_tiers_without_length_end_now_in_either_pass_of_a_repeated_hour() -> None:
    berlin = zone("Europe/Berlin")
    policy = TieredRetention(0, 0, 0, 0, 0, time_zone="Europe/Berlin")
    for fold, now in ((0, "2026-10-25T00:30"), (1, "2026-10-25T01:30")):
        moment = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold)
        history = [backup(now), backup("2026-10-25T00:29"), backup("2026-10-25T00:01")]
        if fold:
            history += [backup("2026-10-25T00:31"), backup("2026-10-25T01:29")]
        assert kept(policy, history, moment) == [now]


def test_a_day_that_the_clock_skipped_keeps_the_tiers_in_order() -> None:
    # Samoa had no 30 December 2011: after the 29th, 23:59 in the east of the date line, came the 31st in its west.
    zone("Pacific/Apia")
    moment = datetime(2012, 1, 2, 12, tzinfo=UTC)
    history = [backup(moment - timedelta(hours=8 * number)) for number in range(20)]
    policy = TieredRetention(1, 1, 1, 1, 1, time_zone="Pacific/Apia")
    told = reasons(policy, history, moment)
    assert "newest of 2011-12-29" not in told.values()
    assert [*told.values()].count("newest of week 2011-W52") == 1
    assert kept(policy, history, moment)[:4] == [one.id for one in history[:4]]


# ---- refusals


@pytest.mark.parametrize(
    "field",
    ["keep_all_days", "keep_daily_days", "keep_weekly_weeks", "keep_monthly_months", "keep_yearly_years"],
)
@pytest.mark.parametrize("value", [-1, True, 0.5, "7", None])
def test_tiers_of_impossible_length_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"TieredRetention\({field}=.*\) is not possible"):
        TieredRetention(**{field: value})


@pytest.mark.parametrize("key", ["UTC", "Asia/Seoul", "America/New_York"])
def test_a_clock_in_the_first_days_of_the_calendar_keeps_all_that_is_there(key: str) -> None:
    zone(key)
    history = [backup("0001-01-02"), backup("0001-01-01")]
    assert len(kept(TieredRetention(time_zone=key), history, backup("0001-01-03").time)) == 2


def test_tiers_that_reach_back_before_the_calendar_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than 1000 years"):
        TieredRetention(keep_yearly_years=1000)
    assert (
        len(kept(TieredRetention(keep_yearly_years=998), [backup("1028-07-01"), backup("1028-06-01")])) == 2
    )


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'lots' is not a size"):
        TieredRetention(max_size="lots")


@pytest.mark.parametrize("key", ["Europe/Bielefeld", "", "../etc/passwd", "Europe", "\0", 1])
def test_an_unknown_time_zone_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="There is no time zone"):
        TieredRetention(time_zone=key)
