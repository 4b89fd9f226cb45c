"""Tiers: all for some days, then one a day, a week, a month and a year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError, require_whole
from backupkit.model import Backup, RetentionPlan
from backupkit.retention.periods import Calendar, representatives
from backupkit.retention.series import Draft, newest_of
from backupkit.sizes import parse_size
from backupkit.zones import zone_named


@dataclass(frozen=True, slots=True)
class TieredRetention:
    """Keep all for some days, then one a day, a week, a month and a year: laravel-backup's default strategy.

    The tiers are stacked on the wall clock of `time_zone`, back from now; a month or year back from a day
    that does not exist there ends at the month's last day. A backup exactly on a boundary belongs to the
    newer tier alone. Of each period (weeks are ISO weeks) the newest good backup stays, or the newest if
    none is good. The newest of each contents stays too, and stands for no period. What is older than all
    tiers goes.

    Then, while all backups together occupy more than `max_size` (bytes, or a text such as "50GB" or
    "50000MiB"), the oldest goes. Whatever the numbers, the newest backup and the newest `minimum` good ones of
    each contents stay, and so do pinned ones, which may stand for their periods like any other; one dated in the
    future does not stand in for the newest good one up to now.
    """

    keep_all_days: int = 7
    keep_daily_days: int = 16
    keep_weekly_weeks: int = 8
    keep_monthly_months: int = 4
    keep_yearly_years: int = 2
    max_size: int | str | None = None
    minimum: int = 1
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name.startswith("keep_")):
            require_whole(self, name, least=0)
        require_whole(self, "minimum", least=1)
        # The calendar begins with the year 1, and no boundary can lie before it.
        days = self.keep_all_days + self.keep_daily_days + 7 * self.keep_weekly_weeks
        if days + 31 * self.keep_monthly_months + 366 * self.keep_yearly_years > 366_000:
            raise ConfigurationError(
                "TieredRetention cannot reach back more than 1000 years: use smaller numbers, or KeepAll()."
            )
        if self.max_size is not None:
            object.__setattr__(self, "max_size", parse_size(self.max_size))
        zone_named(self.time_zone)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        draft = Draft(backups, now=now)
        calendar = Calendar(self.time_zone)
        boundaries = self._boundaries(calendar.wall(now))
        spared: set[int] = set()
        for newest, *others in draft.series():
            draft.keep_future([newest, *others])
            draft.keep(newest, newest_of(draft.backups[newest]))
            self._thin(draft, others, calendar, boundaries)
            spared |= {newest, *draft.keep_minimum([newest, *others], self.minimum)}
        if self.max_size is not None:
            draft.shrink(parse_size(self.max_size), spared)
        return draft.plan()

    def _thin(
        self, draft: Draft, others: Sequence[int], calendar: Calendar, boundaries: Sequence[datetime]
    ) -> None:
        recent = f"newer than {self.keep_all_days} day{'' if self.keep_all_days == 1 else 's'}"
        members: list[tuple[int, str]] = []
        tier = 0  # all, then daily, weekly, monthly, yearly, and past them what goes
        for place in others:
            time = draft.times[place]
            while tier < len(boundaries) and time < boundaries[tier]:
                tier += 1
            if tier == 0:
                if time <= draft.now:
                    draft.keep(place, recent)
            elif tier < len(boundaries):
                members.append((place, calendar.periods(calendar.wall(time))[tier - 1]))
            else:
                draft.remove(place, "older than all tiers")
        chosen = representatives(members, draft.good)
        for place, period in members:
            standing, title = chosen[period]
            if place == standing:
                draft.keep(place, title)
            else:
                draft.remove(place, f"not the {title}")

    def _boundaries(self, wall: datetime) -> Sequence[datetime]:
        """Where each tier begins, the newest first."""
        boundaries: list[datetime] = []
        for days, months in (
            (self.keep_all_days, 0),
            (self.keep_daily_days, 0),
            (self.keep_weekly_weeks * 7, 0),
            (0, self.keep_monthly_months),
            (0, self.keep_yearly_years * 12),
        ):
            try:
                wall = _back(wall, days=days, months=months)
                # In UTC, because Python compares times of one zone by the wall clock, which repeats an hour.
                boundaries.append(wall.astimezone(UTC))
            except (
                OverflowError,
                ValueError,
            ):  # before the calendar begins, where only a wrong clock comes to
                wall = datetime.min.replace(tzinfo=UTC)
                boundaries.append(wall)
        return boundaries


def _back(wall: datetime, *, days: int, months: int) -> datetime:
    """So much earlier on the calendar; a day that the month lacks becomes its last one."""
    from calendar import monthrange

    if not days and not months:
        return wall  # arithmetic would forget which pass of an hour that comes twice it is
    year, month = divmod(wall.year * 12 + wall.month - 1 - months, 12)
    day = min(wall.day, monthrange(year, month + 1)[1])
    return wall.replace(year=year, month=month + 1, day=day) - timedelta(days=days)
