"""So many hourly, daily, weekly, monthly and yearly ones, as `restic forget` and `borg prune` count them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backupkit.errors import ConfigurationError, require_whole
from backupkit.model import Backup, RetentionPlan
from backupkit.retention.keeping import keep_last
from backupkit.retention.periods import Calendar, representatives
from backupkit.retention.series import Draft
from backupkit.zones import zone_named

_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")


@dataclass(frozen=True, slots=True)
class CountedRetention:
    """Keep the last backups, and one for each of the last hours, days, weeks, months and years that have any.

    Periods without a backup are not counted, so that nothing goes because time passes alone. They are counted as
    `restic forget --keep-last --keep-hourly …` does: a backup may stand for its hour, its day and its year at
    once. With `once=True` it is counted once, for the shortest, as `borg prune` does, and the longer rules reach
    further back. Where there are fewer periods than a rule asks for, the oldest good backup stays as well.

    Each contents is a series of its own. Days and hours are those of `time_zone`, weeks are ISO weeks. Of each
    period the newest good backup stays, or the newest if none is good; `last` counts good ones, as KeepLast does.
    What is dated in the future stays and is not counted. Pinned ones and the newest `minimum` good ones stay too.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    minimum: int = 1
    once: bool = False
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        for name in ("last", *_PERIODS):
            require_whole(self, name, least=0)
        require_whole(self, "minimum", least=1)
        if not self.last and not any(getattr(self, name) for name in _PERIODS):
            raise ConfigurationError(
                "CountedRetention() would keep next to nothing: say how many to keep, as in "
                "CountedRetention(last=3, daily=7, weekly=4, monthly=12)."
            )
        zone_named(self.time_zone)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        draft = Draft(backups, now=now)
        calendar = Calendar(self.time_zone)
        for series in draft.series():
            if past := draft.keep_future(series):
                self._count(draft, past, calendar)
            draft.keep_minimum(series, self.minimum)
        return draft.plan()

    def _count(self, draft: Draft, past: Sequence[int], calendar: Calendar) -> None:
        counted = set(keep_last(draft, past, self.last)) if self.last else set()
        beyond = f"not one of the {self._rules()} ones"
        for place in past:
            draft.remove(place, beyond)
        walls = [calendar.wall(draft.times[place]) for place in past]
        oldest = next((place for place in reversed(past) if draft.good[place]), past[-1])
        for rule in _PERIODS:
            wanted: int = getattr(self, rule)
            if not wanted:
                continue
            members = zip(past, _names(calendar, walls, rule), strict=True)
            passed_over = counted if self.once else set()
            enough = wanted + len(passed_over)
            standing = dict(representatives(members, draft.good, enough=enough).values())
            chosen = [place for place in standing if place not in passed_over][:wanted]
            for number, place in enumerate(chosen, 1):
                draft.keep(place, f"{standing[place]} ({rule} {number} of {wanted})")
            if len(chosen) < wanted and oldest not in standing and oldest not in passed_over:
                chosen.append(oldest)
                draft.keep(oldest, f"the oldest ({rule} {len(chosen)} of {wanted})")
            counted.update(chosen)

    def _rules(self) -> str:
        """Such as "3 newest, 7 daily or 12 monthly"."""
        rules = [f"{self.last} newest"] if self.last else []
        rules += [f"{number} {rule}" for rule in _PERIODS if (number := getattr(self, rule))]
        return " or ".join(filter(None, (", ".join(rules[:-1]), rules[-1])))


def _names(calendar: Calendar, walls: Iterable[datetime], rule: str) -> Iterator[str]:
    if rule == "hourly":
        return map(calendar.hour, walls)
    index = ("daily", "weekly", "monthly", "yearly").index(rule)
    return (calendar.periods(wall)[index] for wall in walls)
