"""A schedule that is cleaned day after day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backupkit.model import Backup
from backupkit.retention import TieredRetention
from tests.retention.histories import DATABASES, FULL, backup


def after(days: int, *, with_databases: bool) -> list[Backup]:
    """A full backup each day at 03:00, one of the databases every six hours, cleaned each day at 04:00."""
    policy = TieredRetention(7, 30, 12, 12, 5, max_size="50GB")
    stock: list[Backup] = []
    for day in range(days):
        full = datetime(2026, 1, 1, 3, 0, tzinfo=UTC) + timedelta(days=day)
        stock.append(backup(full, stored=10**9 // 2))
        if with_databases:
            times = (full - timedelta(hours=hours) for hours in (3, 9, 15, 21))
            stock.extend(backup(time, contents=DATABASES, stored=10**7) for time in times)
        stock = [one.backup for one in policy.plan(stock, now=full + timedelta(hours=1)).keep]
    return stock


def test_six_hourly_database_backups_never_push_out_the_daily_full_one() -> None:
    full = [one for one in after(151, with_databases=True) if one.contents == FULL]
    assert full == after(151, with_databases=False)
    # Each day of the 37 that are kept whole or daily; the Sundays of 12 weeks, and what was left of January
    # when the weeks had thinned it.
    last = datetime(2026, 5, 31, 3, tzinfo=UTC)
    assert [one.time for one in full[:38]] == [last - timedelta(days=days) for days in range(38)]
    assert [f"{one.time:%m-%d}" for one in full[38:]] == [
        *["04-19", "04-12", "04-05", "03-29", "03-22", "03-15", "03-08", "03-01"],
        *["02-22", "02-15", "02-08", "02-01", "01-25"],
    ]


def test_six_hourly_database_backups_are_thinned_like_any_other_series() -> None:
    times = [one.time for one in after(151, with_databases=True) if one.contents == DATABASES]
    last = datetime(2026, 5, 31, 0, tzinfo=UTC)
    # All of seven days (to 24 May 04:00), then the newest of each day for thirty (to 24 April 04:00).
    assert times[:28] == [last - timedelta(hours=6 * number) for number in range(28)]
    assert [f"{time:%m-%dT%H}" for time in times[28:31]] == ["05-24T00", "05-23T18", "05-22T18"]
    assert [f"{time:%m-%dT%H}" for time in times[57:]] == [
        *["04-25T18", "04-24T18", "04-23T18", "04-19T18", "04-12T18", "04-05T18", "03-29T18", "03-22T18"],
        *["03-15T18", "03-08T18", "03-01T18", "02-22T18", "02-15T18", "02-08T18", "02-01T18", "01-25T18"],
    ]


def test_after_six_years_there_is_one_of_each_period_that_was_promised() -> None:
    stock = after(6 * 365 + 1, with_databases=True)
    full = [one for one in stock if one.contents == FULL]
    assert full == after(6 * 365 + 1, with_databases=False)
    # To 31 December 2031: 7 days and 30 daily ones, 12 weeks back to 31 August, 12 months, and the years before.
    last = datetime(2031, 12, 31, 3, tzinfo=UTC)
    assert [one.time for one in full[:38]] == [last - timedelta(days=days) for days in range(38)]
    weeks = ["11-23", "11-16", "11-09", "11-02", "10-26", "10-19", "10-12", "10-05", "09-28", "09-21"]
    months = ["08-31", "07-27", "06-29", "05-25", "04-27", "03-30", "02-23", "01-26"]
    assert [f"{one.time:%Y-%m-%d}" for one in full[38:]] == [
        *(f"2031-{day}" for day in [*weeks, "09-14", "09-07", *months]),
        *["2030-12-29", "2030-11-24", "2030-10-27", "2030-09-29"],
        *["2030-08-25", "2029-12-30", "2028-12-31", "2027-12-26", "2026-12-27"],
    ]
    databases = [one for one in stock if one.contents == DATABASES]
    assert len(databases) == 28 + 31 + 29, "all of seven days, and one each of the same periods"
    assert databases[-1].id == "2026-12-27T18:00"
    assert sum(one.stored for one in stock) < 50 * 10**9
