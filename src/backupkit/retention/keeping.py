"""The simple policies: keep all, or the newest ones, by number or by age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError, require_whole
from backupkit.model import Backup, RetentionPlan
from backupkit.retention.series import Draft, newest_of

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LONGEST = timedelta(days=366_000)


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Remove nothing."""

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        draft = Draft(backups, now=now)
        for place in range(len(draft.backups)):
            draft.keep(place, "every backup is kept")
        return draft.plan()


@dataclass(frozen=True, slots=True)
class KeepLast:
    """Keep the newest `count` good backups of each contents, and whatever is newer than the oldest of them.

    Incomplete, unconfirmed and damaged ones are not counted; but where there are fewer good ones than `count`,
    the newest of them make up for those. Nor are those dated in the future, which a wrong clock made: they stay,
    and push nothing out. So do pinned ones, which are counted where they stand.
    """

    count: int

    def __post_init__(self) -> None:
        require_whole(self, "count", least=1)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        draft = Draft(backups, now=now)
        for series in draft.series():
            keep_last(draft, draft.keep_future(series), self.count)
        return draft.plan()


@dataclass(frozen=True, slots=True)
class KeepWithin:
    """Keep what was made within so many weeks, days and hours before the newest good backup of the same contents.

    It is measured from that backup and not from now, as restic's --keep-within is: where runs have stopped but
    cleaning goes on, a measure from now would empty the store day by day, and with it go the only backups there
    are. The newest good one up to now counts, or the newest if none is good. What is exactly as old as that stays,
    and so do those dated in the future, pinned ones, and the newest `minimum` good ones.
    """

    days: float = 0
    hours: float = 0
    weeks: float = 0
    minimum: int = 1

    def __post_init__(self) -> None:
        require_whole(self, "minimum", least=1)
        try:
            possible = min(self.days, self.hours, self.weeks) >= 0 and timedelta(0) < self._span <= _LONGEST
        except (OverflowError, TypeError, ValueError):
            possible = False
        if not possible:
            raise ConfigurationError(
                f"KeepWithin(days={self.days!r}, hours={self.hours!r}, weeks={self.weeks!r}) is not possible: "
                "use numbers that are together more than zero and no more than 1000 years."
            )

    @property
    def _span(self) -> timedelta:
        return timedelta(days=self.days, hours=self.hours, weeks=self.weeks)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        draft = Draft(backups, now=now)
        for series in draft.series():
            if past := draft.keep_future(series):
                self._keep_within(draft, past)
            draft.keep_minimum(series, self.minimum)
        return draft.plan()

    def _keep_within(self, draft: Draft, past: Sequence[int]) -> None:
        newest = next((place for place in past if draft.good[place]), past[0])
        name = "newest good one" if draft.good[newest] else "newest"
        since = draft.times[newest] - min(self._span, draft.times[newest] - _EARLIEST)
        parts = ((self.weeks, "week"), (self.days, "day"), (self.hours, "hour"))
        span = " and ".join(f"{number:g} {unit}{'s' * (number != 1)}" for number, unit in parts if number)
        for place in past:
            if place < newest:
                draft.keep(place, f"newer than the {name}")
            elif place == newest:
                draft.keep(place, newest_of(draft.backups[place]))
            elif draft.times[place] >= since:
                draft.keep(place, f"within {span} of the {name}")
            else:
                draft.remove(place, f"more than {span} older than the {name}")


def keep_last(draft: Draft, past: Sequence[int], count: int) -> Sequence[int]:
    """Keep the newest `count` good ones of a series up to now, others where there are fewer, and what is newer.

    The others get a reason to go. Returns the places of those that stay.
    """
    good = [place for place in past if draft.good[place]]
    others = [place for place in past if not draft.good[place]]
    chosen = (good + others)[:count]
    last = max(chosen, default=-1)
    instead = set(chosen).difference(good) if good else ()
    newest = f"the {'' if count == 1 else f'{count} '}newest"
    those = f"{newest} good" if good else newest
    one_of = those if count == 1 else f"one of {those}"
    for place in past:
        if place > last:
            draft.remove(place, f"older than {newest if instead else those}")
        elif place in instead:
            draft.keep(place, f"fewer than {count} are good")
        elif good and not draft.good[place]:
            draft.keep(place, f"newer than {one_of}")
        else:
            draft.keep(place, one_of)
    return [place for place in past if place <= last]
