from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from random import Random
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Contents, Kept, Removed, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention import KeepAll, KeepLast, TieredRetention, checked, guard
from backupkit.testing.retention import RetentionPolicyTests, backups, moments

FULL: frozenset[Contents] = frozenset({"files", "databases"})
DATABASES: frozenset[Contents] = frozenset({"databases"})
FILES: frozenset[Contents] = frozenset({"files"})
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def backup(time: str | datetime, **facts: Any) -> Backup:
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    made: dict[str, Any] = {
        "id": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}",
        "name": "shop",
        "time": moment,
        "contents": FULL,
        "location": "/mnt/backup",
        "complete": True,
        "stored": 1,
    }
    return Backup(**made | facts)


def kept(policy: RetentionPolicy, history: Iterable[Backup], now: datetime = NOW) -> list[str]:
    return [one.backup.id for one in policy.plan(list(history), now=now).keep]


def reasons(policy: RetentionPolicy, history: Iterable[Backup], now: datetime = NOW) -> dict[str, str]:
    plan = policy.plan(list(history), now=now)
    return {one.backup.id: ", ".join(one.reasons) for one in plan.keep} | {
        one.backup.id: one.reason for one in plan.remove
    }


def zone(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except ZoneInfoNotFoundError:
        pytest.skip(f"this machine has no time zone data for {key}")


# ---- what holds for every policy


class TestKeepAll(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return KeepAll()


class TestKeepLast(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return KeepLast(3)


class TestTieredRetention(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention()


class TestTieredRetentionWithASizeLimit(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention(keep_all_days=2, max_size="5TB")


class TestTieredRetentionOfNothing(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention(0, 0, 0, 0, 0, max_size=0)


class TestTieredRetentionElsewhere(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        zone("Asia/Seoul")
        return TieredRetention(1, 3, 2, 12, 5, time_zone="Asia/Seoul")


# ---- KeepAll, KeepLast


def test_keep_all_keeps_the_oldest_and_the_damaged() -> None:
    assert kept(KeepAll(), [backup("1999-01-01"), backup("2026-11-20", damaged=True)]) == [
        "2026-11-20T00:00",
        "1999-01-01T00:00",
    ]


def test_keep_last_keeps_the_newest_good_ones_and_whatever_is_newer_than_the_oldest_of_them() -> None:
    history = [
        backup("2026-11-22", complete=False),
        backup("2026-11-21"),
        backup("2026-11-20", complete=None),
        backup("2026-11-19"),
        backup("2026-11-18", complete=False),
        backup("2026-11-17"),
    ]
    assert reasons(KeepLast(2), history) == {
        "2026-11-22T00:00": "newer than one of the 2 newest good",
        "2026-11-21T00:00": "one of the 2 newest good",
        "2026-11-20T00:00": "newer than one of the 2 newest good",
        "2026-11-19T00:00": "one of the 2 newest good",
        "2026-11-18T00:00": "older than the 2 newest good",
        "2026-11-17T00:00": "older than the 2 newest good",
    }


def test_keep_last_of_a_series_without_a_good_backup_keeps_its_newest() -> None:
    history = [backup("2026-11-22", complete=False), backup("2026-11-21", damaged=True)]
    assert reasons(KeepLast(1), history) == {
        "2026-11-22T00:00": "the newest",
        "2026-11-21T00:00": "older than the newest",
    }


def test_keep_last_counts_each_contents_by_itself() -> None:
    history = [
        backup("2026-11-22T18:00", contents=DATABASES),
        backup("2026-11-22T12:00", contents=DATABASES),
        backup("2026-11-22T03:00"),
        backup("2026-11-21T03:00"),
        backup("2026-11-15T03:00", contents=FILES),
    ]
    assert kept(KeepLast(1), history) == ["2026-11-22T18:00", "2026-11-22T03:00", "2026-11-15T03:00"]


def test_keep_last_does_not_let_a_wrong_clock_push_out_the_real_newest_backup() -> None:
    history = [backup("2036-01-01"), backup("2026-11-22"), backup("2026-11-21")]
    assert reasons(KeepLast(1), history) == {
        "2036-01-01T00:00": "dated in the future",
        "2026-11-22T00:00": "the newest good",
        "2026-11-21T00:00": "older than the newest good",
    }


def test_of_two_backups_of_the_same_time_the_greater_id_is_the_newer() -> None:
    history = [backup("2026-11-22", id="b"), backup("2026-11-22", id="c"), backup("2026-11-22", id="a")]
    assert kept(KeepLast(2), history) == ["c", "b"]


# ---- TieredRetention


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
        "2036-01-02T00:00": "newest good backup of files and databases",
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


def test_both_passes_of_a_repeated_hour_are_ordered_as_they_happened() -> None:
    berlin = zone("Europe/Berlin")
    first = backup(datetime(2026, 10, 25, 2, 40, tzinfo=berlin, fold=0))
    second = backup(datetime(2026, 10, 25, 2, 20, tzinfo=berlin, fold=1))
    assert kept(KeepLast(1), [first, second]) == [second.id]


def test_a_boundary_in_a_repeated_hour_is_compared_as_an_instant() -> None:
    berlin = zone("Europe/Berlin")
    # Two days back is 02:30 for the first time; the backup was made at 02:20 for the second time.
    moment = datetime(2026, 10, 27, 2, 30, tzinfo=berlin)
    history = [backup(moment), backup(datetime(2026, 10, 25, 2, 20, tzinfo=berlin, fold=1))]
    assert len(kept(TieredRetention(2, 0, 0, 0, 0, time_zone="Europe/Berlin"), history, moment)) == 2


# ---- against an oracle


def oracle(policy: TieredRetention, history: Sequence[Backup], now: datetime, local: tzinfo) -> set[str]:
    """The ids that stay, from the words of the rule, one backup and one period at a time; no size limit."""

    def months_back(wall: datetime, months: int) -> datetime:
        year, month = wall.year, wall.month
        for _ in range(months):
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        day = wall.day
        while True:
            try:
                return wall.replace(year=year, month=month, day=day)
            except ValueError:
                day -= 1

    def period(backup: Backup, tier: int) -> tuple[object, ...]:
        day: date = backup.time.astimezone(local).date()
        return (day, day.isocalendar()[:2], (day.year, day.month), day.year)[tier], tier

    def newness(backup: Backup) -> tuple[datetime, str]:
        return backup.time, backup.id

    b0 = now.astimezone(local) - timedelta(days=policy.keep_all_days)
    b1 = b0 - timedelta(days=policy.keep_daily_days)
    b2 = b1 - timedelta(weeks=policy.keep_weekly_weeks)
    b3 = months_back(b2, policy.keep_monthly_months)
    b4 = months_back(b3, 12 * policy.keep_yearly_years)
    tiers = [(b1, b0), (b2, b1), (b3, b2), (b4, b3)]

    def tier_of(backup: Backup) -> int | None:
        places = [i for i, (low, high) in enumerate(tiers) if low <= backup.time < high]
        assert len(places) <= 1
        return places[0] if places else None

    stay = set()
    for contents in (FULL, DATABASES, FILES):
        series = [one for one in history if one.contents == contents]
        if not series:
            continue
        newest = max(series, key=newness)
        stay.add(newest.id)
        for some in (series, [one for one in series if one.time <= now]):
            if some:
                stay.add(max(some, key=lambda one: (one.good, newness(one))).id)
        others = [one for one in series if one is not newest]
        for one in others:
            tier = tier_of(one)
            if tier is not None:
                rivals = [r for r in others if tier_of(r) == tier and period(r, tier) == period(one, tier)]
                if one is max(rivals, key=lambda rival: (rival.good, newness(rival))):
                    stay.add(one.id)
            elif one.time >= b0:
                stay.add(one.id)
    return stay


@given(
    st.tuples(*[st.integers(0, 12)] * 5),
    st.data(),
    moments(),
)
def test_tiers_agree_with_an_oracle_that_follows_the_words_of_the_rule(
    numbers: tuple[int, int, int, int, int], data: st.DataObject, now: datetime
) -> None:
    history = data.draw(backups(now))
    policy = TieredRetention(*numbers)
    assert set(kept(policy, history, now)) == oracle(policy, history, now, UTC)


@given(st.data(), moments())
def test_tiers_agree_with_the_oracle_where_clocks_change(data: st.DataObject, now: datetime) -> None:
    berlin = zone("Europe/Berlin")
    # In the hour that comes twice Python compares times of a zone in a way that this oracle should not judge.
    assume(now.astimezone(berlin).fold == 0)
    history = data.draw(backups(now))
    policy = TieredRetention(3, 5, 6, 7, 3, time_zone="Europe/Berlin")
    assert set(kept(policy, history, now)) == oracle(policy, history, now, berlin)


# ---- over time


def after_five_months(*, with_databases: bool) -> list[Backup]:
    """A full backup each day at 03:00, one of the databases every six hours, cleaned each day at 04:00."""
    policy = TieredRetention(7, 30, 12, 12, 5, max_size="50GB")
    stock: list[Backup] = []
    for days in range(151):
        full = datetime(2026, 1, 1, 3, 0, tzinfo=UTC) + timedelta(days=days)
        stock.append(backup(full, stored=10**9 // 2))
        if with_databases:
            times = (full - timedelta(hours=hours) for hours in (3, 9, 15, 21))
            stock.extend(backup(time, contents=DATABASES, stored=10**7) for time in times)
        stock = [one.backup for one in policy.plan(stock, now=full + timedelta(hours=1)).keep]
    return stock


def test_six_hourly_database_backups_never_push_out_the_daily_full_one() -> None:
    full = [one for one in after_five_months(with_databases=True) if one.contents == FULL]
    assert full == after_five_months(with_databases=False)
    # Each day of the 37 that are kept whole or daily; the Sundays of 12 weeks, and what was left of January
    # when the weeks had thinned it.
    last = datetime(2026, 5, 31, 3, tzinfo=UTC)
    assert [one.time for one in full[:38]] == [last - timedelta(days=days) for days in range(38)]
    assert [f"{one.time:%m-%d}" for one in full[38:]] == [
        *["04-19", "04-12", "04-05", "03-29", "03-22", "03-15", "03-08", "03-01"],
        *["02-22", "02-15", "02-08", "02-01", "01-25"],
    ]


def test_six_hourly_database_backups_are_thinned_like_any_other_series() -> None:
    times = [one.time for one in after_five_months(with_databases=True) if one.contents == DATABASES]
    last = datetime(2026, 5, 31, 0, tzinfo=UTC)
    # All of seven days (to 24 May 04:00), then the newest of each day for thirty (to 24 April 04:00).
    assert times[:28] == [last - timedelta(hours=6 * number) for number in range(28)]
    assert [f"{time:%m-%dT%H}" for time in times[28:31]] == ["05-24T00", "05-23T18", "05-22T18"]
    assert [f"{time:%m-%dT%H}" for time in times[57:]] == [
        *["04-25T18", "04-24T18", "04-23T18", "04-19T18", "04-12T18", "04-05T18", "03-29T18", "03-22T18"],
        *["03-15T18", "03-08T18", "03-01T18", "02-22T18", "02-15T18", "02-08T18", "02-01T18", "01-25T18"],
    ]


# ---- refusals


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "3", None])
def test_keep_last_of_nothing_is_refused(count: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"KeepLast\(count=.*\) is not possible: use a whole number"):
        KeepLast(count)


@pytest.mark.parametrize(
    "field",
    ["keep_all_days", "keep_daily_days", "keep_weekly_weeks", "keep_monthly_months", "keep_yearly_years"],
)
@pytest.mark.parametrize("value", [-1, True, 0.5, "7", None])
def test_tiers_of_impossible_length_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"TieredRetention\({field}=.*\) is not possible"):
        TieredRetention(**{field: value})


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


# ---- what stands behind every policy


def test_the_guard_keeps_the_newest_good_backup_of_each_contents() -> None:
    full, older = backup("2026-11-23"), backup("2026-11-22")
    incomplete, databases = (
        backup("2026-11-24", complete=False),
        backup("2026-11-21", contents=DATABASES, complete=False),
    )
    plan = RetentionPlan(
        keep=(Kept(incomplete, ("why not",)),),
        remove=tuple(Removed(one, "on a whim") for one in (full, older, databases)),
    )
    assert guard(plan, now=NOW) == RetentionPlan(
        keep=(
            Kept(incomplete, ("why not",)),
            Kept(full, ("newest good backup of files and databases",)),
            Kept(databases, ("newest backup of databases",)),
        ),
        remove=(Removed(older, "on a whim"),),
    )


def test_the_guard_leaves_a_plan_that_keeps_them_as_it_is() -> None:
    plan = RetentionPlan(
        keep=(Kept(backup("2026-11-23"), ("good",)),), remove=(Removed(backup("2026-11-22"), "old"),)
    )
    assert guard(plan, now=NOW) is plan


@given(moments(), st.data())
def test_the_guard_has_nothing_to_do_behind_a_built_in_policy(now: datetime, data: st.DataObject) -> None:
    history = data.draw(backups(now))
    for policy in (KeepAll(), KeepLast(1), TieredRetention(0, 0, 0, 0, 0, max_size=0)):
        plan = policy.plan(history, now=now)
        assert guard(plan, now=now) is checked(plan, history)


ONE, TWO = backup("2026-11-23"), backup("2026-11-22")


@pytest.mark.parametrize(
    ("plan", "mistake"),
    [
        (RetentionPlan(keep=(Kept(ONE, ("new",)),)), "leaves out 2026-11-22T00:00"),
        (
            RetentionPlan(keep=(Kept(ONE, ("new",)), Kept(TWO, ("new",))), remove=(Removed(TWO, "old"),)),
            "names 2026-11-22T00:00 more than once",
        ),
        (
            RetentionPlan(
                keep=(Kept(ONE, ("new",)), Kept(TWO, ("new",))),
                remove=(Removed(backup("1999-01-01"), "old"),),
            ),
            "names 1999-01-01T00:00 which it was not given",
        ),
        (
            RetentionPlan(keep=(Kept(ONE, ("new",)), Kept(replace(TWO, complete=False), ("new",)))),
            "leaves out 2026-11-22T00:00",
        ),
    ],
)
def test_a_plan_that_does_not_name_each_backup_exactly_once_is_refused(
    plan: RetentionPlan, mistake: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{mistake}, so nothing was removed"):
        checked(plan, [ONE, TWO])


def test_a_plan_that_names_each_backup_exactly_once_passes() -> None:
    plan = RetentionPlan(keep=(Kept(ONE, ("new",)),), remove=(Removed(TWO, "old"),))
    assert checked(plan, [TWO, ONE]) is plan


# ---- the conformance class itself


class ForgetsTheOldest:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return KeepAll().plan(sorted(backups, key=lambda one: one.time)[1:], now=now)


class GivesNoReason:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(keep=tuple(Kept(one, ()) for one in backups))


class RemovesAll:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(remove=tuple(Removed(one, "on a whim") for one in backups))


class TrustsTheOrder:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        kept = tuple(Kept(one, (f"number {number}",)) for number, one in enumerate(backups))
        return RetentionPlan(keep=kept)


class KeepsHalf:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return KeepLast(max(1, len(backups) // 2)).plan(backups, now=now)


class Empties:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        plan = KeepAll().plan(backups, now=now)
        cast("list[Backup]", backups).clear()
        return plan


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (ForgetsTheOldest(), "test_every_backup_stands_in_exactly_one_half"),
        (GivesNoReason(), "test_every_backup_has_a_reason"),
        (RemovesAll(), "test_the_newest_good_backup_of_each_contents_stays"),
        (TrustsTheOrder(), "test_the_order_of_the_input_does_not_matter"),
        (KeepsHalf(), "test_planning_again_after_removal_removes_nothing"),
        (Empties(), "test_the_input_is_left_as_it_was"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_caught(policy: RetentionPolicy, rule: str) -> None:
    class Tests(RetentionPolicyTests):
        def make_policy(self) -> RetentionPolicy:
            return policy

    history = [backup(f"2026-11-{day}") for day in (23, 22, 21, 20)]
    shuffling = [Random(1)] if "order" in rule else []
    # The body alone, with one history: what is shown is that it notices, not that Hypothesis finds histories.
    body = getattr(Tests, rule).hypothesis.inner_test
    with pytest.raises(AssertionError):
        body(Tests(), (history, NOW), *shuffling)
