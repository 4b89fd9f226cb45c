"""`Schedule`: when → which job, as one value that every scheduler can be given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from backupkit.errors import ConfigurationError
from backupkit.model import Contents
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling.cron import check_cron, time_after, time_until
from backupkit.scheduling.jobs import Job, Verb
from backupkit.zones import zone_named

_MOST_JITTER = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job and when it begins, in the five fields of cron: minute, hour, day of the month, month, day of the week.

    Scheduled("0 */6 * * *", "run", only="databases")
    """

    when: str
    verb: Verb
    only: Contents | None = None
    to: str | None = None
    notify: bool = True

    def __post_init__(self) -> None:
        check_cron(self.when)
        _ = self.job  # which checks it

    @property
    def job(self) -> Job:
        return Job(self.verb, only=self.only, to=self.to, notify=self.notify)


USUAL: tuple[Scheduled, ...] = (
    Scheduled("0 3 * * *", "run"),
    Scheduled("0 */6 * * *", "run", only="databases"),
    Scheduled("0 4 * * *", "clean"),
    Scheduled("0 9 * * *", "monitor"),
    Scheduled("0 8 * * MON", "summary"),
)
"""A full run at 03:00, the databases every six hours, cleaning at 04:00, health at 09:00; on Mondays a summary."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The jobs of one pipeline on the wall clock of `time_zone`, each begun up to `jitter` later.

    What falls into the hour that a clock skips in spring begins right after it, and what falls into the one that it
    repeats in autumn begins once, as with Debian's cron. The delay by `jitter` is always the same for the same
    pipeline and job, and spreads the pipelines of a fleet.
    """

    jobs: Sequence[Scheduled] = USUAL
    time_zone: str = "UTC"
    jitter: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", tuple(self.jobs))
        zone_named(self.time_zone)
        if not timedelta(0) <= self.jitter <= _MOST_JITTER:
            raise ConfigurationError(
                f"Schedule(jitter={self.jitter!r}) is not possible: use between none and 12 hours."
            )
        for place, one in enumerate(self.jobs):
            if one in self.jobs[:place]:
                raise ConfigurationError(f"The schedule has {one.job} at {one.when!r} twice: name it once.")

    def due_after(self, name: str, scheduled: Scheduled, time: datetime) -> datetime:
        """When this job of the pipeline of this name is due next after this time, in the schedule's zone."""
        delay, zone = self.delay(name, scheduled), zone_named(self.time_zone)
        return _later(time_after(scheduled.when, _later(time, -delay, zone)), delay, zone)

    def due_until(self, name: str, scheduled: Scheduled, time: datetime) -> datetime:
        """When it was due last, which may be this time."""
        delay, zone = self.delay(name, scheduled), zone_named(self.time_zone)
        return _later(time_until(scheduled.when, _later(time, -delay, zone)), delay, zone)

    def delay(self, name: str, scheduled: Scheduled) -> timedelta:
        """By how much this job of the pipeline of this name begins later: whole seconds, always the same."""
        digest = hashlib.sha256(f"{name}\n{scheduled.when}\n{scheduled.job}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / (1 << 64)
        return timedelta(seconds=int(self.jitter.total_seconds() * share))


def _later(time: datetime, delay: timedelta, zone: tzinfo) -> datetime:
    # By way of UTC, as Python adds to what the clock shows.
    return (time.astimezone(UTC) + delay).astimezone(zone)


def schedule_of(
    pipeline: BackupPipeline, schedule: Schedule | Mapping[str, Schedule] | None = None
) -> Schedule:
    """The schedule of this pipeline; ConfigurationError if there are some by name, but none for it.

    Where there is none at all, it is the usual one. Of the usual jobs, in whatever zone, there are those that this
    pipeline has a use for.
    """
    name = str(pipeline.name)
    if isinstance(schedule, Mapping):
        if name not in schedule:
            raise ConfigurationError(
                f"There is no schedule for the pipeline {name}: name it, or give one Schedule for all pipelines."
            )
        schedule = schedule[name]
    elif schedule is None:
        schedule = Schedule()
    if not isinstance(schedule, Schedule):
        raise ConfigurationError(
            f"The schedule of the pipeline {name} is of type {type(schedule).__name__}: use a Schedule."
        )
    if schedule.jobs != USUAL:
        return schedule
    hears = any("summary" in notifier.on for notifier in pipeline.notifiers)
    fitting = [
        one for one in USUAL if one.only in (None, *pipeline.contents) and (one.verb != "summary" or hears)
    ]
    return replace(schedule, jobs=fitting)


def check_names(pipelines: Sequence[BackupPipeline]) -> None:
    """ConfigurationError for two of one name, whose jobs would be taken for each other's."""
    if len({str(one.name) for one in pipelines}) < len(pipelines):
        raise ConfigurationError("Two of the pipelines have the same name: give each a name of its own.")
