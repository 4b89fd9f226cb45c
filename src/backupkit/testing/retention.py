"""What every retention policy must hold to, and random histories to hold it against.

    class TestEveryOther(RetentionPolicyTests):
        def make_policy(self) -> RetentionPolicy:
            return EveryOther()

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backupkit.model import Backup, Contents, RetentionPlan
from backupkit.protocols import RetentionPolicy

_ALL_CONTENTS: tuple[frozenset[Contents], ...] = (
    frozenset({"files", "databases"}),
    frozenset({"databases"}),
    frozenset({"files"}),
)


def moments() -> st.SearchStrategy[datetime]:
    """Times to plan at; leap days and the ends of months and years more often than chance would have them."""
    tricky = ("2024-02-29", "2026-05-31", "2025-03-01", "2026-12-31", "2027-01-01", "2021-01-03")
    return st.one_of(
        st.sampled_from([datetime.fromisoformat(f"{day}T12:00:00+00:00") for day in tricky]),
        st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    )


def backups(now: datetime, *, name: str = "shop") -> st.SearchStrategy[list[Backup]]:
    """Histories of one pipeline at one destination, in random order.

    They hold backups of all contents, good ones and others, days to many years old, at equal times and in
    the future; the ids are unique.
    """
    age = st.one_of(
        st.integers(-2, 40 * 24).map(lambda hours: timedelta(hours=hours)),
        st.integers(0, 12 * 366).map(lambda days: timedelta(days=days)),
        st.timedeltas(timedelta(days=-2), timedelta(days=400)),
    )
    one = st.builds(
        lambda number, age, contents, goodness, stored: Backup(
            id=f"backup-{number:06}",
            name=name,
            time=now - age,
            contents=contents,
            location="memory:",
            complete=goodness[0],
            damaged=goodness[1],
            stored=stored,
        ),
        st.integers(0, 10**6),
        age,
        st.sampled_from(_ALL_CONTENTS),
        st.sampled_from([(True, False)] * 7 + [(False, False), (None, False), (True, True)]),
        st.integers(0, 10**12),
    )
    return st.lists(one, unique_by=lambda backup: backup.id, max_size=60)


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[Backup], datetime]:
    now = draw(moments())
    return draw(backups(now)), now


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
    def test_the_newest_good_backup_of_each_contents_stays(
        self, history: tuple[list[Backup], datetime]
    ) -> None:
        backups, now = history
        kept = {kept.backup for kept in self.plan(backups, now).keep}
        for contents in _ALL_CONTENTS:
            good = [backup for backup in backups if backup.good and backup.contents == contents]
            newest = max((backup.time for backup in good), default=None)
            assert not good or any(backup in kept for backup in good if backup.time == newest)

    @_settings
    @given(_histories(), st.randoms(use_true_random=False))
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


def _verdicts(plan: RetentionPlan) -> dict[str, tuple[str, ...]]:
    kept = {kept.backup.id: ("keep", *kept.reasons) for kept in plan.keep}
    return kept | {removed.backup.id: ("remove", removed.reason) for removed in plan.remove}
