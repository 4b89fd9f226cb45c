"""What cleaning deletes at one destination, once it is decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from backupkit._operation import Running
from backupkit.errors import DestinationError
from backupkit.marks import remove_marks
from backupkit.model import Backup, Problem, RetentionPlan, StoredObject
from backupkit.protocols import Destination, HasLeftovers, Repository


def all_leftovers(destination: Destination, prefixes: Iterable[str]) -> tuple[StoredObject, ...]:
    """Unfinished objects, those that are still being written included."""
    if not isinstance(destination, HasLeftovers):
        return ()
    return tuple(leftover for prefix in prefixes for leftover in destination.leftovers(prefix))


def remove_all(
    running: Running,
    repository: Repository,
    destination: Destination,
    plan: RetentionPlan,
    leftovers: Sequence[StoredObject],
    orphans: Iterable[tuple[str, str]],
) -> tuple[int, int]:
    """Remove what the plan says, prune, and discard the leftovers: bytes freed, and how often it was refused.

    `orphans` are the names and ids of backups that are gone, but whose marks are not.

    What cannot be deleted is a problem, told once; the rest goes on.
    """
    refused = 0

    def tried(what: str, delete: Callable[[], int]) -> int:
        nonlocal refused
        running.check_cancelled()
        try:
            return delete()
        except DestinationError as error:
            refused += 1
            message = f"{what} could not be deleted: {error}"
            running.add(Problem(message=message, destination=destination.location))
            return 0

    def remove(backup: Backup) -> int:
        repository.remove(backup)
        remove_marks(destination, backup.name, backup.id)
        return backup.stored

    def forget(name: str, id_: str) -> int:
        remove_marks(destination, name, id_)
        return 0

    def discard(leftover: StoredObject) -> int:
        if isinstance(destination, HasLeftovers):
            destination.discard(leftover)
        return leftover.size

    freed = 0
    for removed in plan.remove:
        freed += tried(f"The backup {removed.backup.id}", partial(remove, removed.backup))
    freed += tried("What no backup refers to", repository.prune)
    for name, id_ in orphans:
        tried(f"What was known of {id_}, which is gone,", partial(forget, name, id_))
    for leftover in leftovers:
        freed += tried(f"The leftover {leftover.name}", partial(discard, leftover))
    return freed, refused
