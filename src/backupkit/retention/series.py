"""What every policy works with: one series of backups for each contents, and a plan made of verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Contents, Kept, Pin, Removed, RetentionPlan


def by_contents(backups: Iterable[Backup]) -> Iterable[list[Backup]]:
    """One list for each contents, newest first."""
    series: dict[frozenset[Contents], list[Backup]] = {}
    for backup in sorted(backups, key=order, reverse=True):
        series.setdefault(backup.contents, []).append(backup)
    return series.values()


def order(backup: Backup) -> tuple[datetime, str]:
    return backup.time.astimezone(UTC), backup.id


def protected(series: Sequence[Backup], now: datetime, minimum: int = 1) -> dict[Backup, str]:
    """The backups of a series, newest first, that nothing may remove, and why.

    They are its newest `minimum` good ones (others, where there are not as many) and those that are pinned. A
    backup dated in the future, which a wrong clock made, counts, but stands in for none up to now.
    """
    found: dict[Backup, str] = {}
    for some in (series, [backup for backup in series if backup.time <= now]):
        best = sorted(some, key=lambda backup: backup.good, reverse=True)[:minimum]  # stable: newest first
        for backup in best:
            found[backup] = (
                newest_of(backup)
                if len(best) == 1
                else f"one of the {len(best)} newest backups that always stay"
            )
    for backup in series:
        if backup.pin is not None and backup.pin.holds(now):
            found[backup] = pinned(backup.pin)
    return found


def sparing(plan: RetentionPlan, staying: Mapping[Backup, str]) -> RetentionPlan:
    """The plan, but keeping those backups, for the reasons given."""
    if not any(removed.backup in staying for removed in plan.remove):
        return plan
    return plan_of(
        Kept(verdict.backup, (staying[verdict.backup],))
        if isinstance(verdict, Removed) and verdict.backup in staying
        else verdict
        for verdict in verdicts_of(plan)
    )


def pinned(pin: Pin) -> str:
    until = "" if pin.until is None else f" until {pin.until.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    return f"pinned{until}: {pin.reason}"


def newest_of(backup: Backup) -> str:
    contents = " and ".join(sorted(backup.contents, reverse=True)) or "unknown contents"
    return f"newest {'good ' if backup.good else ''}backup of {contents}"


def verdicts_of(plan: RetentionPlan) -> list[Kept | Removed]:
    return [*plan.keep, *plan.remove]


def plan_of(verdicts: Iterable[Kept | Removed]) -> RetentionPlan:
    """Both halves, newest first."""
    ordered = sorted(verdicts, key=lambda verdict: order(verdict.backup), reverse=True)
    return RetentionPlan(
        keep=tuple(verdict for verdict in ordered if isinstance(verdict, Kept)),
        remove=tuple(verdict for verdict in ordered if isinstance(verdict, Removed)),
    )


def require_whole(policy: object, name: str, *, least: int) -> None:
    value = getattr(policy, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{type(policy).__name__}({name}={value!r}) is not possible: use a whole number, {least} or more."
        )
