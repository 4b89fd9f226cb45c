"""`Fleet`: what all workers of an application are told of its backups, as one value that its tasks hold."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import SCRATCH, Place
from backupkit.integrations.celery.asked import Asked, asked_beside
from backupkit.integrations.celery.broker import fleet_lock
from backupkit.integrations.celery.deliveries import Deliveries, deliveries_beside
from backupkit.integrations.pipelines import Pipelines
from backupkit.locking.database import DatabaseLock
from backupkit.locking.limits import Limits
from backupkit.locking.machine import MachineLock
from backupkit.locking.redis import RedisLock

if TYPE_CHECKING:
    from celery import Celery

_GRACE = 300  # seconds for an operation that was cancelled, and for telling people about it
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What `register` was given. ConfigurationError for what is not possible."""

    pipelines: Pipelines
    queue: str
    given_lock: RedisLock | DatabaseLock | None
    given_limits: Mapping[str, int]
    time_limit: timedelta
    memory_limit: int
    try_again: timedelta
    give_up_after: timedelta
    places: Mapping[str, Place]
    scratch: str | os.PathLike[str] | None

    def __post_init__(self) -> None:
        if not isinstance(self.queue, str) or not self.queue:
            raise ConfigurationError(
                f"queue={self.queue!r} is no name of a queue: leave it out, or give a text."
            )
        if self.given_lock is not None and not isinstance(self.given_lock, RedisLock | DatabaseLock):
            raise ConfigurationError(
                f"lock={self.given_lock!r} is none that a whole fleet reaches: give a RedisLock or a DatabaseLock."
            )
        for name in ("time_limit", "try_again"):
            value = getattr(self, name)
            if not isinstance(value, timedelta) or not _SHORTEST <= value <= _LONGEST:
                raise ConfigurationError(
                    f"{name}={value!r} is not possible: use a second or more, a week at most."
                )
        if not isinstance(self.give_up_after, timedelta) or self.give_up_after < timedelta(0):
            raise ConfigurationError(
                f"give_up_after={self.give_up_after!r} is not possible: use a timedelta."
            )
        if self.memory_limit < 1024:
            raise ConfigurationError('memory_limit= is less than a kilobyte: write a size such as "512MB".')
        if SCRATCH in self.places:
            raise ConfigurationError(
                f"places= cannot have one called {SCRATCH!r}: name it otherwise, or give scratch=."
            )
        Limits(self.given_limits, lock=MachineLock())  # which checks them; the lock is not known yet

    @property
    def soft_limit(self) -> int:
        return int(self.time_limit.total_seconds())

    @property
    def hard_limit(self) -> int:
        return self.soft_limit + min(_GRACE, max(1, self.soft_limit))

    def pause(self) -> float:
        """Seconds until a run that was not next is tried again; never the same, so that a crowd spreads."""
        return self.try_again.total_seconds() * random.uniform(1, 2)  # noqa: S311 – nobody has to guess it

    @property
    def longest(self) -> int:
        """Seconds for which a message may lie with a worker: until it is tried again, and while it runs."""
        return self.hard_limit + ceil(2 * self.try_again.total_seconds())

    def lock(self, app: Celery) -> RedisLock | DatabaseLock:
        return fleet_lock(app, self.given_lock)

    def limits(self, app: Celery) -> Limits | None:
        return Limits(self.given_limits, lock=self.lock(app)) if self.given_limits else None

    def deliveries(self, app: Celery) -> Deliveries:
        return deliveries_beside(self.lock(app))

    def asked(self, app: Celery) -> Asked:
        return asked_beside(self.lock(app), self.queue)
