"""`Past`: what the history, and the memory of what was begun, say of one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from backupkit.history import DatabaseHistory, Recorded
from backupkit.model import CLOCK_TOLERANCE, Operation, Report
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job, Schedule
from backupkit.scheduling.missed import was_begun

GRACE = timedelta(hours=1)
"""A job is overdue when it was due so long ago and nothing says that it was done."""

_RUNS, _OTHERS, _RECENT = 8, 3, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The newest reports of some operations, the newest first; none where there is no history to be read.

    It was asked at `time`. `kept` says that there is a history; `newest` has the last report of each operation, and
    `recent` the last ones of any, without details. `done` has jobs other than runs that were reported since they
    were due last, and when that was; `begun` those of which only that is remembered.
    """

    time: datetime
    kept: bool = False
    runs: tuple[Report, ...] = ()
    drills: tuple[Report, ...] = ()
    restores: tuple[Report, ...] = ()
    recent: tuple[Recorded, ...] = ()
    newest: Mapping[Operation, Recorded] = field(default_factory=dict)
    done: Mapping[Job, datetime] = field(default_factory=dict)
    begun: Mapping[Job, datetime] = field(default_factory=dict)


@lru_cache(maxsize=1024)
def due_last(name: str, schedule: Schedule | None, time: datetime) -> Mapping[Job, datetime]:
    """When each job of the pipeline of this name was due last, so long before this time that it should be done."""
    due: dict[Job, datetime] = {}
    if schedule is None:
        return due
    for one in schedule.jobs:
        last = schedule.due_until(name, one, time - GRACE).astimezone(UTC)
        due[one.job] = max(last, due.get(one.job, last))
    return due


def past_of(pipeline: BackupPipeline, schedule: Schedule | None, clock: Callable[[], datetime]) -> Past:
    """Ask the history of the pipeline, and its memory about the jobs of its schedule."""
    name, now = str(pipeline.name), clock()
    time = now.replace(second=0, microsecond=0)  # cron's moments are whole minutes
    history = pipeline.history if isinstance(pipeline.history, DatabaseHistory) else None
    newest = {} if history is None else {one.operation: one for one in history.newest(name)}
    done: dict[Job, datetime] = {}
    begun: dict[Job, datetime] = {}
    for job, due in due_last(name, schedule, time).items():
        verb = job.verb
        # Which run it was, its backups say; of a summary there is no report.
        last = None if verb == "run" or verb == "summary" else newest.get(verb)
        if last is not None and last.started >= due - CLOCK_TOLERANCE:
            done[job] = due
        elif was_begun(pipeline, job, due, now):
            begun[job] = due

    def reports(operation: Operation, limit: int) -> tuple[Report, ...]:
        return () if history is None else tuple(history.reports(name, operation, limit=limit))

    return Past(
        time=time,
        kept=history is not None,
        runs=reports("run", _RUNS),
        drills=reports("drill", _OTHERS),
        restores=reports("restore", _OTHERS),
        recent=() if history is None else tuple(history.recorded(name, limit=_RECENT)),
        newest=newest,
        done=done,
        begun=begun,
    )
