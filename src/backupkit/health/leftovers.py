"""What killed runs left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from backupkit.errors import ConfigurationError
from backupkit.health.saying import at, problem, span
from backupkit.model import Problem, RepositoryState
from backupkit.sizes import format_size


@dataclass(frozen=True, slots=True)
class Leftovers:
    """A warning if there are unfinished objects of killed runs that are older than `older_than`.

    Younger ones may belong to a run that is under way. They hold nothing that could be restored, and cost room.
    """

    older_than: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        if not isinstance(self.older_than, timedelta) or self.older_than < timedelta(0):
            raise ConfigurationError(
                f"Leftovers(older_than={self.older_than!r}) is not possible: "
                "use a timedelta, such as timedelta(hours=24)."
            )

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        old = [one for one in state.leftovers if state.now - one.modified > self.older_than]
        if not old:
            return
        size = format_size(sum(leftover.size for leftover in old))
        oldest = min(old, key=lambda leftover: (leftover.modified, leftover.name))
        those = "1 unfinished object, left by a killed run, is"
        if len(old) > 1:
            those = f"{len(old)} unfinished objects, left by killed runs, are"
        last = f"{oldest.name} of {at(oldest.modified)}"
        yield problem(
            self,
            state,
            f"{those} older than {span(self.older_than)} and {'occupies' if len(old) == 1 else 'occupy'} {size}: "
            f"{last if len(old) == 1 else f'the oldest is {last}'}. Clean, which deletes them, and look "
            "for what kills the runs.",
            "warning",
        )
