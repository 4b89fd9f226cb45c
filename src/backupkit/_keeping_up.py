"""The verbs of `Backups` for what has to be done over the years: copies, deletions, pins, repairs, keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from backupkit._at_destinations import AtDestinations
from backupkit._copying import Copying, CopyTarget
from backupkit._deleting import check_may_go, delete_at
from backupkit._finding import to_be_copied, unreadable_ones
from backupkit._keys import change_keys, check_keys, check_new, listed_keys, meant_key, weakness_of
from backupkit._operation import raise_all
from backupkit._pinning import pin_everywhere
from backupkit._repairing import repair_at
from backupkit._unlocking import check_locks, with_locks
from backupkit.destinations.stall_limited import StallLimited
from backupkit.errors import BackupNotFoundError
from backupkit.marks import pin_for
from backupkit.model import (
    Backup,
    DestinationResult,
    KeyListing,
    Pin,
    Problem,
    Report,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Destination,
    Repository,
)
from backupkit.prune_limits import PruneLimits

if TYPE_CHECKING:
    from concurrent.futures import Executor


class KeepingUp(AtDestinations):
    """See `Backups`."""

    def copy(
        self,
        backup: Backup | str | Sequence[Backup | str] = "latest",
        *,
        to: AtDestinations,
        at: str | None = None,
        dry_run: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Copy a backup, several, or "all" of them to all destinations of `to`: a pipeline, or other `Backups`.

        Format, passphrase and compression there are those of `to`. A copy is the same backup: name, time and id,
        contents, tags, host, pin and row counts are kept, and of one that is incomplete, unconfirmed or damaged no
        good one is made. What is there already is passed over (`Report.skipped`), so that a copying which was
        interrupted is finished by the next; the oldest is copied first.

        Between repositories of snapshots, folders and contents are copied as they are stored; everything else is
        read and written again. What is damaged is left out then, and the copy is incomplete. Each destination ends
        by itself; the error, or a group of them, is raised if there is no copy anywhere.
        """
        with self._running("copy", cancel, telling=None if dry_run else self._telling()) as running:
            running.dry_run = dry_run
            if backup == "all":
                listed, silent = self._listed(at)
                for error in silent:
                    running.add(Problem(message=str(error), destination=error.location))
                for problem in unreadable_ones(listed, name=self.name, to=to.name):
                    running.add(problem)
                chosen = [*to_be_copied(listed, name=self.name, to=to.name, where=self._where(at))]
            else:
                several = [backup] if isinstance(backup, str | Backup) else backup
                chosen = []
                for one in several:
                    found, silent = self._found(one, at=at)
                    chosen.append(found)
                    for error in silent:
                        running.add(
                            Problem(message=str(error), severity="warning", destination=error.location)
                        )
            with self._executor() as executor:
                copying = Copying(
                    running=running,
                    to=CopyTarget(
                        name=to.name,
                        format=to.format,
                        destinations=to.destinations,
                        compressor=to.compressor,
                        encryptor=to.encryptor,
                        retry=to.retry,
                        stall_limit=to._stall_limit,
                        listed=to._list_with_marks,
                    ),
                    source=partial(self._repository_to_copy, between=running.check_cancelled),
                    executor=executor,
                    clock=self._clock,
                    dry_run=dry_run,
                )
                copying.copy(chosen)
            return running.finish(running.outcome, written=copying.stored)

    @contextmanager
    def _repository_to_copy(
        self, backup: Backup, executor: Executor, *, between: Callable[[], None]
    ) -> Iterator[Repository]:
        destination = self._destination_of(backup)
        with ExitStack() as stack:
            if self.format.shares_bytes:  # an archive does not fit into memory
                destination = stack.enter_context(StallLimited(destination, self._stall_limit))
            yield stack.enter_context(self._opened(destination, executor, between))

    def prune(
        self,
        *,
        at: str | None = None,
        limits: PruneLimits | None = None,
        dry_run: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Delete what no backup refers to, at each destination; `clean` of a pipeline does so by itself.

        A snapshot that somebody else has removed leaves what it needed stored, and so does a run that was killed.
        What is of use in objects that are mostly of none is stored anew, as far as `limits` say, or else the
        format's own. The repository is used alone meanwhile: RepositoryLockedError if others use it for too long.
        An interruption leaves it whole, and the rest is done the next time. A dry run tells what would be freed.
        """
        with self._running("prune", cancel, telling=None if dry_run else self._telling()) as running:
            running.dry_run = dry_run

            def prune(destination: Destination) -> DestinationResult:
                with self._executor() as executor, self._opened(destination, executor) as repository:
                    pruned = repository.prune(limits=limits, dry_run=dry_run, between=running.check_cancelled)
                return DestinationResult(
                    location=destination.location, outcome="succeeded", freed=pruned.freed, pruned=pruned
                )

            running.each(self._chosen(at), prune, "Nothing could be pruned")
            return running.finish(running.outcome)

    def repair(
        self,
        *,
        at: str | None = None,
        quick: bool = False,
        forget: bool = False,
        dry_run: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Make what is still right in damaged repositories of snapshots usable again, at each destination.

        The index is made anew where it and the packs disagree. What is damaged is left out of it, so that the next
        run stores it again, if the sources still have it. Each snapshot in which a file or a folder cannot be read
        gets another one beside it, without these, tagged `repaired` and not complete. Every path that is lost is an
        error of the report, which is "incomplete" then; what could be put right is a warning.

        Nothing is deleted but index objects that others replace. With `forget`, damaged snapshots are, when what is
        left of them is stored, unless they are pinned; so are snapshot objects that cannot be read, and damaged
        packs when nothing more is needed of them. Everything is read and compared; `quick` believes what the index
        and the sizes say. The repository is used alone meanwhile: RepositoryLockedError if others use it for too
        long. An interruption loses nothing. ConfigurationError for archives.
        """
        with self._running("repair", cancel, telling=None if dry_run else self._telling()) as running:
            running.dry_run = dry_run

            def repair(destination: Destination) -> DestinationResult:
                with self._executor() as executor, self._opened(destination, executor) as repository:
                    return repair_at(
                        running,
                        destination,
                        repository,
                        quick=quick,
                        forget=forget,
                        dry_run=dry_run,
                        now=self._clock(),
                    )

            running.each(self._chosen(at), repair, "Nothing could be repaired")
            return running.finish(running.outcome)

    def unlock(
        self, *, at: str | None = None, force: bool = False, cancel: threading.Event | None = None
    ) -> Report:
        """Remove the locks that killed processes have left in repositories of snapshots, at each destination.

        Nobody has to: what is in the way is taken over by itself, if its process was on this host after seven and a
        half minutes, and otherwise after half an hour. This removes those whose process on this host is gone at
        once. Processes of another container that has this host's name look as if they were gone.

        With `force` all locks go, also those that cannot be read: only when nothing uses the repository. A run of
        ours notices it and fails. restic does not: a pruning may then delete what its backup refers to; nor does
        whoever only reads, to whom backups may look damaged. `DestinationResult.unlocked` says how many went.
        ConfigurationError for archives, which have no locks there.
        """
        check_locks(self._chosen(at), self._opened)
        with self._running("unlock", cancel, telling=self._telling()) as running:

            def unlock(destination: Destination) -> DestinationResult:
                with self._opened(destination) as repository:
                    unlocked = with_locks(repository).unlock(force=force, between=running.check_cancelled)
                return DestinationResult(
                    location=destination.location, outcome="succeeded", unlocked=unlocked
                )

            running.each(self._chosen(at), unlock, "No locks could be removed anywhere")
            return running.finish(running.outcome)

    def delete(
        self,
        backup: Backup | str,
        *,
        at: str | None = None,
        force: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Delete a backup, and what is known of it, at every destination that holds it, or only `at` one.

        RepositoryError, before anything is deleted, if it is pinned at any of them, or the newest good backup of
        its contents there; only the latter gives way to `force`. A destination that does not answer is on the
        report, which is "incomplete" then: delete again.

        A snapshot is gone at once. What only it needed stays stored until `prune` or `clean` frees it.
        """
        with self._running("delete", cancel, telling=self._telling()) as running:
            listed, silent = self._listed(at)
            if not isinstance(backup, Backup):
                backup = self._meant(backup, listed, silent, at=at)
            wanted = backup.name, backup.id
            copies = {one.location: one for one in listed if (one.name, one.id) == wanted}
            if not copies:
                raise_all(f"Whether the backup {backup.id} is there is not known", silent)
                raise BackupNotFoundError(f"The backup {backup.id} is gone already: list the backups.")
            check_may_go(
                backup, [one for one in listed if one.location in copies], now=self._clock(), force=force
            )
            for error in silent:
                running.fail(error.location, error)

            def delete(destination: Destination) -> DestinationResult:
                with (
                    self._executor() as executor,
                    self._opened(destination, executor, running.check_cancelled) as repository,
                ):
                    return delete_at(running, destination, repository, copies[destination.location])

            holders = [one for one in self._chosen(at) if one.location in copies]
            running.each(holders, delete, f"The backup {backup.id} could not be deleted anywhere")
            return running.finish(running.outcome)

    def pin(self, backup: Backup | str = "latest", *, reason: str, until: datetime | None = None) -> Backup:
        """Keep cleaning from removing a backup, at every destination that holds it; the backup as it now is.

        The pin is kept beside the backup, with the reason, until that time (aware) or until it is unpinned. Pinning
        again replaces it. DestinationError, or a group of them, names the destinations where that could not be
        recorded; the others have it.
        """
        pin = pin_for(reason, until, now=self._clock())
        return self._pinned(self.get(backup), pin)

    def unpin(self, backup: Backup | str) -> Backup:
        """Let cleaning remove the backup again; one that is not pinned stays so. As `pin` otherwise."""
        return self._pinned(self.get(backup), None)

    def _pinned(self, backup: Backup, pin: Pin | None) -> Backup:
        copies, silent = self._copies(backup, None)
        places = [(self._destination_of(copy), copy) for copy in copies]
        return pin_everywhere(backup, places, silent, pin, now=self._clock())

    def keys(self, *, at: str | None = None) -> KeyListing:
        """The keys of the repositories at all destinations: who may open them, and which one was used now.

        Of snapshots; ConfigurationError for archives, as of all that concerns keys. A destination that does not
        answer is a problem of the listing; if none does, what is wrong is raised.
        """
        return listed_keys(self._chosen(at), self._opened)

    def add_key(
        self, passphrase: Passphrase, *, at: str | None = None, cancel: threading.Event | None = None
    ) -> Report:
        """Let another passphrase open the repositories, too; each `DestinationResult.keys` has the new key.

        A key counts after it was read back and has opened the repository. Where the passphrase opens one already,
        nothing is added, which is a warning. What fails at a destination is raised after the others were tried,
        with the report of all; doing it again does no harm.
        """
        check_keys(self._chosen(at), self._opened)
        check_new(passphrase)
        with self._running("rekey", cancel, telling=self._telling()) as running:
            if weakness := weakness_of(passphrase):
                running.add(weakness)
            return change_keys(
                running,
                self._chosen(at),
                partial(self._opened, between=running.check_cancelled),
                lambda repository: repository.add_key(passphrase),
                failed="The key could not be added everywhere",
                unchanged=f"The passphrase from {passphrase.origin} opens it already: no key was added.",
            )

    def remove_key(self, id: str, *, at: str | None = None, cancel: threading.Event | None = None) -> Report:
        """Remove the key of this id, or of which the id alone begins so: its passphrase opens no more.

        The last key, and the one in use, are refused (RepositoryError). Whoever has had both the key and its
        passphrase may have the master key, which does not change.
        """
        listing = self.keys(at=at)
        whole = meant_key(id, listing)
        holders = {key.location for key in listing.keys if key.id == whole}
        with self._running("rekey", cancel, telling=self._telling()) as running:
            for silent in listing.problems:
                running.add(replace(silent, severity="warning"))
            return change_keys(
                running,
                [one for one in self._chosen(at) if one.location in holders],
                partial(self._opened, between=running.check_cancelled),
                lambda repository: repository.remove_key(whole),
                failed="The key could not be removed everywhere",
            )

    def change_passphrase(
        self, new: Passphrase, *, at: str | None = None, cancel: threading.Event | None = None
    ) -> Report:
        """Have the repositories open with the new passphrase, and no more with those that these backups have.

        At each destination, under its exclusive lock, a key for the new passphrase is added and tried, and only
        then are those of the old one, and of its `previous`, removed. Others' keys stay. What fails at a
        destination is raised after the others were tried, with the report of all; doing it again finishes it.

        This object still has the old passphrase: open the backups by the new one from now on. To have both for a
        while, so that no host is shut out, `add_key` first.
        """
        check_keys(self._chosen(at), self._opened)
        check_new(new, self.encryptor)
        with self._running("rekey", cancel, telling=self._telling()) as running:
            if weakness := weakness_of(new):
                running.add(weakness)
            return change_keys(
                running,
                self._chosen(at),
                partial(self._opened, between=running.check_cancelled),
                lambda repository: repository.change_passphrase(new),
                failed="The passphrase could not be changed everywhere",
                unchanged="Only the new passphrase opens it already: nothing was changed.",
            )

    def recovery_sheet(self, *, at: str | None = None) -> str:
        """A text to be printed, by which a stranger who has the passphrase can restore without this library.

        It says what is where in which format, and how to get it back; of snapshots it holds the sealed config and
        keys, by which a repository that has lost these is made whole. It holds no secret. Raises what keeps any of
        the destinations from being described.
        """
        from backupkit._recovery_sheet import recovery_sheet  # which nothing else needs

        return recovery_sheet(self.name, self._chosen(at), self._opened, self.encryptor, now=self._clock())
