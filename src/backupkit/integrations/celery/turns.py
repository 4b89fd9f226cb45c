"""One run of a pipeline at a time, and so many at one place: who is not next is told so before anything begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta

from backupkit.destinations.opening import chosen_of
from backupkit.errors import BackupAlreadyRunningError, BackupKitError
from backupkit.locking.limits import Limits
from backupkit.locking.machine import MachineLock
from backupkit.pipeline import BackupPipeline
from backupkit.protocols import Lease, Lock
from backupkit.scheduling import Job

_AT_ONCE = timedelta(0)


class NotNowError(Exception):
    """The run has to be put off; `reason` says why."""

    def __init__(self, reason: BackupAlreadyRunningError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def turn(
    pipeline: BackupPipeline, job: Job | None, *, lock: Lock, limits: Limits | None, last: bool
) -> Iterator[BackupPipeline]:
    """The same pipeline, whose run is the only one in the fleet while this lasts; what is no run needs no turn.

    The default lock of one machine is replaced by that of the fleet. NotNowError if it is not its turn, of which
    nobody else hears. At the `last` attempt, and where the lock cannot be asked, the pipeline that is yielded
    fails by itself, so that its notifiers and its history hear of it.
    """
    mine = copy(pipeline)
    if job is None or job.verb != "run":
        yield mine
        return
    if mine.lock == MachineLock():
        mine.lock = lock
    with ExitStack() as held:
        try:
            # Not by the pipeline itself: each attempt would be a failure that people are told of.
            lease = held.enter_context(mine.lock.hold(mine.lock_name, wait=_AT_ONCE))
            if limits is not None:
                sources = [one for one in mine.sources if job.only in (None, one.contents)]
                held.enter_context(limits.hold(chosen_of(mine.destinations, job.to), sources))
            mine.lock = _Held(lease)
        except BackupAlreadyRunningError as error:
            if not last:
                raise NotNowError(error) from None
            mine.lock = Refusing(error)
        except BackupKitError as error:
            mine.lock = Refusing(error)
        yield mine


@dataclass(frozen=True, slots=True)
class Refusing:
    """A lock that nobody gets."""

    error: BackupKitError

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        raise self.error
        yield  # which makes it a generator


@dataclass(frozen=True, slots=True)
class _Held:
    """A lock that is held already."""

    lease: Lease

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        yield self.lease
