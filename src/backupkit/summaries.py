"""How the backups at a destination stand, in a few numbers: what notifications and the weekly summary say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from backupkit.model import CLOCK_TOLERANCE, Backup, Contents, DestinationSummary, Problem, SeriesSummary

_WEEK = timedelta(days=7)


def summarised(
    location: str, backups: Iterable[Backup], *, now: datetime, problems: Sequence[Problem] = ()
) -> DestinationSummary:
    """The backups of one destination in numbers, full ones first; healthy unless a problem is an error."""
    series: dict[frozenset[Contents], list[Backup]] = {}
    for backup in sorted(backups, key=lambda one: (one.time, one.id), reverse=True):
        series.setdefault(backup.contents, []).append(backup)
    ordered = sorted(series.items(), key=lambda one: (-len(one[0]), sorted(one[0])))
    return DestinationSummary(
        location=location,
        healthy=all(problem.severity != "error" for problem in problems),
        series=tuple(_series(contents, members, now) for contents, members in ordered),
        problems=tuple(problems),
    )


def _series(contents: frozenset[Contents], members: Sequence[Backup], now: datetime) -> SeriesSummary:
    # One dated in the future, by a clock that was wrong, would be the newest for as long.
    good = [backup for backup in members if backup.good and backup.time - now <= CLOCK_TOLERANCE]
    newest = next(iter(good), None)
    before = next((backup for backup in good if backup.time <= now - _WEEK), None)
    return SeriesSummary(
        contents=contents,
        count=len(members),
        stored=sum(backup.stored for backup in members),
        newest=newest,
        oldest=members[-1],
        growth=None if newest is None or before is None else newest.extent - before.extent,
    )
