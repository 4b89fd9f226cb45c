"""`Scheduler`: the jobs of pipelines on threads of this process, with nothing else installed or running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TypeAlias

from backupkit._operation import utc_now
from backupkit.errors import ConfigurationError, NotificationError
from backupkit.model import Problem, Report, Summary
from backupkit.observers.log import log_job
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling.jobs import Job
from backupkit.scheduling.missed import forgotten, missed, was_begun
from backupkit.scheduling.performing import perform
from backupkit.scheduling.schedule import Schedule, check_names, schedule_of

Ended: TypeAlias = Callable[[BackupPipeline, Job, Report | Summary | Exception], object]

_LOOK = 60.0  # seconds: what a clock that is set, or a machine that slept, is noticed after
_HOUR = timedelta(hours=1)
_STEP = 0.5


class Scheduler:
    """Does the jobs of pipelines when they are due: a context manager, or `start` and `stop`.

    `schedule` is that of all of them, or by their names, or else the usual one. The jobs of one pipeline are done
    one after another, those of `at_once` pipelines at once. Beginning, it catches up once what was missed. What is
    due again while it is under way is not done again, and neither is what another process with the same schedule
    has begun. Whatever a job raises, the others go on.

    `ended` hears how each job ended, on its thread; without it, the log "backupkit" does. Stopping cancels what is
    under way and waits until it has ended; nothing unfinished is left behind.
    """

    def __init__(
        self,
        pipelines: BackupPipeline | Sequence[BackupPipeline],
        schedule: Schedule | Mapping[str, Schedule] | None = None,
        *,
        at_once: int = 2,
        ended: Ended | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        pipelines = [pipelines] if isinstance(pipelines, BackupPipeline) else list(pipelines)
        if at_once < 1:
            raise ConfigurationError(f"at_once={at_once!r} pipelines can do nothing: use 1 or more.")
        check_names(pipelines)
        self._served = [(pipeline, schedule_of(pipeline, schedule)) for pipeline in pipelines]
        self._places = threading.Semaphore(at_once)
        self._ended = ended or _logged
        self._clock = clock
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, on threads of its own."""
        if self._threads:
            raise ConfigurationError("This Scheduler has been started already: stop it first.")
        self._stopped = threading.Event()
        self._threads = [
            # Daemons, so that a program that forgets to stop it can end.
            threading.Thread(
                target=self._serve,
                args=(pipeline, schedule, self._stopped),
                name=f"backupkit-{pipeline.name}",
                daemon=True,
            )
            for pipeline, schedule in self._served
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def __enter__(self) -> Scheduler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self, pipeline: BackupPipeline, schedule: Schedule, stopped: threading.Event) -> None:
        name, jobs = str(pipeline.name), schedule.jobs

        def next_of(place: int, time: datetime) -> datetime:
            return schedule.due_after(name, jobs[place], time).astimezone(UTC)

        begin = self._clock()
        due = [next_of(place, begin) for place in range(len(jobs))]
        unknown: Sequence[Problem] = ()
        try:
            late = missed(schedule, pipeline, begin)
        except NotificationError as error:
            late, unknown = (), [forgotten(error)]
        for job in late:
            self._do(pipeline, job, stopped)
        while due and not stopped.is_set():
            now = self._clock()
            # A clock that has been set back may have put it far away; by less than an hour does not matter.
            due = [min(time, next_of(place, now + _HOUR)) for place, time in enumerate(due)]
            first = min(range(len(due)), key=due.__getitem__)
            if due[first] > now:
                stopped.wait(min((due[first] - now).total_seconds(), _LOOK))
                continue
            self._do(pipeline, jobs[first].job, stopped, since=due[first], unknown=unknown)
            unknown = ()  # the first report that there is has said it
            due[first] = next_of(first, max(self._clock(), now))

    def _do(
        self,
        pipeline: BackupPipeline,
        job: Job,
        stopped: threading.Event,
        *,
        since: datetime | None = None,
        unknown: Sequence[Problem] = (),
    ) -> None:
        with self._place(stopped):
            # Another process may also begin it while all places are taken.
            if stopped.is_set() or (since and was_begun(pipeline, job, since, self._clock())):
                return
            done: Report | Summary | Exception
            try:
                done = perform(pipeline, job, cancel=stopped, clock=self._clock)
            except Exception as error:
                done = error
        if isinstance(done, Report):
            done = replace(done, problems=tuple(dict.fromkeys([*done.problems, *unknown])))
        with suppress(Exception):  # who listens cannot end what is scheduled
            self._ended(pipeline, job, done)

    @contextmanager
    def _place(self, stopped: threading.Event) -> Iterator[None]:
        """Wait until one of the pipelines that are at work is done, or all are stopped."""
        taken = self._places.acquire(timeout=_STEP)
        while not taken and not stopped.is_set():
            taken = self._places.acquire(timeout=_STEP)
        try:
            yield
        finally:
            if taken:
                self._places.release()


def _logged(pipeline: BackupPipeline, job: Job, done: Report | Summary | Exception) -> None:
    log_job(str(pipeline.name), str(job), done)
