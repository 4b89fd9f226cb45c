"""Backups where they are: listed, opened, and found by what is said of them. Each verb of `Backups` begins here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from backupkit._finding import meant, newest_first
from backupkit._operation import Running, Telling, utc_now
from backupkit._parallel import default_executor
from backupkit._parts import all_fitting
from backupkit.destinations.answers import answered
from backupkit.destinations.opening import URLLike, chosen_of, open_destinations
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    DestinationError,
    OperationCancelledError,
    told,
)
from backupkit.formats.zip.format import Zip
from backupkit.marks import Marks, apply, read_marks
from backupkit.model import (
    Backup,
    Contents,
    Listing,
    Operation,
    Problem,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Compressor,
    Destination,
    Encryptor,
    Format,
    Observer,
    Repository,
    nothing,
)
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor


class AtDestinations:
    """The backups at one or more destinations. See `Backups`."""

    def __init__(
        self,
        name: str | None,
        destinations: Destination | URLLike | Sequence[Destination | URLLike],
        *,
        encryptor: Encryptor | Passphrase | None,
        format: Format | None = None,
        observers: Sequence[Observer] = (),
        executor: Callable[[], Executor] = default_executor,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self.destinations = open_destinations(destinations)
        self.format: Format = format or Zip()
        self.encryptor = encryptor
        self.observers = all_fitting("observers", observers)
        self._executor = executor
        self.compressor: Compressor | None = None
        self.retry = Retry()
        self._stall_limit: float | None = None
        self._clock = clock
        self.format.check(None, encryptor)

    @property
    def contents(self) -> frozenset[Contents] | None:
        """What a full backup holds; None if only the backups themselves can tell."""
        return None

    def list(self) -> Listing:
        """List the backups of all destinations, newest first. Reads no archive, and needs no passphrase for them.

        A destination that does not answer, or whose repository cannot be opened, is a problem of the listing. Only
        if none can be opened, what is wrong with the first is raised.
        """
        backups: list[Backup] = []
        problems: list[Problem] = []
        errors: list[DestinationError] = []
        for destination in self.destinations:
            try:
                backups += self._list_at(destination)
            except DestinationError as error:
                errors.append(error)
                problems.append(Problem(message=str(error), destination=destination.location))
        raise_if_closed(errors, self.destinations)
        return Listing(backups=newest_first(backups), problems=tuple(problems))

    def details(self, backup: Backup) -> Backup:
        """The same backup with everything that can be known without a passphrase."""
        with self._repository_of(backup) as repository:
            return repository.details(backup)

    def get(
        self, backup: Backup | str = "latest", *, at: str | None = None, only: Contents | None = None
    ) -> Backup:
        """The backup meant: an id, or the beginning of one, or "latest".

        Latest is the newest good backup that holds all of the contents (those of `only`, or else everything
        the pipeline backs up). `at` names a destination; otherwise all are looked at, those that do not answer
        are passed over, and of several that have it the first is taken.
        """
        return self._found(backup, at=at, only=only)[0]

    def _found(
        self, backup: Backup | str, *, at: str | None, only: Contents | None = None
    ) -> tuple[Backup, Sequence[DestinationError]]:
        """The backup meant, and what kept destinations from answering, where newer ones may be."""
        if isinstance(backup, Backup):
            return backup, []
        found, problems = self._listed(at)
        return self._meant(backup, found, problems, at=at, only=only), problems

    def _listed(self, at: str | None) -> tuple[Sequence[Backup], Sequence[DestinationError]]:
        """All backups there, destination by destination, and what kept others from answering."""
        found, problems = self._asked(at)
        raise_if_closed(problems, self._chosen(at))
        return found, problems

    def _asked(self, at: str | None) -> tuple[Sequence[Backup], Sequence[DestinationError]]:
        """As `_listed`, also where none could be opened."""
        problems: list[DestinationError] = []
        found: list[Backup] = []
        for destination in self._chosen(at):
            try:
                found += self._list_at(destination)
            except DestinationError as error:
                problems.append(error)
        return found, problems

    def _meant(
        self,
        backup: str,
        found: Sequence[Backup],
        problems: Sequence[DestinationError],
        *,
        at: str | None,
        only: Contents | None = None,
    ) -> Backup:
        wanted = self._wanted(only, found)
        return meant(backup, found, wanted=wanted, silent=problems, where=self._where(at), name=self.name)

    def _copies(self, backup: Backup, at: str | None) -> tuple[Sequence[Backup], Sequence[DestinationError]]:
        """The backup at each destination that holds it, and the destinations that could not tell."""
        listed, silent = self._asked(at)
        return [one for one in listed if (one.name, one.id) == (backup.name, backup.id)], silent

    def _list_at(self, destination: Destination) -> Sequence[Backup]:
        return self._list_with_marks(destination)[0]

    def _list_with_marks(self, destination: Destination) -> tuple[Sequence[Backup], Marks]:
        """The backups, newest first, and the marks, which were read before them.

        A mount that hangs must not keep the others from being looked at, nor `monitor` from saying so.
        """
        return answered(destination, self._listed_with_marks, self._stall_limit)

    def _listed_with_marks(self, destination: Destination) -> tuple[Sequence[Backup], Marks]:
        try:
            marks = read_marks(destination, self.name)
            with self._opened(destination) as repository:
                return newest_first(apply(marks, backup) for backup in repository.list()), marks
        except (DestinationError, OperationCancelledError):
            raise
        except BackupKitError as error:  # a repository that does not open must not hide the others either
            raise DestinationError(str(error), location=destination.location) from error
        except Exception as error:  # one destination that breaks its contract must not hide the others
            raise DestinationError(
                f"The destination {destination.location} could not be listed: {told(error)}",
                location=destination.location,
            ) from error

    def _opened(
        self,
        destination: Destination,
        executor: Executor | None = None,
        between: Callable[[], None] = nothing,
    ) -> AbstractContextManager[Repository]:
        return self.format.open(
            destination, name=self.name, encryptor=self.encryptor, executor=executor, between=between
        )

    def _repository_of(
        self,
        backup: Backup,
        executor: Executor | None = None,
        between: Callable[[], None] = nothing,
    ) -> AbstractContextManager[Repository]:
        return self._opened(self._destination_of(backup), executor, between)

    def _running(
        self, operation: Operation, cancel: threading.Event | None, *, telling: Telling | None = None
    ) -> Running:
        return Running(
            operation,
            self.name or "backups",
            observers=self.observers,
            clock=self._clock,
            cancel=cancel,
            telling=telling,
        )

    def _telling(self, *, notify: bool = True) -> Telling | None:
        """Who is told of an operation besides its observers; with `notify=False`, nobody but the history."""
        return None

    def _wanted(self, only: Contents | None, listed: Iterable[Backup]) -> frozenset[Contents]:
        if only is not None:
            return frozenset({only})
        return self.contents or frozenset().union(*(one.contents for one in listed if one.good))

    def _chosen(self, at: str | None) -> Sequence[Destination]:
        return chosen_of(self.destinations, at)

    def _where(self, at: str | None) -> str:
        return at or ", ".join(destination.location for destination in self.destinations)

    def _destination_of(self, backup: Backup) -> Destination:
        for destination in self.destinations:
            if destination.location == backup.location:
                return destination
        raise ConfigurationError(
            f"The backup {backup.id} is at {backup.location}, which is none of {self._where(None)}."
        )


def raise_if_closed(errors: Sequence[Exception], asked: Sequence[Destination]) -> None:
    """Raise what keeps a repository from being opened, such as a wrong passphrase, if that is so everywhere."""
    reasons = [
        error.__cause__
        for error in errors
        if isinstance(error.__cause__, BackupKitError) and not isinstance(error.__cause__, DestinationError)
    ]
    if len(reasons) == len(asked):
        raise reasons[0]
