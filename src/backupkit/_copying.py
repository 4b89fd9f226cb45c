"""Copying backups to where others are kept, under other passphrases, in other formats: each stays what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from backupkit._chunks import closing_iterator
from backupkit._copied_entries import CopiedEntries, OtherTroubleError, state_of
from backupkit._operation import Running, has_errors, raise_all
from backupkit.destinations.stall_limited import StallLimited
from backupkit.errors import (
    BackupKitError,
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    OperationCancelledError,
    SourceError,
    WrongPassphraseError,
)
from backupkit.formats.backup_ids import backup_id
from backupkit.marks import Marks, remove_marks, write_mark, write_pin
from backupkit.model import (
    Backup,
    DestinationResult,
    Problem,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Compressor,
    Destination,
    Encryptor,
    Format,
    Repository,
    TakesOver,
)
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

Listed: TypeAlias = dict[tuple[str, str], Backup]
"""What is at a destination, what was written there meanwhile included, by name and id."""

# What is wrong with one backup, and not with the place that it is in, or is to go to.
_OF_THE_BACKUP = (BackupNotFoundError, IntegrityError, SourceError, WrongPassphraseError)
_UNKNOWN_HOST = "unknown"  # where neither a backup nor its summary says it


@dataclass(frozen=True, kw_only=True)
class CopyTarget:
    """What `to` says of where copies go. `listed` gives what is there, and the marks."""

    name: str | None
    format: Format
    destinations: Sequence[Destination]
    compressor: Compressor | None
    encryptor: Encryptor | Passphrase | None
    retry: Retry
    stall_limit: float | None
    listed: Callable[[Destination], tuple[Sequence[Backup], Marks]]

    def opened(
        self, destination: Destination, name: str | None, executor: Executor, between: Callable[[], None]
    ) -> AbstractContextManager[Repository]:
        return self.format.open(
            destination,
            name=name,
            compressor=self.compressor,
            encryptor=self.encryptor,
            executor=executor,
            between=between,
        )


@dataclass(kw_only=True)
class Copying:
    """One copying under way. `source` opens the repository that a backup is in."""

    running: Running
    to: CopyTarget
    source: Callable[[Backup, Executor], AbstractContextManager[Repository]]
    executor: Executor
    clock: Callable[[], datetime]
    dry_run: bool
    stored: int = field(default=0, init=False)

    def copy(self, backups: Sequence[Backup]) -> None:
        """Copy them, the oldest first, to each destination, and put how each ended on the report.

        Raises what was wrong if there is no copy anywhere.
        """
        for one in backups:
            if self.to.name not in (None, one.name):
                raise ConfigurationError(
                    f"The backup {one.id} is one of {one.name}, and what it is to be copied to holds those of "
                    f"{self.to.name}: copy it to a pipeline of its own name, or to Backups(None, …)."
                )
        locations = {one.location for one in backups}
        destinations = [one for one in self.to.destinations if {one.location} != locations]
        if not destinations:
            raise ConfigurationError(
                f"The backups are at {', '.join(sorted(locations))} already: say another place to copy them to."
            )
        ordered = sorted(backups, key=lambda one: (one.time, one.name, one.id))
        failures: list[Exception] = []
        for destination in destinations:
            self.running.check_cancelled()
            with ExitStack() as stack:
                bounded = stack.enter_context(StallLimited(destination, self.to.stall_limit))
                try:
                    failures += self._copy_to(bounded, ordered)
                except OperationCancelledError:
                    raise
                except BackupKitError as error:
                    failures.append(error)
                    self.running.fail(destination.location, error)
        there = any(one.backup is not None and one.outcome != "failed" for one in self.running.destinations)
        if failures and not there and not self.running.skipped:
            if all(isinstance(one, WrongPassphraseError) for one in failures):
                raise failures[0]
            raise_all("Nothing could be copied", failures)

    def _copy_to(self, destination: Destination, backups: Sequence[Backup]) -> list[Exception]:
        """Copy what is not at the destination; what could not be read of the backups is returned."""
        try:
            listed, marks = self.to.listed(destination)
        except DestinationError as error:
            if isinstance(error.__cause__, BackupKitError):  # such as a wrong passphrase
                raise error.__cause__ from None
            raise
        known = {(one.name, one.id): one for one in listed}
        missing: list[Backup] = []
        for backup in backups:
            there = known.get((backup.name, backup.id))
            if there is None:
                missing.append(backup)
            else:
                self._is_there(destination, backup, there, marks)
        if self.dry_run:
            for backup in missing:
                self._add(destination, replace(backup, location=destination.location), ())
            return []
        failures: list[Exception] = []
        with ExitStack() as stack:
            sources: dict[str, Repository] = {}
            for backup in missing:
                if backup.location not in sources:
                    sources[backup.location] = stack.enter_context(self.source(backup, self.executor))
            # Stretches of backups from one place, so that they stay in order.
            for location, stretch in _stretches(missing):
                source = sources[location]
                with self._opened(destination, self.to.name) as target:
                    if isinstance(target, TakesOver) and target.takes_from(source):
                        failed, stretch = self._take_over(destination, target, source, stretch, marks)
                        failures += failed
                # Its lock is gone by now, which would keep what is written here from being removed again.
                for backup in stretch:
                    failures += self._rewritten(destination, source, backup, known, marks)
        return failures

    def _is_there(self, destination: Destination, backup: Backup, there: Backup, marks: Marks) -> None:
        """One that was copied before, or of which another run made several; what an interruption left is done."""
        self.running.skipped += 1
        if self.dry_run or backup.location == destination.location:
            return
        self._mark(destination, backup, there, marks)
        if there.complete is None and there.made_by == "backupkit" and not there.damaged:
            with self._opened(destination, there.name) as repository:
                there = repository.confirm(there)
        if backup.good and not there.good:
            self.running.add(
                Problem(
                    message=f"The backup {there.id} is at {there.location} already, and is {state_of(there)}, "
                    f"unlike that at {backup.location}: remove it there, and copy again.",
                    severity="warning",
                    destination=there.location,
                )
            )

    def _opened(self, destination: Destination, name: str | None) -> AbstractContextManager[Repository]:
        return self.to.opened(destination, name, self.executor, self.running.check_cancelled)

    # As it is stored.

    def _take_over(
        self,
        destination: Destination,
        target: TakesOver,
        source: Repository,
        backups: Sequence[Backup],
        marks: Marks,
    ) -> tuple[list[Exception], Sequence[Backup]]:
        """What could not be taken over, and those of which what can be read is to be written anew."""
        failures: list[Exception] = []
        damaged: list[Backup] = []
        for backup in backups:
            if _keeps_id(backup):
                self._mark(destination, backup, backup, marks)
                if backup.damaged:  # or it would be a good one there
                    write_mark(destination, backup, "damaged", self.clock())
        taking = target.take_over(
            backups,
            source,
            retry=self.running.retry(self.to.retry),
            passed=self.running.passed,
            noticed=self.running.add,
        )
        with closing_iterator(taking) as results:
            for one in results:
                self.stored += one.stored
                if isinstance(one.error, BackupKitError) and one.of.made_by == "other":
                    # Written anew it would be a pipeline's, which cleans it.
                    failures.append(self._failed(destination, one.of, one.error))
                elif one.error is not None:
                    damaged.append(one.of)
                else:
                    if (there := one.copy or one.there) is not None and not _keeps_id(one.of):
                        self._mark(destination, one.of, there, marks)
                        if one.of.damaged and one.copy is not None:
                            write_mark(destination, there, "damaged", self.clock())
                    if one.copy is None:
                        self.running.skipped += 1
                    else:
                        self._forget_damage(destination, one.of, one.copy, marks)
                        self._add(destination, one.copy, ())
        return failures, damaged

    # Entry by entry.

    def _rewritten(
        self,
        destination: Destination,
        source: Repository,
        backup: Backup,
        known: Listed,
        marks: Marks,
    ) -> list[Exception]:
        """Read the backup, and write it there; what of it cannot be read is left out, and told."""
        problems = len(self.running.problems)
        counted = self.running.entries, self.running.read
        try:
            for tried, attempt in enumerate(self.running.retry(self.to.retry).attempts()):
                with attempt:
                    before = counted if tried else None
                    copy = self._written(destination, source, backup, known, marks, again=before)
        except _OF_THE_BACKUP as error:
            return [self._failed(destination, backup, error)]
        if copy is None:
            self.running.skipped += 1
        else:
            known[copy.name, copy.id] = copy
            self._forget_damage(destination, backup, copy, marks)
            self.stored += copy.stored
            self._add(destination, copy, self.running.problems[problems:])
        return []

    def _failed(self, destination: Destination, backup: Backup, error: BackupKitError) -> BackupKitError:
        problem = Problem(
            message=f"The backup {backup.id} could not be copied: {error}", destination=backup.location
        )
        self.running.add(problem)
        self.running.destinations.append(
            DestinationResult(
                location=destination.location, outcome="failed", backup=backup, problems=(problem,)
            )
        )
        return error

    def _written(
        self,
        destination: Destination,
        source: Repository,
        backup: Backup,
        known: Listed,
        marks: Marks,
        *,
        again: tuple[int, int] | None,
    ) -> Backup | None:
        """The copy; None if it is there already, which of what others made is only known now.

        `again` is what was counted before an attempt that has failed, if there was one.
        """
        details = source.details(backup)
        reading = CopiedEntries(self.running, source, backup)
        reading.learn(links=self.to.format.shares_bytes)
        contents = details.contents or reading.contents
        id = backup_id(backup.time, contents)
        if (there := known.get((backup.name, id))) is not None:
            self._mark(destination, backup, there, marks)
            # One that was repaired, or changed by restic, has its original's name.
            if backup.made_by == "backupkit":
                message = (
                    f"The backup {backup.id} was not copied: by its time and contents it would be {id} at "
                    f"{destination.location}, which is there already."
                )
                self.running.add(
                    Problem(message=message, severity="warning", destination=destination.location)
                )
            return None
        self._mark(destination, backup, replace(backup, id=id), marks)
        self.running.expect(details.size)
        try:
            with (
                self._opened(destination, backup.name) as target,
                closing_iterator(reading.entries()) as entries,
            ):
                if again is not None:
                    if (there := _found(target, backup.name, id)) is not None:
                        # All but the answer, or the summary of an archive, had come through.
                        return self._confirmed(destination, target, there, backup)
                    self.running.entries, self.running.read = again
                written = target.write(
                    entries,
                    time=backup.time,
                    contents=contents,
                    tags=details.tags or (),
                    host=details.host or _UNKNOWN_HOST,
                    retry=self.running.retry(self.to.retry),
                )
                if written.backup.id != id:
                    target.remove(written.backup)
                    raise DestinationError(
                        f"The name of {id} is taken at {destination.location}, by what a removal has left: "
                        "have `clean` delete that, and copy again.",
                        location=destination.location,
                    )
        except OtherTroubleError as error:
            raise error.error from None
        for problem in written.problems:
            if problem not in reading.inherited:
                self.running.add(problem)
        for problem in reading.inherited:
            self.running.add(replace(problem, severity="warning"))
        return replace(written.backup, location=destination.location)

    def _confirmed(
        self, destination: Destination, target: Repository, there: Backup, backup: Backup
    ) -> Backup:
        confirmed = target.confirm(there) if there.complete is None else there
        if backup.good and not confirmed.good:
            message = f"The copy of {backup.id} is {state_of(confirmed)}: something of it could not be read."
            self.running.add(Problem(message=message, destination=destination.location))
        return replace(confirmed, location=destination.location)

    def _mark(self, destination: Destination, backup: Backup, copy: Backup, marks: Marks) -> None:
        """Pin it there too, unless that was done, or undone, there already."""
        known = marks.get((copy.name, copy.id))
        if backup.pin is not None and not (known and {"pinned", "unpinned"} & known.times.keys()):
            there = replace(copy, location=destination.location)
            write_pin(destination, there, backup.pin, self.clock())

    def _forget_damage(self, destination: Destination, backup: Backup, copy: Backup, marks: Marks) -> None:
        """What was known of one that was there before, and is gone, is not true of the copy that was stored now."""
        former = marks.get((copy.name, copy.id))
        if former is None or not {"damaged", "refuted"} & former.times.keys():
            return
        try:
            remove_marks(destination, copy.name, copy.id)
        except DestinationError as error:
            message = (
                f"The copy {copy.id} has the marks of a damaged one that is gone, which could not be deleted: "
                f"{error} Verify it, so that it counts as a good one."
            )
            self.running.add(Problem(message=message, severity="warning", destination=destination.location))
        self._mark(destination, backup, copy, {})
        if backup.damaged and copy.complete:
            write_mark(destination, copy, "damaged", self.clock())

    def _add(self, destination: Destination, copy: Backup, problems: Iterable[Problem]) -> None:
        problems = tuple(problems)
        self.running.destinations.append(
            DestinationResult(
                location=destination.location,
                outcome="incomplete" if has_errors(problems) else "succeeded",
                backup=copy,
                problems=problems,
            )
        )


def _keeps_id(backup: Backup) -> bool:
    """Whether a copy that is taken over has the same id, which others have by their own bytes."""
    return backup.made_by == "backupkit" and backup.id == backup_id(backup.time, backup.contents)


def _found(repository: Repository, name: str, id: str) -> Backup | None:
    return next((one for one in repository.list() if (one.name, one.id) == (name, id)), None)


def _stretches(backups: Iterable[Backup]) -> Iterator[tuple[str, Sequence[Backup]]]:
    """Those that follow each other and are at the same place, with that place."""
    for location, those in groupby(backups, key=lambda one: one.location):
        yield location, [*those]
