"""The jobs of pipelines in a scheduler of APScheduler: `backupkit[apscheduler]`.

from backupkit.integrations.apscheduler import add_jobs

scheduler = BackgroundScheduler()
add_jobs(scheduler, pipeline, Schedule(time_zone="Europe/Berlin"))
scheduler.start()
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from backupkit._operation import raise_all, utc_now
from backupkit.errors import ConfigurationError
from backupkit.model import Report, Summary
from backupkit.observers.log import log_job
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job, Schedule, Scheduled, missed, perform
from backupkit.scheduling.missed import was_begun
from backupkit.scheduling.schedule import check_names, schedule_of

try:
    from apscheduler.schedulers.base import BaseScheduler
    from apscheduler.triggers.base import BaseTrigger
    from apscheduler.triggers.date import DateTrigger
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "backupkit.integrations.apscheduler needs APScheduler 3, which is missing: "
        "pip install 'backupkit[apscheduler]'",
        name=error.name,
    ) from error


def add_jobs(
    scheduler: BaseScheduler,
    pipelines: BackupPipeline | Sequence[BackupPipeline],
    schedule: Schedule | Mapping[str, Schedule] | None = None,
    *,
    jobstore: str = "default",
    executor: str = "default",
    cancel: threading.Event | None = None,
) -> None:
    """Add the jobs of pipelines to a scheduler of APScheduler, instead of those of an earlier call.

    `schedule` is that of all of them, or by their names, or else the usual one. The jobs of one pipeline wait for
    each other; what is due again while it is under way is not done again, and neither is what another process has
    begun. What was missed is caught up once, when the scheduler starts. Setting `cancel`, before the scheduler is
    shut down, ends a job that is under way at the next chunk.

    The executor must be one of threads. In a `jobstore` that lasts, jobs are a name and plain values: each process
    that starts a scheduler on it calls this first.
    """
    pipelines = [pipelines] if isinstance(pipelines, BackupPipeline) else list(pipelines)
    check_names(pipelines)
    added = {str(one.name): _Added(one, schedule_of(one, schedule), cancel) for one in pipelines}
    _added.update(added)
    options = {
        "jobstore": jobstore,
        "executor": executor,
        "replace_existing": True,
        "coalesce": True,
        "max_instances": 1,
        "misfire_grace_time": None,
    }
    for name, one in added.items():
        catching_up = f"backupkit {name} catch-up"
        scheduler.add_job(
            catch_up, DateTrigger(utc_now()), [name], id=catching_up, name=catching_up, **options
        )
        for scheduled in one.schedule.jobs:
            trigger = DueTrigger(name, scheduled, one.schedule)
            arguments = [name, scheduled.when, asdict(scheduled.job)]
            id = f"backupkit {name} {scheduled.when} {scheduled.job}"
            scheduler.add_job(do, trigger, arguments, id=id, name=id, **options)


@dataclass(frozen=True, slots=True)
class DueTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """When a job of the pipeline of this name is due.

    APScheduler's own triggers count days of the week from Monday, and want a day to fit both day fields.
    """

    name: str
    scheduled: Scheduled
    schedule: Schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first after now: what was due while nobody was there counts once."""
        return self.schedule.due_after(self.name, self.scheduled, max(previous_fire_time or now, now))

    def __str__(self) -> str:
        return f"{self.scheduled.when} {self.schedule.time_zone}"


def do(name: str, when: str, job: Mapping[str, Any]) -> Report | Summary | None:
    """Do what is due; None if another process has begun it, or the schedule has it no more."""
    added, began = _added_as(name), utc_now()
    scheduled = Scheduled(when, **job)
    if scheduled not in added.schedule.jobs:  # the job store has it from an earlier program
        return None
    with added.turn:
        # Having its turn may take long; it counts what was due before.
        due = added.schedule.due_until(name, scheduled, began)
        if was_begun(added.pipeline, scheduled.job, due, utc_now()):
            return None
        return _done(added, scheduled.job)


def catch_up(name: str) -> None:
    """Do once what was missed while no scheduler was there."""
    added = _added_as(name)
    errors: list[Exception] = []
    with added.turn:
        for job in missed(added.schedule, added.pipeline, utc_now()):
            try:
                _done(added, job)
            except Exception as error:
                errors.append(error)
    raise_all(f"Not all that was missed of {name} could be caught up", errors)


@dataclass(frozen=True, slots=True)
class _Added:
    """What a job store cannot hold."""

    pipeline: BackupPipeline
    schedule: Schedule
    cancel: threading.Event | None
    turn: threading.Lock = field(default_factory=threading.Lock)


_added: dict[str, _Added] = {}


def _added_as(name: str) -> _Added:
    if name not in _added:
        raise ConfigurationError(
            f"The pipeline {name} is not known in this process: call add_jobs before the scheduler starts, and let "
            f"its executor be one of threads. If there is none of this name any more, remove its jobs from the job "
            f"store: their ids begin with 'backupkit {name} '."
        )
    return _added[name]


def _done(added: _Added, job: Job) -> Report | Summary:
    done = perform(added.pipeline, job, cancel=added.cancel)
    log_job(
        str(added.pipeline.name), str(job), done
    )  # APScheduler logs what is raised, and takes any result for well
    return done
