"""Cleaning one destination: what the policy plans is guarded, and deleted as far as the destination lets it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from backupkit._operation import Running
from backupkit.errors import (
    BackupKitError,
    DestinationError,
    OperationCancelledError,
    RepositoryError,
    RepositoryLockedError,
    told,
)
from backupkit.marks import Marks, apply, read_marks, remove_marks
from backupkit.model import Backup, DestinationResult, Kept, Problem, Pruned, RetentionPlan, StoredObject
from backupkit.protocols import Destination, HasLeftovers, Repository, RetentionPolicy
from backupkit.retention import checked, guard, minimum_of


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What a pipeline says of cleaning, and the destination that is to be cleaned.

    `places` are where killed runs may have left something; only what is older than `leftovers_after` is theirs.
    `shares_bytes` is that of the format.
    """

    running: Running
    destination: Destination
    opened: Callable[[], AbstractContextManager[Repository]]
    policy: RetentionPolicy
    places: Sequence[str]
    leftovers_after: timedelta
    shares_bytes: bool
    now: datetime

    def clean(self, backups: Sequence[Backup], unlisted: Marks, *, dry_run: bool) -> DestinationResult:
        """Plan for these backups; unless it is a dry run, do it.

        `unlisted` are the marks of backups that seem to be gone.
        """
        plan = self._planned(backups)
        before = self.now - self.leftovers_after
        leftovers = all_leftovers(self.destination, self.places)
        swept = tuple(leftover for leftover in leftovers if leftover.modified < before)
        result = DestinationResult(
            location=self.destination.location, outcome="succeeded", plan=plan, swept=swept
        )
        if dry_run:
            pruned = self._would_prune(plan)
            removed = 0 if self.shares_bytes else sum(removed.backup.stored for removed in plan.remove)
            freed = removed + (0 if pruned is None else pruned.freed) + sum(one.size for one in swept)
            return replace(
                result, outcome="succeeded" if pruned else "incomplete", freed=freed, pruned=pruned
            )
        with self.opened() as repository:
            deleting = _Deleting(self.running, self.destination, plan, self.shares_bytes, self.now)
            # A pin waits as long as a leftover: some places list late what was written.
            gone = {
                whose
                for whose, known in unlisted.items()
                if known.pin is None or max(known.times.values()) < before
            }
            deleting.all(repository, swept, gone)
        return replace(
            result,
            outcome="incomplete" if deleting.refused else "succeeded",
            freed=deleting.freed,
            pruned=deleting.pruned,
        )

    def _would_prune(self, plan: RetentionPlan) -> Pruned | None:
        """What pruning would do when the plan was carried out; None, and a problem, if that cannot be told."""
        try:
            with self.opened() as repository:
                return repository.prune(
                    without=[removed.backup for removed in plan.remove],
                    dry_run=True,
                    between=self.running.check_cancelled,
                )
        except (OperationCancelledError, RepositoryLockedError):
            raise
        except Exception as error:  # of a destination that breaks its contract, too
            message = f"What no backup refers to could not be found: {told(error)}"
            self.running.add(Problem(message=message, destination=self.destination.location))
            return None

    def _planned(self, backups: Sequence[Backup]) -> RetentionPlan:
        """What the policy says of those that can be told apart, guarded; the others stay.

        The policy gets what it cannot change: what it was given is what its plan is compared with.
        """
        known, unknown = self._with_contents(backups)
        plan = planned(self.policy, known, now=self.now)
        if not unknown:
            return plan
        keep = sorted(
            (*plan.keep, *unknown), key=lambda kept: (kept.backup.time, kept.backup.id), reverse=True
        )
        return replace(plan, keep=tuple(keep))

    def _with_contents(self, backups: Sequence[Backup]) -> tuple[Sequence[Backup], Sequence[Kept]]:
        """The same, those of unknown contents looked into; and those of which one cannot be found out.

        The only full one must not count as any other, nor go because a destination could not be read for a moment.
        """
        if all(backup.contents for backup in backups):
            return tuple(backups), ()
        known: list[Backup] = []
        unknown: list[Kept] = []
        with self.opened() as repository:
            for backup in backups:
                self.running.check_cancelled()
                try:
                    known.append(backup if backup.contents else repository.details(backup))
                except OperationCancelledError:
                    raise
                except Exception as error:  # of a destination that breaks its contract, too
                    unknown.append(Kept(backup, ("what it holds could not be found out",)))
                    message = f"What the backup {backup.id} holds is not known, so it stays: {told(error)}"
                    self.running.add(
                        Problem(message=message, severity="warning", destination=backup.location)
                    )
        return tuple(known), unknown


def planned(policy: RetentionPolicy, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
    """What the policy says of backups of which it is known what they hold, guarded."""
    plan = checked(policy.plan(backups, now=now), backups)
    return guard(plan, now=now, minimum=minimum_of(policy))


_SILENT = 3  # failures in a row that may pass: then the destination has gone, and each would be waited for


class _GoneError(Exception):
    """Nobody answers there any more."""


class _Deleting:
    """Deletes one thing after the other; what is refused is a problem, told once, and the rest goes on."""

    def __init__(
        self,
        running: Running,
        destination: Destination,
        plan: RetentionPlan,
        shares_bytes: bool,
        now: datetime,
    ) -> None:
        self.freed = 0
        self.refused = 0
        self.pruned: Pruned | None = None
        self._shares_bytes = shares_bytes
        self._now = now
        self._plan = plan
        good = [kept.backup for kept in plan.keep if kept.backup.good]
        good.sort(key=lambda backup: (backup.time, backup.id))
        self._newest_good = {backup.contents: backup for backup in good}
        self._running = running
        self._destination = destination
        self._told: set[str] = set()
        self._silent = 0

    def all(
        self,
        repository: Repository,
        leftovers: Sequence[StoredObject],
        orphans: Collection[tuple[str, str]],
    ) -> None:
        """Remove what the plan says, prune, forget what is known of the gone, discard the leftovers."""
        try:
            self._all(repository, leftovers, orphans)
        except _GoneError:
            message = "The rest was not cleaned, for nobody answers there any more: clean again."
            self._running.add(Problem(message=message, destination=self._destination.location))

    def _all(
        self,
        repository: Repository,
        leftovers: Sequence[StoredObject],
        orphans: Collection[tuple[str, str]],
    ) -> None:
        for removed in self._plan.remove:
            backup = removed.backup
            if self._tried(f"The backup {backup.id}", partial(self._remove, repository, backup)):
                self._forget(backup.name, backup.id)
        self._tried("What no backup refers to", partial(self._prune, repository))
        if orphans:
            self._tried("What was known of the gone", partial(self._forget_gone, repository, orphans))
        for leftover in leftovers:
            self._tried(f"The leftover {leftover.name}", partial(_discard, self._destination, leftover))

    def _remove(self, repository: Repository, backup: Backup) -> int | None:
        """The bytes freed; None if it stays for what became known since it was planned, which is a warning."""
        pin = self._as_known_now(backup).pin
        if pin is not None and pin.holds(self._now):
            why = f"was pinned while cleaning was under way, and stays: {pin.reason}"
        elif (newest := self._newest_good.get(backup.contents)) and self._as_known_now(newest).damaged:
            why = f"stays, for {newest.id} was found damaged while cleaning was under way: clean again"
        else:
            repository.remove(backup)
            return 0 if self._shares_bytes else backup.stored
        message = f"The backup {backup.id} {why}"
        self._running.add(
            Problem(message=message, severity="warning", destination=self._destination.location)
        )
        return None

    def _prune(self, repository: Repository) -> int:
        if self._shares_bytes:
            self._see_that_all_are_listed(repository)
        self.pruned = repository.prune(between=self._running.check_cancelled)
        return self.pruned.freed

    def _see_that_all_are_listed(self, repository: Repository) -> None:
        """RepositoryError if a backup that is kept is not listed now, for what it needs would go.

        A store may answer from several places, of which one does not know yet what is new.
        """
        listed = {(backup.name, backup.id) for backup in repository.list()}
        for backup in (kept.backup for kept in self._plan.keep):
            if (backup.name, backup.id) not in listed:
                raise RepositoryError(
                    f"the backup {backup.id}, which is kept, is not listed at {backup.location} any more: either "
                    "somebody has removed it, or not all is listed that is there. Clean again."
                )

    def _as_known_now(self, backup: Backup) -> Backup:
        return apply(read_marks(self._destination, backup.name, backup.id), backup)

    def _forget_gone(self, repository: Repository, orphans: Collection[tuple[str, str]]) -> int:
        # A listing that was cut short once must not cost a pin, or what is known of damage.
        there = {(backup.name, backup.id) for backup in repository.list()}
        for name, id_ in sorted(set(orphans) - there):
            self._forget(name, id_)
        return 0

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
        except (OperationCancelledError, RepositoryLockedError):  # who waited for a lock need not do so again
            raise
        except Exception as error:  # of a destination that breaks its contract, too
            self.refused += 1
            name = error.name if isinstance(error, DestinationError) else None
            if name is None or name not in self._told:
                message = f"{what} could not be deleted: {told(error)}"
                self._running.add(Problem(message=message, destination=self._destination.location))
            self._told |= {name} if name is not None else set()
            self._silent = self._silent + 1 if isinstance(error, DestinationError) and error.retryable else 0
            if self._silent == _SILENT:
                raise _GoneError from error
            return False
        self._silent = 0
        self.freed += freed or 0
        return freed is not None


def all_leftovers(destination: Destination, prefixes: Iterable[str]) -> tuple[StoredObject, ...]:
    """Unfinished objects, those that are still being written included."""
    if not isinstance(destination, HasLeftovers):
        return ()
    try:
        return tuple(leftover for prefix in prefixes for leftover in destination.leftovers(prefix))
    except BackupKitError:
        raise
    except Exception as error:  # one destination that breaks its contract must not keep the others
        raise DestinationError(
            f"The leftovers at {destination.location} could not be listed: {told(error)}",
            location=destination.location,
        ) from error


def _discard(destination: Destination, leftover: StoredObject) -> int:
    if isinstance(destination, HasLeftovers):
        destination.discard(leftover)
    return leftover.size
