"""Schedules for `celery beat`: the entries of each pipeline, and the moments at which they are due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeAlias

from celery.schedules import BaseSchedule, schedstate

from backupkit.errors import ConfigurationError
from backupkit.integrations.pipelines import Pipelines
from backupkit.scheduling import Schedule, Scheduled, Verb
from backupkit.scheduling.cron import time_after
from backupkit.scheduling.schedule import schedule_of
from backupkit.zones import zone_named

Schedules: TypeAlias = Schedule | Mapping[str, Schedule]

TASKS: Mapping[Verb, str] = {
    "run": "backupkit.run",
    "clean": "backupkit.clean",
    "monitor": "backupkit.monitor",
    "verify": "backupkit.verify",
    "drill": "backupkit.drill",
    "summary": "backupkit.report",
}
_LOOKED_AHEAD = 8  # moments, of which the two that are closest say when a message is stale


class Moments(BaseSchedule):  # type: ignore[misc]  # celery has no types
    """The moments of a cron expression on the wall clock of a zone, each later by the same delay.

    Celery's own crontab has one zone for the whole application, and would hold a delayed message in a worker. A
    value: `beat` keeps it in a file and compares it with what it is now.
    """

    def __init__(self, when: str, time_zone: str, delay: timedelta) -> None:
        super().__init__()
        self.when, self.time_zone, self.delay = when, time_zone, delay

    def after(self, time: datetime) -> datetime:
        """The first moment after this one."""
        # In UTC, as Python adds to what the clock shows, and in two nights of a year that is another time.
        without_delay = (time.astimezone(UTC) - self.delay).astimezone(zone_named(self.time_zone))
        return time_after(self.when, without_delay).astimezone(UTC) + self.delay

    def is_due(self, last_run_at: datetime) -> Any:
        now = datetime.now(UTC)
        due = self.after(self.maybe_make_aware(last_run_at))
        # Of all that was missed while beat was away, one is sent: the next is counted from now.
        upcoming = due if due > now else self.after(now)
        return schedstate(due <= now, (upcoming - now).total_seconds())

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return self.after(self.maybe_make_aware(last_run_at)) - datetime.now(UTC)

    def shortest_gap(self) -> timedelta:
        """Between two of the next moments."""
        times = [self.after(datetime.now(UTC))]
        for _ in range(_LOOKED_AHEAD):
            times.append(self.after(times[-1]))
        return min(later - earlier for earlier, later in pairwise(times))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.when, self.time_zone, self.delay)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moments) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def __repr__(self) -> str:
        return f"<{self.when} {self.time_zone} + {self.delay}>"


class Entries(Mapping[str, Any]):
    """The entries of all pipelines, which are found out when somebody looks: only beat does."""

    def __init__(
        self, pipelines: Pipelines, schedules: Schedules | Callable[[], Schedules], queue: str
    ) -> None:
        self._pipelines, self._schedules, self._queue = pipelines, schedules, queue
        self._known: Mapping[str, Any] | None = None

    def _all(self) -> Mapping[str, Any]:
        if self._known is None:
            given = self._schedules() if callable(self._schedules) else self._schedules
            self._known = entries(self._pipelines, given, self._queue)
        return self._known

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def entries(pipelines: Pipelines, schedules: Schedules, queue: str) -> Mapping[str, Any]:
    """An entry for each job of each pipeline that has a schedule.

    ConfigurationError for a schedule of a pipeline that there is not.
    """
    if isinstance(schedules, Schedule):
        schedules = dict.fromkeys(pipelines.all(), schedules)
    elif not isinstance(schedules, Mapping):
        raise ConfigurationError(
            f"schedule= is of type {type(schedules).__name__}: give a Schedule, or a mapping of names to schedules."
        )
    found = {}
    for name, given in schedules.items():
        pipeline = pipelines.named(name)
        schedule = schedule_of(pipeline, {str(pipeline.name): given})
        for one in schedule.jobs:
            found[f"backupkit {name}: {one.job}, {one.when}"] = _entry(name, schedule, one, queue)
    return found


def _entry(name: str, schedule: Schedule, one: Scheduled, queue: str) -> Mapping[str, Any]:
    moments = Moments(one.when, schedule.time_zone, schedule.delay(name, one))
    arguments = {"only": one.only, "to": one.to, "notify": None if one.notify else False}
    return {
        "task": TASKS[one.verb],
        "schedule": moments,
        "kwargs": {"pipeline": name, **{key: value for key, value in arguments.items() if value is not None}},
        # When the next one comes, one that nobody has begun is of no use any more.
        "options": {"queue": queue, "expires": moments.shortest_gap().total_seconds()},
    }
