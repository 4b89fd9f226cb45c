"""Which backups stay. A policy decides from the backups and the time alone, and never deletes.

Every policy here plans full, databases-only and files-only backups as series of their own, so that frequent
backups of the databases never push out the daily full one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Contents, Kept, Removed, RetentionPlan
from backupkit.sizes import format_size, parse_size
from backupkit.zones import zone_named

# What a period of each tier is called: also the key that tells two periods apart. %G is the ISO year: with
# the calendar year, a week would break in two at New Year, and its first days be confused with the last.
_PERIODS = ("%Y-%m-%d", "week %G-W%V", "%Y-%m", "%Y")


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Remove nothing."""

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return _plan(Kept(backup, ("every backup is kept",)) for backup in backups)


@dataclass(frozen=True, slots=True)
class KeepLast:
    """Keep the newest `count` good backups of each contents, and whatever is newer than the oldest of them.

    Incomplete, unconfirmed and damaged ones are not counted, unless there is nothing better. Nor are those
    dated in the future, which a wrong clock made: they stay, and push nothing out.
    """

    count: int

    def __post_init__(self) -> None:
        _require_whole(self, "count", least=1)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        verdicts: list[Kept | Removed] = []
        for series in _by_contents(backups):
            past = [backup for backup in series if backup.time <= now]
            good = [backup for backup in past if backup.good]
            counted = (good or past)[: self.count]
            those = f"the {'' if self.count == 1 else f'{self.count} '}newest{' good' if good else ''}"
            one_of = those if self.count == 1 else f"one of {those}"
            for backup in series:
                if backup.time > now:
                    verdicts.append(Kept(backup, ("dated in the future",)))
                elif _order(backup) < _order(counted[-1]):
                    verdicts.append(Removed(backup, f"older than {those}"))
                elif good and not backup.good:
                    verdicts.append(Kept(backup, (f"newer than {one_of}",)))
                else:
                    verdicts.append(Kept(backup, (one_of,)))
        return _plan(verdicts)


@dataclass(frozen=True, slots=True)
class TieredRetention:
    """Keep all for some days, then one a day, a week, a month and a year: laravel-backup's default strategy.

    The tiers are stacked on the wall clock of `time_zone`, back from now; a month or year back from a day
    that does not exist there ends at the month's last day. A backup exactly on a boundary belongs to the
    newer tier alone. Of each period (weeks are ISO weeks) the newest good backup stays, or the newest if
    none is good. The newest of each contents stays too, and stands for no period. What is older than all
    tiers goes.

    Then, while all backups together occupy more than `max_size` (bytes, or a text such as "50GB" or
    "50000MiB"), the oldest goes. Whatever the numbers, the newest backup and the newest good one of each
    contents stay; one dated in the future does not stand in for the newest good one up to now.
    """

    keep_all_days: int = 7
    keep_daily_days: int = 16
    keep_weekly_weeks: int = 8
    keep_monthly_months: int = 4
    keep_yearly_years: int = 2
    max_size: int | str | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name.startswith("keep_")):
            _require_whole(self, name, least=0)
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
        spared: set[Backup] = set()
        verdicts: list[Kept | Removed] = []
        for series in _by_contents(backups):
            spared |= _spared(series, now)
            newest, *others = series
            verdicts.append(Kept(newest, (_newest(newest),)))
            periods: dict[str, list[Backup]] = {}
            for backup in others:
                tiers = zip(tiers_since, _PERIODS, strict=True)
                if backup.time >= all_since:
                    verdicts.append(Kept(backup, (recent if backup.time <= now else "dated in the future",)))
                elif period := next((name for since, name in tiers if backup.time >= since), None):
                    periods.setdefault(backup.time.astimezone(zone).strftime(period), []).append(backup)
                elif backup in spared:
                    verdicts.append(Kept(backup, (_newest(backup),)))
                else:
                    verdicts.append(Removed(backup, "older than all tiers"))
            for period, members in periods.items():
                verdicts.extend(_one_of(members, period))
        plan = _plan(verdicts)
        return plan if self.max_size is None else _within(plan, parse_size(self.max_size), spared)

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


def guard(
    plan: RetentionPlan, *, reason: str = "the newest good backup of its contents is never removed"
) -> RetentionPlan:
    """The plan, but keeping the newest good backup of each contents (the newest, if none is good)."""
    backups = (verdict.backup for verdict in _verdicts(plan))
    last = {_last_good(series) for series in _by_contents(backups)}
    if not any(removed.backup in last for removed in plan.remove):
        return plan
    return _plan(
        Kept(verdict.backup, (reason,))
        if isinstance(verdict, Removed) and verdict.backup in last
        else verdict
        for verdict in _verdicts(plan)
    )


def checked(plan: RetentionPlan, backups: Iterable[Backup]) -> RetentionPlan:
    """The plan, if each of the backups stands in exactly one half of it, and nothing else does.

    ConfigurationError otherwise: a policy with a mistake must not delete anything.
    """
    given = Counter(backups)
    planned = Counter(verdict.backup for verdict in _verdicts(plan))
    if planned != given:
        if missing := given - planned:
            mistake = f"leaves out {next(iter(missing)).id}"
        else:
            surplus = next(iter(planned - given))
            mistake = f"names {surplus.id} " + (
                "more than once" if surplus in given else "which it was not given"
            )
        raise ConfigurationError(
            f"The retention policy's plan {mistake}, so nothing was removed: "
            "correct the policy to put each backup it is given, unchanged, into either keep or remove."
        )
    return plan


def _verdicts(plan: RetentionPlan) -> list[Kept | Removed]:
    return [*plan.keep, *plan.remove]


def _one_of(members: list[Backup], period: str) -> Iterable[Kept | Removed]:
    chosen = next((backup for backup in members if backup.good), members[0])
    newest = "newest" if chosen is members[0] else "newest good one"
    for backup in members:
        if backup is chosen:
            yield Kept(backup, (f"{newest} of {period}",))
        else:
            yield Removed(backup, f"not the {newest} of {period}")


def _within(plan: RetentionPlan, limit: int, spared: set[Backup]) -> RetentionPlan:
    reason = f"over the size limit of {format_size(limit)}"
    total = sum(kept.backup.stored for kept in plan.keep)
    verdicts: list[Kept | Removed] = [*plan.remove]
    for kept in reversed(plan.keep):
        if total > limit and kept.backup not in spared:
            verdicts.append(Removed(kept.backup, reason))
            total -= kept.backup.stored
        else:
            verdicts.append(kept)
    return _plan(verdicts)


def _spared(series: list[Backup], now: datetime) -> set[Backup]:
    past = [backup for backup in series if backup.time <= now]
    return {series[0], _last_good(series), _last_good(past or series)}


def _last_good(series: list[Backup]) -> Backup:
    """The newest good backup, or the newest if none is good."""
    return next((backup for backup in series if backup.good), series[0])


def _newest(backup: Backup) -> str:
    contents = " and ".join(sorted(backup.contents, reverse=True)) or "unknown contents"
    return f"newest {'good ' if backup.good else ''}backup of {contents}"


def _by_contents(backups: Iterable[Backup]) -> Iterable[list[Backup]]:
    """One list for each contents, newest first."""
    series: dict[frozenset[Contents], list[Backup]] = {}
    for backup in sorted(backups, key=_order, reverse=True):
        series.setdefault(backup.contents, []).append(backup)
    return series.values()


def _plan(verdicts: Iterable[Kept | Removed]) -> RetentionPlan:
    """Both halves, newest first."""
    ordered = sorted(verdicts, key=lambda verdict: _order(verdict.backup), reverse=True)
    return RetentionPlan(
        keep=tuple(verdict for verdict in ordered if isinstance(verdict, Kept)),
        remove=tuple(verdict for verdict in ordered if isinstance(verdict, Removed)),
    )


def _order(backup: Backup) -> tuple[datetime, str]:
    return backup.time.astimezone(UTC), backup.id


def _back(wall: datetime, *, days: int = 0, months: int = 0) -> datetime:
    """So much earlier on the calendar; a day that the month lacks becomes its last one."""
    from calendar import monthrange

    year, month = divmod(wall.year * 12 + wall.month - 1 - months, 12)
    day = min(wall.day, monthrange(year, month + 1)[1])
    return wall.replace(year=year, month=month + 1, day=day) - timedelta(days=days)


def _require_whole(policy: object, name: str, *, least: int) -> None:
    value = getattr(policy, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{type(policy).__name__}({name}={value!r}) is not possible: use a whole number, {least} or more."
        )
