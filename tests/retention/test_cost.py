"""What planning costs, counted and not timed: a hundred thousand backups must not take a minute."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from backupkit.model import Backup
from backupkit.protocols import RetentionPolicy
from backupkit.retention import (
    CountedRetention,
    KeepLast,
    KeepWithin,
    TieredRetention,
    all_of,
    any_of,
    checked,
    guard,
    minimum_of,
    periods,
)
from tests.retention.histories import DATABASES, FULL, NOW, backup, zone

COUNT = 3000
HISTORY = [
    backup(
        NOW - timedelta(hours=7 * number), contents=DATABASES if number % 4 else FULL, complete=number % 9 > 0
    )
    for number in range(COUNT)
]
TIERS = TieredRetention(7, 30, 12, 12, 5, max_size=100, minimum=3, time_zone="Europe/Berlin")
COUNTS = CountedRetention(2, 24, 30, 12, 12, 5, minimum=3, time_zone="Europe/Berlin")
POLICIES: list[RetentionPolicy] = [KeepLast(100), KeepWithin(days=90), TIERS, COUNTS, any_of(TIERS, COUNTS)]


@pytest.mark.parametrize("policy", [*POLICIES, all_of(*POLICIES)], ids=repr)
def test_no_backup_is_hashed_or_compared_as_a_whole(
    policy: RetentionPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone("Europe/Berlin")

    def looked_at(*_: object) -> bool:
        raise AssertionError("a backup was hashed or compared, which looks at all that is known of it")

    monkeypatch.setattr(Backup, "__hash__", looked_at)
    monkeypatch.setattr(Backup, "__eq__", looked_at)
    plan = checked(policy.plan(HISTORY, now=NOW), HISTORY)
    assert guard(plan, now=NOW, minimum=minimum_of(policy)) is plan
    assert 0 < len(plan.remove) < COUNT


@pytest.mark.parametrize("policy", [TIERS, COUNTS], ids=["tiers", "counts"])
def test_each_time_is_brought_to_the_zone_once_at_most(
    policy: RetentionPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone("Europe/Berlin")
    conversions = 0

    class Counting(tzinfo):
        inner = ZoneInfo("Europe/Berlin")

        def utcoffset(self, time: datetime | None) -> timedelta | None:
            return self.inner.utcoffset(time)

        def dst(self, time: datetime | None) -> timedelta | None:
            return self.inner.dst(time)

        def tzname(self, time: datetime | None) -> str | None:
            return self.inner.tzname(time)

        def fromutc(self, time: datetime) -> datetime:
            nonlocal conversions
            conversions += 1
            return self.inner.fromutc(time.replace(tzinfo=self.inner)).replace(tzinfo=self)

    monkeypatch.setattr(periods, "zone_named", lambda _: Counting())
    policy.plan(HISTORY, now=NOW)
    assert COUNT / 2 < conversions <= COUNT + 1  # all of them, and now
