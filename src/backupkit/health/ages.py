"""How old the newest backup may be, and whether the times of backups can be true at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from backupkit.health.saying import (
    at,
    credible,
    is_credible,
    lesser,
    problem,
    require_contents,
    require_length,
    span,
    wanted,
    which,
)
from backupkit.model import Contents, Problem, RepositoryState, named


@dataclass(frozen=True, slots=True)
class MaximumAge:
    """A good backup must be newer than so many days and hours.

    It must hold all of the pipeline's contents, or those named: then a databases-only backup counts for
    "databases" and so does a full one. One dated more than ten minutes ahead of now never counts, lest a clock
    that was wrong once hide for months that no run happens.
    """

    days: float = 0
    hours: float = 0
    contents: Contents | None = None

    def __post_init__(self) -> None:
        require_contents(self, self.contents)
        require_length(self, days=self.days, hours=self.hours)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        limit = timedelta(days=self.days, hours=self.hours)
        contents = wanted(state, self.contents)
        what = named(contents)
        holding = credible((one for one in state.backups if contents <= one.contents), state.now)
        newest = next((backup for backup in holding if backup.good), None)
        if newest is None:
            others = f", only {lesser(len(holding))}" if holding else ""
            yield problem(
                self,
                state,
                f"There is no good backup of {what}{others}. Check that runs are started and succeed.",
            )
        elif state.now - newest.time >= limit:
            since = holding.index(newest)
            others = f"; since then {lesser(since)}" if since else ""
            yield problem(
                self,
                state,
                f"The newest good backup of {what} is {span(state.now - newest.time)} old, older than the "
                f"{span(limit)} allowed: {which(newest)}{others}. "
                "Check that runs are started and succeed.",
            )


@dataclass(frozen=True, slots=True)
class FutureDated:
    """A warning if backups are dated more than ten minutes ahead of now, whatever they hold.

    Such a backup is taken for the "latest" by whoever restores, until its time has come.
    """

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        future = [backup for backup in state.backups if not is_credible(backup.time, state.now)]
        if future:
            are = "1 backup is" if len(future) == 1 else f"{len(future)} backups are"
            latest = max(future, key=lambda backup: (backup.time, backup.id))
            yield problem(
                self,
                state,
                f"{are} dated in the future, the last {which(latest)}, while it is now {at(state.now)}. "
                "Correct the clock of the machine that made it, and name a backup when you restore: "
                "latest means this one.",
                "warning",
            )
