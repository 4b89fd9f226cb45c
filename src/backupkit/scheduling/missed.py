"""What was begun when, and so what was missed: remembered by the pipeline's memory from one process to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from backupkit._waiting import Deadline, Work
from backupkit.errors import NotificationError
from backupkit.model import Problem
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Memory
from backupkit.scheduling.jobs import Job, Verb
from backupkit.scheduling.schedule import Schedule

# What is missed together is done in this order: nothing is cleaned or judged before there is a new backup.
_ORDER: tuple[Verb, ...] = ("run", "clean", "verify", "drill", "monitor", "summary")
_AHEAD = timedelta(hours=1)  # by what the clock of another machine may be ahead

_T = TypeVar("_T")


def missed(schedule: Schedule, pipeline: BackupPipeline, now: datetime) -> tuple[Job, ...]:
    """The jobs that have not been begun since they were due last, each once, in the order to do them in.

    Half a backup is not missed if a full one at the same place was begun since, or is missed too. A job of which
    nothing is remembered is not missed: it counts from `now` on. NotificationError if the memory cannot be asked,
    or cannot keep that.
    """
    due: dict[Job, datetime] = {}
    for one in schedule.jobs:
        last = schedule.due_until(str(pipeline.name), one, now).astimezone(UTC)
        due[one.job] = max(last, due.get(one.job, last))
    since = _begun(pipeline, due, now)
    late = {job for job in due if since[job] < due[job]}

    def is_covered(job: Job) -> bool:
        full = {one for one in due if one.verb == "run" and one.only is None and one.to in (None, job.to)}
        return any(one in late or since[one] >= due[job] for one in full)

    return in_order(
        job for job in late if not (job.verb == "run" and job.only is not None and is_covered(job))
    )


def begun(pipeline: BackupPipeline, job: Job, now: datetime) -> Problem | None:
    """Remember that the job begins, if it has ever been asked whether it was missed.

    A warning if that is not possible, as it matters less than the job.
    """
    memory, key = pipeline.memory, _key(pipeline, job)

    def remember() -> None:
        if memory.recall(key) is not None:  # or else there is a file on machines where nobody will ever ask
            _remember(memory, [key], now)

    try:
        _asked(pipeline, remember)
    except NotificationError as error:
        return forgotten(error)
    return None


def forgotten(error: NotificationError) -> Problem:
    """What a report says of a memory that cannot be asked or does not keep what it is told."""
    return Problem(message=str(error), severity="warning", check="schedule")


def _begun(pipeline: BackupPipeline, jobs: Iterable[Job], now: datetime) -> Mapping[Job, datetime]:
    """When each was begun last, or else now, which is remembered."""
    keys = {job: _key(pipeline, job) for job in jobs}
    told = _asked(pipeline, lambda: {job: pipeline.memory.recall(key) for job, key in keys.items()})
    known = {job: time for job, text in told.items() if (time := _time(text, now)) is not None}
    new = [key for job, key in keys.items() if job not in known]
    if new:
        _asked(pipeline, lambda: _remember(pipeline.memory, new, now))
    return dict.fromkeys(keys, now) | known


def was_begun(pipeline: BackupPipeline, job: Job, since: datetime, now: datetime) -> bool:
    """Whether somebody has begun it since then, such as another process with the same schedule; no, if unknown."""
    key = _key(pipeline, job)
    try:
        time = _time(_asked(pipeline, lambda: pipeline.memory.recall(key)), now)
    except NotificationError:
        return False
    return time is not None and time >= since


def in_order(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Each of them once: runs first, full ones before halves, what judges backups last."""
    return tuple(sorted(dict.fromkeys(jobs), key=lambda job: (_ORDER.index(job.verb), job.only or "")))


def _asked(pipeline: BackupPipeline, do: Callable[[], _T]) -> _T:
    work = Work(do)
    failure = work.failure(Deadline(pipeline.delivery.limit), 1.0)
    if failure is not None:
        raise NotificationError(
            f"What was begun of {pipeline.name}, and when, is not remembered, so what is missed may not be known. "
            f"The memory {failure}"
        )
    return cast("_T", work.result)


def _remember(memory: Memory, keys: Iterable[str], now: datetime) -> None:
    for key in keys:
        memory.remember(key, now.isoformat())


def _key(pipeline: BackupPipeline, job: Job) -> str:
    # Two applications of one user may both call their pipeline "app".
    places = "\n".join(sorted(destination.location for destination in pipeline.destinations))
    where = hashlib.sha256(places.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{pipeline.name} {where} begun: {replace(job, notify=True)}"  # who is told makes no difference


def _time(text: str | None, now: datetime) -> datetime | None:
    """What was remembered; None for what is no time, or one to come, from before a clock was set right."""
    try:
        time = datetime.fromisoformat(text or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time < now + _AHEAD else None
