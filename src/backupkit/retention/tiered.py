"""Tiers: all for some days, then one a day, a week, a month and a year."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Kept, Removed, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention.series import by_contents, newest_of, plan_of, protected, require_whole, sparing
from backupkit.sizes import format_size, parse_size
from backupkit.zones import zone_named

# What a period of each tier is called: also the key that tells two periods apart. %G is the ISO year: with
# the calendar year, a week would break in two at New Year, and its first days be confused with the last.
_PERIODS = ("%Y-%m-%d", "week %G-W%V", "%Y-%m", "%Y")


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
    each contents stay, and so do pinned ones; one dated in the future does not stand in for the newest good one
    up to now.
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
        zone = zone_named(self.time_zone)
        all_since, *tiers_since = self._boundaries(now.astimezone(zone))
        recent = f"newer than {self.keep_all_days} day{'' if self.keep_all_days == 1 else 's'}"
        staying: dict[Backup, str] = {}
        verdicts: list[Kept | Removed] = []
        for series in by_contents(backups):
            newest, *others = series
            staying |= {newest: newest_of(newest), **protected(series, now, self.minimum)}
            verdicts.append(Kept(newest, (staying[newest],)))
            periods: dict[str, list[Backup]] = {}
            for backup in others:
                tiers = zip(tiers_since, _PERIODS, strict=True)
                if backup.time >= all_since:
                    verdicts.append(Kept(backup, (recent if backup.time <= now else "dated in the future",)))
                elif period := next((name for since, name in tiers if backup.time >= since), None):
                    periods.setdefault(backup.time.astimezone(zone).strftime(period), []).append(backup)
                else:
                    verdicts.append(Removed(backup, "older than all tiers"))
            for period, members in periods.items():
                verdicts.extend(_one_of(members, period))
        plan = sparing(plan_of(verdicts), staying)
        return plan if self.max_size is None else _within(plan, parse_size(self.max_size), staying)

    def _boundaries(self, wall: datetime) -> list[datetime]:
        boundaries = [_back(wall, days=self.keep_all_days)]
        for days, months in (
            (self.keep_daily_days, 0),
            (self.keep_weekly_weeks * 7, 0),
            (0, self.keep_monthly_months),
            (0, self.keep_yearly_years * 12),
        ):
            boundaries.append(_back(boundaries[-1], days=days, months=months))
        # In UTC, because Python compares two times of the same zone by the wall clock, which repeats an hour.
        return [boundary.astimezone(UTC) for boundary in boundaries]


def limits_size(policy: RetentionPolicy) -> bool:
    """Whether the policy removes backups to keep to a size."""
    return isinstance(policy, TieredRetention) and policy.max_size is not None


def _one_of(members: list[Backup], period: str) -> Iterable[Kept | Removed]:
    chosen = next((backup for backup in members if backup.good), members[0])
    newest = "newest" if chosen is members[0] else "newest good one"
    for backup in members:
        if backup is chosen:
            yield Kept(backup, (f"{newest} of {period}",))
        else:
            yield Removed(backup, f"not the {newest} of {period}")


def _within(plan: RetentionPlan, limit: int, staying: Collection[Backup]) -> RetentionPlan:
    reason = f"over the size limit of {format_size(limit)}"
    total = sum(kept.backup.stored for kept in plan.keep)
    verdicts: list[Kept | Removed] = [*plan.remove]
    for kept in reversed(plan.keep):
        if total > limit and kept.backup not in staying:
            verdicts.append(Removed(kept.backup, reason))
            total -= kept.backup.stored
        else:
            verdicts.append(kept)
    return plan_of(verdicts)


def _back(wall: datetime, *, days: int = 0, months: int = 0) -> datetime:
    """So much earlier on the calendar; a day that the month lacks becomes its last one."""
    from calendar import monthrange

    year, month = divmod(wall.year * 12 + wall.month - 1 - months, 12)
    day = min(wall.day, monthrange(year, month + 1)[1])
    return wall.replace(year=year, month=month + 1, day=day) - timedelta(days=days)
