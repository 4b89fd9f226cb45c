"""When a backup was last read back, or restored by a drill, and whether it was whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backupkit.health.saying import (
    at,
    credible,
    is_credible,
    problem,
    require_contents,
    require_length,
    span,
    wanted,
    which,
)
from backupkit.model import Backup, Contents, Problem, RepositoryState, named


@dataclass(frozen=True, slots=True)
class VerifiedWithin:
    """A backup must have been verified, and found whole, in the last `days`; and the newest one verified must be.

    It must hold all of the pipeline's contents, or those named. So damage is told until a newer backup was verified
    and found whole, or this one was, by a later verification.
    """

    days: float
    contents: Contents | None = None

    def __post_init__(self) -> None:
        require_length(self, days=self.days)
        require_contents(self, self.contents)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        yield from _found(
            self,
            state,
            when=lambda backup: backup.verified,
            failed=lambda backup: backup.damaged,
            failure="that was verified is damaged: {which}. Make a new one, verify that, and look at the disk.",
            lack="was verified and found whole in the last {span}{ever}. Run verify.",
        )


@dataclass(frozen=True, slots=True)
class ProvenWithin:
    """A drill must have proven a backup in the last `days`; and the newest backup that had one must have passed it.

    It must hold all of the pipeline's contents, or those named; a drill of a part proves nothing.
    """

    days: float
    contents: Contents | None = None

    def __post_init__(self) -> None:
        require_length(self, days=self.days)
        require_contents(self, self.contents)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        yield from _found(
            self,
            state,
            when=lambda backup: backup.proven,
            failed=lambda backup: backup.refuted,
            failure="that had a drill failed it: {which}. "
            "Hold one again, and read why: the backup, the scratch server or an assertion is wrong.",
            lack="was proven by a drill in the last {span}{ever}. Run drill.",
        )


def _found(
    check: VerifiedWithin | ProvenWithin,
    state: RepositoryState,
    *,
    when: Callable[[Backup], datetime | None],
    failed: Callable[[Backup], bool],
    failure: str,
    lack: str,
) -> Iterator[Problem]:
    """Yield that the newest backup of which it is known failed, and that none succeeded in time."""
    contents = wanted(state, check.contents)
    what = named(contents)
    holding = credible((one for one in state.backups if contents <= one.contents), state.now)
    newest = next((one for one in holding if when(one) or failed(one)), None)
    if newest is not None and failed(newest):
        yield problem(check, state, f"The newest backup of {what} {failure.format(which=which(newest))}")
    limit = timedelta(days=check.days)
    last = _last(holding, when, state.now)
    if last is None or state.now - last > limit:
        yield problem(check, state, f"No backup of {what} {lack.format(span=span(limit), ever=_ever(last))}")


def _last(
    backups: Sequence[Backup], when: Callable[[Backup], datetime | None], now: datetime
) -> datetime | None:
    """The last time that can be true."""
    times = [time for backup in backups if (time := when(backup)) is not None]
    return max((time for time in times if is_credible(time, now)), default=None)


def _ever(last: datetime | None) -> str:
    return ", or ever" if last is None else f"; the last time was {at(last)}"
