"""`Schedule`: when → which job, as one value that every scheduler can be given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from backupkit.errors import ConfigurationError
from backupkit.model import Contents
from backupkit.scheduling.cron import check_cron
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

    def delay(self, name: str, scheduled: Scheduled) -> timedelta:
        """By how much this job of the pipeline of this name begins later: whole seconds, always the same."""
        digest = hashlib.sha256(f"{name}\n{scheduled.when}\n{scheduled.job}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / (1 << 64)
        return timedelta(seconds=int(self.jitter.total_seconds() * share))
