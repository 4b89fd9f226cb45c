"""Policies beside oracles that follow the words of their rules, slowly, over thousands of small random histories.

The histories are drawn so that boundaries, ties, repeated days and zones matter: times are whole days, hours or
weeks before now, often the same. Every run draws the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from random import Random

import pytest

from backupkit.model import Backup, Contents, Pin
from backupkit.retention import CountedRetention, KeepLast, KeepWithin, TieredRetention
from tests.retention.histories import DATABASES, FILES, FULL, kept, zone

PINS = (None, None, None, None, None, None, None, None, "now", "expired")
NOWS = ("2024-02-29T12:00", "2026-05-31T09:30", "2021-01-03T23:59", "2026-11-05T00:00", "2025-03-30T12:00")


def histories(seed: int, count: int, *, longest: int = 12) -> Iterator[tuple[Random, list[Backup], datetime]]:
    random = Random(seed)
    for _ in range(count):
        now = datetime.fromisoformat(random.choice(NOWS)).replace(tzinfo=UTC)
        back: list[Callable[[], timedelta]] = [
            lambda: timedelta(days=random.randint(-1, 12)),
            lambda: timedelta(hours=random.randint(-2, 72)),
            lambda: timedelta(weeks=random.randint(0, 12)),
            lambda: timedelta(days=random.randint(0, 1200), hours=random.randint(0, 23)),
        ]
        contents: list[frozenset[Contents]] = [FULL, FULL, DATABASES, FILES]
        history = [
            Backup(
                id=f"{random.randrange(100)}-{number}",
                name="shop",
                time=now - random.choice(back)(),
                contents=random.choice(contents),
                location="memory:",
                complete=random.choice([True, True, True, False, None]),
                damaged=random.random() < 0.1,
                pin=pin(random.choice(PINS), now),
                stored=random.randrange(10),
            )
            for number in range(random.randrange(longest))
        ]
        yield random, history, now


def pin(kind: str | None, now: datetime) -> Pin | None:
    return Pin(reason="x", until=None if kind == "now" else now) if kind else None


def newness(backup: Backup) -> tuple[datetime, str]:
    return backup.time, backup.id


def best(backups: Sequence[Backup]) -> Backup:
    return max(backups, key=lambda one: (one.good, newness(one)))


def spared(series: Sequence[Backup], minimum: int, now: datetime) -> set[str]:
    """What no policy removes: the pinned, and the newest good ones, or others if those are too few."""
    stay = {one.id for one in series if one.pin is not None and one.pin.holds(now)}
    for some in ([*series], [one for one in series if one.time <= now]):
        for _ in range(min(minimum, len(some))):
            stay.add(best(some).id)
            some.remove(best(some))
    return stay


def by_contents(history: Sequence[Backup]) -> list[list[Backup]]:
    every = [[one for one in history if one.contents == contents] for contents in (FULL, DATABASES, FILES)]
    return [series for series in every if series]


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


def period(backup: Backup, tier: int, local: tzinfo) -> tuple[object, ...]:
    wall = backup.time.astimezone(local)
    day: date = wall.date()
    return (
        (day, wall.hour),
        (day,),
        day.isocalendar()[:2],
        (day.year, day.month),
        (day.year,),
    )[tier]


def tiers(policy: TieredRetention, history: Sequence[Backup], now: datetime, local: tzinfo) -> set[str]:
    b0 = now.astimezone(local) - timedelta(days=policy.keep_all_days)
    b1 = b0 - timedelta(days=policy.keep_daily_days)
    b2 = b1 - timedelta(weeks=policy.keep_weekly_weeks)
    b3 = months_back(b2, policy.keep_monthly_months)
    b4 = months_back(b3, 12 * policy.keep_yearly_years)
    bounds = [(b1, b0), (b2, b1), (b3, b2), (b4, b3)]

    def tier_of(backup: Backup) -> int | None:
        places = [i for i, (low, high) in enumerate(bounds, 1) if low <= backup.time < high]
        assert len(places) <= 1
        return places[0] if places else None

    stay, never = set(), set()
    for series in by_contents(history):
        newest = max(series, key=newness)
        never |= {newest.id} | spared(series, policy.minimum, now)
        others = [one for one in series if one is not newest]
        places = {
            one.id: tier and (tier, period(one, tier, local)) for one in others for tier in [tier_of(one)]
        }
        for one in others:
            where = places[one.id]
            if where is not None:
                if one is best([r for r in others if places[r.id] == where]):
                    stay.add(one.id)
            elif one.time >= b0:
                stay.add(one.id)
    stay |= never
    if policy.max_size is not None:
        for one in sorted(history, key=newness):
            total = sum(other.stored for other in history if other.id in stay)
            if total > int(policy.max_size) and one.id not in never:
                stay.discard(one.id)
    return stay


def last_ones(count: int, past: Sequence[Backup]) -> list[Backup]:
    """As many good ones, or others where there are too few, and whatever is newer than the oldest of them."""
    chosen: list[Backup] = []
    for _ in range(min(count, len(past))):
        chosen.append(best([one for one in past if one not in chosen]))
    return [one for one in past if chosen and newness(one) >= min(map(newness, chosen))]


def counts(policy: CountedRetention, history: Sequence[Backup], now: datetime, local: tzinfo) -> set[str]:
    stay = {one.id for one in history if one.time > now}
    for series in by_contents(history):
        stay |= spared(series, policy.minimum, now)
        past = sorted((one for one in series if one.time <= now), key=newness, reverse=True)
        if not past:
            continue
        good = [one for one in past if one.good]
        taken: list[Backup] = []
        if policy.last:
            taken += last_ones(policy.last, past)
        rules = (policy.hourly, policy.daily, policy.weekly, policy.monthly, policy.yearly)
        for tier, wanted in enumerate(rules):
            left = wanted
            standing: list[Backup] = []
            periods = {one.id: period(one, tier, local) for one in past}
            for one in past:
                rivals = [r for r in past if periods[r.id] == periods[one.id]]
                if one is not rivals[0] or not left:
                    continue
                standing.append(best(rivals))
                if not (policy.once and standing[-1] in taken):
                    left -= 1
            last = (good or past)[-1]
            if left and last not in standing:
                standing.append(last)
            taken += standing
        stay |= {one.id for one in taken}
    return stay


@pytest.mark.parametrize(("key", "seed"), [("UTC", 1), ("Europe/Berlin", 2), ("Asia/Seoul", 3)])
def test_tiers_agree_with_the_words_of_their_rule(key: str, seed: int) -> None:
    local = zone(key)
    decided = 0
    for random, history, now in histories(seed, 3000):
        a, d, w, m, y = random.choices([0, 0, 1, 2, 3, 7], k=5)
        policy = TieredRetention(
            *(a, d, w, m, y),
            max_size=random.choice([None, None, 0, 10, 25]),
            minimum=random.choice([1, 1, 2, 3]),
            time_zone=key,
        )
        stay = tiers(policy, history, now, local)
        assert set(kept(policy, history, now)) == stay, (policy, history, now)
        decided += 0 < len(stay) < len(history)
    assert decided > 1000, "many histories must leave something to decide"


@pytest.mark.parametrize(("once", "seed"), [(False, 4), (True, 5)])
def test_counts_agree_with_the_words_of_their_rule(once: bool, seed: int) -> None:
    key = "Europe/Berlin"
    local = zone(key)
    decided = 0
    for random, history, now in histories(seed, 1000, longest=24):
        last, h, d, w, m, y = random.choices([0, 0, 0, 1, 2], k=6)
        minimum = random.choice([1, 1, 2])
        policy = CountedRetention(last, h, d, w, m, y or 1, minimum, once, key)
        stay = counts(policy, history, now, local)
        assert set(kept(policy, history, now)) == stay, (policy, history, now)
        decided += 0 < len(stay) < len(history)
    assert decided > 400


def test_the_newest_and_those_within_agree_with_the_words_of_their_rules() -> None:
    for random, history, now in histories(6, 2000):
        last, within = random.randint(1, 4), timedelta(days=random.choice([1, 7, 30]))
        newest, recent = set(), set()
        for series in by_contents(history):
            future = {one.id for one in series if one.time > now}
            newest |= spared(series, 1, now) | future
            recent |= spared(series, 2, now) | future
            past = [one for one in series if one.time <= now]
            newest |= {one.id for one in last_ones(last, past)}
            counted = sorted([one for one in past if one.good] or past, key=newness)
            if counted:
                recent |= {one.id for one in past if one.time >= counted[-1].time - within}
        assert set(kept(KeepLast(last), history, now)) == newest, (last, history, now)
        policy = KeepWithin(days=within.days, minimum=2)
        assert set(kept(policy, history, now)) == recent, (policy, history, now)
