"""What every retention policy must hold to, and random histories to hold it against.

    class TestEveryOther(RetentionPolicyTests):
        def make_policy(self) -> RetentionPolicy:
            return EveryOther()

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backupkit.model import Backup, Contents, Pin, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention import minimum_of

_ALL_CONTENTS: tuple[frozenset[Contents], ...] = (
    frozenset({"files", "databases"}),
    frozenset({"databases"}),
    frozenset({"files"}),
)

_AGES: tuple[Callable[[Random], timedelta], ...] = (
    lambda random: timedelta(hours=random.randrange(-2, 40 * 24)),
    lambda random: timedelta(days=random.randrange(12 * 366)),
    lambda random: timedelta(days=random.randrange(10)),
    lambda random: timedelta(seconds=random.randrange(-2 * 86_400, 400 * 86_400)),
)


_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
_TRICKY = [
    datetime.fromisoformat(f"{day}T12:00:00+00:00")
    for day in ("2024-02-29", "2026-05-31", "2025-03-01", "2026-12-31", "2027-01-01", "2021-01-03")
]


def moments() -> st.SearchStrategy[datetime]:
    """Times to plan at; leap days and the ends of months and years more often than chance would have them."""
    return st.builds(_moment, _randoms())


def backups(now: datetime, *, name: str = "shop") -> st.SearchStrategy[list[Backup]]:
    """Histories of one pipeline at one destination, in random order.

    They hold backups of all contents, good ones and others, days to many years old, at equal times and in
    the future, some of them pinned; the ids are unique. What fails shrinks to fewer backups.
    """
    return st.builds(lambda count, random: _history(now, name, count, random), _COUNTS, _randoms())


# To draw each fact of each backup by itself takes so long that few would be drawn.
_COUNTS = st.integers(0, 60)


def _randoms() -> st.SearchStrategy[Random]:
    return st.builds(Random, st.integers(0, 2**32))


def _moment(random: Random) -> datetime:
    if random.random() < 0.5:
        return random.choice(_TRICKY)
    return _FIRST + timedelta(microseconds=random.randrange((_LAST - _FIRST) // timedelta(microseconds=1)))


def _history(now: datetime, name: str, count: int, random: Random) -> list[Backup]:
    pins = (
        Pin(reason="year end"),
        Pin(reason="move", until=now + timedelta(days=1)),
        Pin(reason="old", until=now),
    )
    return [
        Backup(
            id=f"backup-{number:06}",
            name=name,
            time=now - random.choice(_AGES)(random),
            contents=random.choice(_ALL_CONTENTS),
            location="memory:",
            complete=random.choice((*[True] * 8, False, None)),
            damaged=random.random() < 0.1,
            pin=random.choice(pins) if random.random() < 0.1 else None,
            stored=random.randrange(10**12),
        )
        for number in random.sample(range(10**6), count)
    ]


def _histories() -> st.SearchStrategy[tuple[list[Backup], datetime]]:
    def history(count: int, random: Random) -> tuple[list[Backup], datetime]:
        now = _moment(random)
        return _history(now, "shop", count, random), now

    return st.builds(history, _COUNTS, _randoms())


# A class of tests is there to be inherited; and whoever runs it may be on a slow machine.
_settings = settings(deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class RetentionPolicyTests:
    """Subclass, and return the policy from `make_policy`."""

    def make_policy(self) -> RetentionPolicy:
        raise NotImplementedError

    def plan(self, backups: Sequence[Backup], now: datetime) -> RetentionPlan:
        return self.make_policy().plan(backups, now=now)

    @_settings
    @given(_histories())
    def test_every_backup_stands_in_exactly_one_half(self, history: tuple[list[Backup], datetime]) -> None:
        backups, now = history
        plan = self.plan(backups, now)
        kept, removed = (one.backup for one in plan.keep), (one.backup for one in plan.remove)
        assert Counter(kept) + Counter(removed) == Counter(backups)

    @_settings
    @given(_histories())
    def test_every_backup_has_a_reason(self, history: tuple[list[Backup], datetime]) -> None:
        plan = self.plan(*history)
        assert all(kept.reasons and all(kept.reasons) for kept in plan.keep)
        assert all(removed.reason for removed in plan.remove)

    @_settings
    @given(_histories())
    def test_the_newest_good_backups_of_each_contents_stay(
        self, history: tuple[list[Backup], datetime]
    ) -> None:
        """One, or as many as the policy's `minimum` says; also of those that are not dated in the future."""
        backups, now = history
        minimum = minimum_of(self.make_policy())
        kept = {kept.backup.id for kept in self.plan(backups, now).keep}
        for contents in _ALL_CONTENTS:
            good = [backup for backup in backups if backup.good and backup.contents == contents]
            for some in (good, [backup for backup in good if backup.time <= now]):
                newest = sorted(some, key=_newness, reverse=True)[:minimum]
                assert [backup.id for backup in newest if backup.id not in kept] == []

    @_settings
    @given(_histories())
    def test_pinned_backups_stay(self, history: tuple[list[Backup], datetime]) -> None:
        backups, now = history
        removed = [removed.backup for removed in self.plan(backups, now).remove]
        assert [backup for backup in removed if backup.pin is not None and backup.pin.holds(now)] == []

    @_settings
    @given(_histories(), _randoms())
    def test_one_more_backup_removes_no_newer_good_one(
        self, history: tuple[list[Backup], datetime], random: Random
    ) -> None:
        """One that occupies nothing, that is, and is not older than all good ones of its contents.

        For its size, older ones of any contents may go; and a policy may keep the oldest for being that.
        """
        backups, now = history
        for more in random.sample(backups, min(len(backups), 3)):
            before = [backup for backup in backups if backup is not more]
            series = [backup for backup in before if backup.good and backup.contents == more.contents]
            if any(_newness(backup) < _newness(more) for backup in series):
                kept = {one.backup.id for one in self.plan(before, now).keep}
                removed = [one.backup for one in self.plan([*before, replace(more, stored=0)], now).remove]
                lost = [backup for backup in removed if backup.good and backup.id in kept]
                assert [backup for backup in lost if _newness(backup) > _newness(more)] == []

    @_settings
    @given(_histories(), _randoms())
    def test_the_order_of_the_input_does_not_matter(
        self, history: tuple[list[Backup], datetime], random: Random
    ) -> None:
        backups, now = history
        shuffled = random.sample(backups, len(backups))
        assert _verdicts(self.plan(shuffled, now)) == _verdicts(self.plan(backups, now))

    @_settings
    @given(_histories())
    def test_planning_again_after_removal_removes_nothing(
        self, history: tuple[list[Backup], datetime]
    ) -> None:
        backups, now = history
        rest = [kept.backup for kept in self.plan(backups, now).keep]
        assert self.plan(rest, now).remove == ()

    @_settings
    @given(_histories())
    def test_the_input_is_left_as_it_was(self, history: tuple[list[Backup], datetime]) -> None:
        backups, now = history
        before = list(backups)
        self.plan(backups, now)
        assert backups == before


def _newness(backup: Backup) -> tuple[datetime, str]:
    return backup.time, backup.id


def _verdicts(plan: RetentionPlan) -> dict[str, tuple[str, ...]]:
    kept = {kept.backup.id: ("keep", *kept.reasons) for kept in plan.keep}
    return kept | {removed.backup.id: ("remove", removed.reason) for removed in plan.remove}
