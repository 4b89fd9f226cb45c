"""A schedule that is cleaned day after day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backupkit.model import Backup
from backupkit.retention import TieredRetention
from tests.retention.histories import DATABASES, FULL, backup


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
