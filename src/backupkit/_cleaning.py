"""Cleaning one destination: what the policy plans is guarded, and deleted as far as the destination lets it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from backupkit._operation import Running
from backupkit.errors import BackupKitError, DestinationError, OperationCancelledError, told
from backupkit.marks import apply, read_marks, remove_marks
from backupkit.model import Backup, DestinationResult, Problem, RetentionPlan, StoredObject
from backupkit.protocols import Destination, HasLeftovers, Repository, RetentionPolicy
from backupkit.retention import checked, guard, minimum_of


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What a pipeline says of cleaning, and the destination that is to be cleaned.

    `places` are where killed runs may have left something; only what is older than `leftovers_after` is theirs.
    """

    running: Running
    destination: Destination
    opened: Callable[[], AbstractContextManager[Repository]]
    policy: RetentionPolicy
    places: Sequence[str]
    leftovers_after: timedelta
    now: datetime

    def clean(
        self, backups: Sequence[Backup], orphans: Iterable[tuple[str, str]], *, dry_run: bool
    ) -> DestinationResult:
        """Plan for these backups; unless it is a dry run, do it.

        `orphans` are the names and ids of backups that are gone, but whose marks are not.
        """
        backups = self._with_contents(backups)
        plan = guard(
            checked(self.policy.plan(backups, now=self.now), backups),
            now=self.now,
            minimum=minimum_of(self.policy),
        )
        before = self.now - self.leftovers_after
        leftovers = all_leftovers(self.destination, self.places)
        swept = tuple(leftover for leftover in leftovers if leftover.modified < before)
        result = DestinationResult(
            location=self.destination.location, outcome="succeeded", plan=plan, swept=swept
        )
        if dry_run:
            return result
        with self.opened() as repository:
            deleting = _Deleting(self.running, self.destination, self.now)
            deleting.all(repository, plan, swept, orphans)
        return replace(
            result, outcome="incomplete" if deleting.refused else "succeeded", freed=deleting.freed
        )

    def _with_contents(self, backups: Sequence[Backup]) -> Sequence[Backup]:
        """The same, those of unknown contents looked into: the only full one must not count as any other."""
        if all(backup.contents for backup in backups):
            return backups
        found = []
        with self.opened() as repository:
            for backup in backups:
                self.running.check_cancelled()
                try:
                    found.append(backup if backup.contents else repository.details(backup))
                except BackupKitError as error:
                    found.append(backup)
                    message = f"What the backup {backup.id} holds is not known: {error}"
                    self.running.add(
                        Problem(message=message, severity="warning", destination=backup.location)
                    )
        return found


class _Deleting:
    """Deletes one thing after the other; what is refused is a problem, told once, and the rest goes on."""

    def __init__(self, running: Running, destination: Destination, now: datetime) -> None:
        self.freed = 0
        self.refused = 0
        self._now = now
        self._running = running
        self._destination = destination
        self._told: set[str] = set()

    def all(
        self,
        repository: Repository,
        plan: RetentionPlan,
        leftovers: Sequence[StoredObject],
        orphans: Iterable[tuple[str, str]],
    ) -> None:
        """Remove what the plan says, prune, forget what is known of the gone, discard the leftovers."""
        for removed in plan.remove:
            backup = removed.backup
            if self._tried(f"The backup {backup.id}", partial(self._remove, repository, backup)):
                self._forget(backup.name, backup.id)
        self._tried("What no backup refers to", repository.prune)
        for name, id_ in orphans:
            self._forget(name, id_)
        for leftover in leftovers:
            self._tried(f"The leftover {leftover.name}", partial(_discard, self._destination, leftover))

    def _remove(self, repository: Repository, backup: Backup) -> int | None:
        """The bytes freed; None if somebody has pinned it since it was planned, who was told that it stays."""
        marks = read_marks(self._destination, backup.name, backup.id)
        pin = apply(marks, backup).pin
        if pin is not None and pin.holds(self._now):
            message = (
                f"The backup {backup.id} was pinned while cleaning was under way, and stays: {pin.reason}"
            )
            self._running.add(
                Problem(message=message, severity="warning", destination=self._destination.location)
            )
            return None
        repository.remove(backup)
        return backup.stored

    def _forget(self, name: str, id_: str) -> None:
        def forget() -> int:
            remove_marks(self._destination, name, id_)
            return 0

        self._tried(f"What was known of {id_}, which is gone,", forget)

    def _tried(self, what: str, delete: Callable[[], int | None]) -> bool:
        """Whether it was deleted; tried once, for what is refused now may be refused for years."""
        self._running.check_cancelled()
        try:
            freed = delete()
        except OperationCancelledError:
            raise
        except Exception as error:  # of a destination that breaks its contract, too
            self.refused += 1
            name = error.name if isinstance(error, DestinationError) else None
            if name is None or name not in self._told:
                message = f"{what} could not be deleted: {told(error)}"
                self._running.add(Problem(message=message, destination=self._destination.location))
            self._told |= {name} if name is not None else set()
            return False
        self.freed += freed or 0
        return freed is not None


def all_leftovers(destination: Destination, prefixes: Iterable[str]) -> tuple[StoredObject, ...]:
    """Unfinished objects, those that are still being written included."""
    if not isinstance(destination, HasLeftovers):
        return ()
    return tuple(leftover for prefix in prefixes for leftover in destination.leftovers(prefix))


def _discard(destination: Destination, leftover: StoredObject) -> int:
    if isinstance(destination, HasLeftovers):
        destination.discard(leftover)
    return leftover.size
