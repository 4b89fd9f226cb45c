"""When the jobs of a pipeline are due next, and which of them are overdue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from backupkit.integrations.asgi.standing.past import Past, due_last
from backupkit.model import CLOCK_TOLERANCE, Backup, Contents
from backupkit.scheduling import Job, Schedule, Scheduled

_BELIEVED = timedelta(
    days=1
)  # what was begun so long ago, and has left neither backup nor report, was not done


@dataclass(frozen=True, slots=True)
class Due:
    """A job of a schedule, when it is due next, and, if it is overdue, since when."""

    scheduled: Scheduled
    next: datetime
    since: datetime | None = None

    @property
    def job(self) -> Job:
        return self.scheduled.job


def dues(
    name: str,
    schedule: Schedule | None,
    *,
    contents: frozenset[Contents],
    backups: Sequence[Backup] | None,
    past: Past | None,
    now: datetime,
) -> list[Due]:
    """Each job of the pipeline of this name, those that come first at the front.

    A job is overdue if it was due some while ago, and neither a report nor a backup since then says that it was
    done, nor, for a day, the memory that it was begun. Where `backups` or `past` are None, they are not known, and
    nothing is overdue; nor is what was due before there was anything of the pipeline.
    """
    if schedule is None:
        return []
    found, last = [], {} if past is None else due_last(name, schedule, past.time)
    for one in schedule.jobs:
        since = last.get(one.job)
        late = since and past and backups is not None and _is_late(one.job, since, contents, backups, past)
        following = _next(schedule, name, one, now.replace(second=0, microsecond=0))
        found.append(Due(one, following, since if late else None))
    return sorted(found, key=lambda due: due.next)


def _is_late(
    job: Job,
    due: datetime,
    contents: frozenset[Contents],
    backups: Sequence[Backup],
    past: Past,
) -> bool:
    reports = (*past.runs, *past.drills, *past.restores)
    traces = (*(one.time for one in backups), *(one.started for one in reports))
    if job.verb == "summary" or min(traces, default=past.time) > due:
        return False
    if past.time - due < _BELIEVED and past.begun.get(job, due - _BELIEVED) >= due:
        return False
    if job.verb != "run":
        return past.kept and past.done.get(job, due - _BELIEVED) < due
    since, wanted = due - CLOCK_TOLERANCE, frozenset({job.only}) if job.only else contents
    reported = (one.backup for run in past.runs for one in run.destinations if one.backup is not None)
    made = any(
        one.time >= since and one.contents >= wanted and job.to in (None, one.location)
        for one in (*backups, *reported)
    )
    # What failed is told as such.
    failed = any(
        one.started >= since and one.outcome == "failed" and (not one.contents or one.contents >= wanted)
        for one in past.runs
    )
    return not made and not failed


@lru_cache(maxsize=4096)
def _next(schedule: Schedule, name: str, one: Scheduled, minute: datetime) -> datetime:
    return schedule.due_after(name, one, minute)
