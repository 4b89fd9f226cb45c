"""`perform`: the one way in which every scheduler and queue does a job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from backupkit._operation import utc_now
from backupkit.model import Report, Summary
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling.jobs import Job
from backupkit.scheduling.missed import begun


def perform(
    pipeline: BackupPipeline,
    job: Job,
    *,
    wait: timedelta = timedelta(0),
    cancel: threading.Event | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Report | Summary:
    """Do the job, and return what the pipeline's own method returns, or raise what that raises.

    That it began is remembered before, so that it is not missed. If that is not possible, the report has a warning.

    `wait` is how long a run waits for another one of the same pipeline to end. Setting `cancel` ends the job at the
    next chunk; a summary is short and is not cancelled.
    """
    forgotten = begun(pipeline, job, clock())
    done = _done(pipeline, job, wait=wait, cancel=cancel)
    if forgotten is not None and isinstance(done, Report):
        return replace(done, problems=(*done.problems, forgotten))
    return done


def _done(
    pipeline: BackupPipeline, job: Job, *, wait: timedelta, cancel: threading.Event | None
) -> Report | Summary:
    match job.verb:
        case "run":
            return pipeline.run(only=job.only, to=job.to, notify=job.notify, wait=wait, cancel=cancel)
        case "clean":
            return pipeline.clean(at=job.to, notify=job.notify, cancel=cancel)
        case "monitor":
            return pipeline.monitor(at=job.to, notify=job.notify, cancel=cancel)
        case "verify":
            return pipeline.verify(at=job.to, only=job.only, notify=job.notify, cancel=cancel)
        case "drill":
            return pipeline.drill(at=job.to, only=job.only, notify=job.notify, cancel=cancel)
        case "summary":
            return pipeline.send_summary()
