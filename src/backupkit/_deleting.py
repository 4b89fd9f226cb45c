"""Deleting the one backup that somebody names: what must not go, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from backupkit._operation import Running
from backupkit.errors import RepositoryError, told
from backupkit.marks import remove_marks
from backupkit.model import Backup, DestinationResult, Problem
from backupkit.protocols import Destination, Repository
from backupkit.retention import must_stay


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against deleting a copy: its pin, or that it is a newest good one, as `newest` says."""

    copy: Backup
    newest: str | None

    @property
    def gives_way(self) -> bool:
        """Whether forcing it helps."""
        return self.newest is not None


def objections(backup: Backup, listed: Sequence[Backup], *, now: datetime) -> Iterator[Objection]:
    """What speaks against deleting the copies of a backup.

    `listed` is all there is at the destinations concerned; each of them is looked at by itself, as cleaning does.
    """
    for location in dict.fromkeys(one.location for one in listed):
        there = [one for one in listed if one.location == location and one.name == backup.name]
        for copy in there:
            if copy.id != backup.id:
                continue
            if copy.pin is not None and copy.pin.holds(now):
                yield Objection(copy, None)
            elif copy.good and (reason := must_stay(copy, there, now=now)):
                yield Objection(copy, reason)


def check_may_go(backup: Backup, listed: Sequence[Backup], *, now: datetime, force: bool) -> None:
    """RepositoryError if one of its copies is pinned, or, unless by `force`, a newest good one."""
    for one in objections(backup, listed, now=now):
        copy = one.copy
        if copy.pin is not None and not one.gives_way:
            raise RepositoryError(
                f"The backup {copy.id} is pinned at {copy.location} ({copy.pin.reason}), so nothing was deleted: "
                "unpin it first."
            )
        if not force:
            raise RepositoryError(
                f"The backup {copy.id} is the {one.newest} at {copy.location}, so nothing was deleted: make "
                "another one first, or force it."
            )


def delete_at(
    running: Running, destination: Destination, repository: Repository, copy: Backup
) -> DestinationResult:
    """Delete this copy, and what is known of it. Of a snapshot, pruning frees what only it needed."""
    running.check_cancelled()
    repository.remove(copy)
    try:
        remove_marks(destination, copy.name, copy.id)
    except Exception as error:  # of a destination that breaks its contract, too: the backup itself is gone
        message = f"What was known of {copy.id} could not be deleted, which cleaning will do: {told(error)}"
        running.add(Problem(message=message, severity="warning", destination=destination.location))
    return DestinationResult(
        location=destination.location,
        outcome="succeeded",
        backup=copy,
        freed=0 if copy.shared else copy.stored,
    )
