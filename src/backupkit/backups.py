"""`Backups`: what can be done with backups that exist. Needs no more than where they are and a passphrase."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from backupkit._comparing import Comparison
from backupkit._copying import Copying, CopyTarget, to_be_copied
from backupkit._entry_file import EntryFile
from backupkit._finding import meant, newest_first, warnings_about
from backupkit._keys import change_keys, check_keys, check_new, listed_keys, meant_key, weakness_of
from backupkit._looking import Wanted, chosen_between, found_in
from backupkit._measuring import growth_of
from backupkit._operation import Running, Telling, has_errors, raise_all, utc_now
from backupkit._parallel import default_executor
from backupkit._parts import all_fitting
from backupkit._pinning import pin_everywhere
from backupkit._repairing import repair_at
from backupkit._restoring import (
    InPlace,
    Lost,
    RestoreOptions,
    is_database,
    location_of,
    obstacles,
    opened_target,
)
from backupkit._shares import share_of
from backupkit._verifying import verify_copy
from backupkit.databases.urls import DatabaseURL
from backupkit.destinations.answers import answered
from backupkit.destinations.opening import URLLike, chosen_of, open_destinations
from backupkit.destinations.stall_limited import StallLimited
from backupkit.errors import (
    BackupKitError,
    BackupNotFoundError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    OperationCancelledError,
    RestoreError,
    told,
)
from backupkit.formats.zip.format import Zip
from backupkit.marks import Marks, apply, pin_for, read_marks
from backupkit.model import (
    Backup,
    Contents,
    DestinationResult,
    Entry,
    Found,
    KeyListing,
    Listing,
    Operation,
    Outcome,
    Pin,
    Problem,
    Report,
    Statistics,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import (
    Compressor,
    Destination,
    Encryptor,
    Format,
    Observer,
    ReadsWithin,
    Repository,
    Target,
)
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry
from backupkit.selection import Selection
from backupkit.targets.database import DatabaseTarget
from backupkit.targets.routed import RoutedTarget

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backupkit.browsing import BackupFileSystem


class Backups:
    """The backups at one or more destinations: list, look into, verify and restore them.

    `name` limits everything to one pipeline's backups; None means all that are found. The constructor does no
    I/O; every method connects by itself, so an object can be shared by threads and survives a fork.
    """

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

    def entries(self, backup: Backup | str = "latest", *, at: str | None = None) -> Iterator[Entry]:
        """Yield the entries of a backup in the order they were written; content can be pulled meanwhile."""
        backup = self.get(backup, at=at)
        with self._repository_of(backup) as repository:
            yield from repository.read(backup)

    def open(self, backup: Backup | str, path: str, *, at: str | None = None) -> BinaryIO:
        """Open one entry for reading, streamed; IntegrityError while reading if it is damaged."""
        backup = self.get(backup, at=at)
        with ExitStack() as stack:
            repository = stack.enter_context(self._repository_of(backup))
            for entry in _read_within(
                repository,
                backup,
                enters=lambda folder: path.startswith(f"{folder}/"),
                wants=lambda entry: entry.path == path,
            ):
                if entry.path == path and entry.kind in ("file", "hardlink"):
                    raw = EntryFile(entry.chunks(), stack.pop_all())
                    return cast("BinaryIO", io.BufferedReader(raw, 1 << 20))
        raise BackupNotFoundError(f"The backup {backup.id} holds no file {path!r}: look at its entries.")

    def file_system(self, *, at: str | None = None) -> BackupFileSystem:
        """The backups as a read-only file system of fsspec's: `<id>/<path>`, and `latest/<path>`.

        `at` names a destination; otherwise each backup is read from the first that has it. See `BackupFileSystem`.
        """
        from backupkit.browsing import BackupFileSystem  # which takes fsspec to import

        return BackupFileSystem(self, at=at)

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
        problems: list[DestinationError] = []
        found: list[Backup] = []
        for destination in self._chosen(at):
            try:
                found += self._list_at(destination)
            except DestinationError as error:
                problems.append(error)
        raise_if_closed(problems, self._chosen(at))
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

    def diff(
        self,
        before: Backup | str,
        after: Backup | str = "latest",
        *,
        at: str | None = None,
        folder: str | tuple[str, str] = "",
        metadata: bool = True,
        other: Backups | None = None,
    ) -> Comparison:
        """Where two backups differ, and how: iterate over what is returned. Reads no content.

        Each is said as for `get`. `after` may be one of `other` backups: those of another pipeline, destination,
        format or passphrase. Only what is below `folder` is compared, if that is given; BackupNotFoundError if
        neither has it. Two folders are that of the first backup and that of the second, and paths are those within
        them: archives have the files of a `Directory` below its name, snapshots have them where they were. Without
        `metadata`, entries of which only that differs are left out.

        Of two snapshots, folders that are the same in both are not entered, and the ids of blobs tell whether a
        file holds the same. Otherwise both are read entry by entry: the SHA-256 of a file tells it where both
        backups record that, and else size and time. What cannot be restored, such as a socket, counts for nothing,
        and neither does the time of a folder.
        """
        second = self if other is None else other
        before, after = self._both(before, after, second, at)
        folders = (folder, folder) if isinstance(folder, str) else folder
        places = self._destination_of(before), second._destination_of(after)

        def opened(stack: ExitStack) -> tuple[Repository, Repository]:
            executor = stack.enter_context(self._executor())
            repository = stack.enter_context(self._opened(places[0], executor))
            if second is self and places[0] is places[1]:
                return repository, repository
            return repository, stack.enter_context(second._opened(places[1], executor))

        return Comparison(before, after, opened, folders=folders, metadata=metadata)

    def _both(
        self, before: Backup | str, after: Backup | str, second: Backups, at: str | None
    ) -> tuple[Backup, Backup]:
        """The two that are meant, by one listing of each destination."""
        listed = None
        if isinstance(before, str):
            listed = self._listed(at)
            before = self._meant(before, *listed, at=at)
        if isinstance(after, str):
            if second is not self:
                listed, at = None, None
            after = second._meant(after, *(listed or second._listed(at)), at=at)
        return before, after

    def find(
        self,
        *patterns: str,
        at: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ignore_case: bool = False,
    ) -> Iterator[Found]:
        """Yield what stands at paths that a gitignore pattern means, backup by backup, the newest first.

        `orders.csv` means an entry of that name anywhere, `/srv/shop/*.csv` those in this very folder, and a path
        written out itself. What is in a folder that is meant is not meant for that alone. Only backups of the time
        between `since` and `until` (aware) are looked through. One that several destinations hold is looked
        through at the first of them; those of the next destination follow.

        Content can be pulled meanwhile. `versions_of` has what was found by path and version. IntegrityError, or a
        group with what kept destinations from answering, comes after the last one: all else was looked through.

        Of snapshots, what they have in common is looked through once; an archive is read without its contents.
        """
        wanted = Wanted(patterns, ignore_case=ignore_case)
        seen: set[tuple[str, str]] = set()
        failures: list[Exception] = []
        listed, silent = self._listed(at)
        failures += silent
        chosen = chosen_between(newest_first(listed), since, until)
        for destination in self._chosen(at):
            there = [
                one
                for one in chosen
                if one.location == destination.location and (one.name, one.id) not in seen
            ]
            seen.update((one.name, one.id) for one in there)
            if not there:
                continue
            with self._executor() as executor, self._opened(destination, executor) as repository:
                for found in found_in(repository, there, wanted):
                    if isinstance(found, Found):
                        yield found
                    else:
                        failures.append(IntegrityError(found.message, where=found.path or ""))
        raise_all("Not all backups could be looked through", failures)

    def statistics(
        self, *, at: str | None = None, cancel: threading.Event | None = None
    ) -> Sequence[Statistics]:
        """What the backups at each destination hold, share and take, and what each has added, in order of time.

        Of snapshots, all folders are read, once each, and no contents; the memory is that of the index. Of
        archives, nothing is read but what they say beside them. A destination that does not answer has a problem
        and no figures. IntegrityError if a backup is damaged: no figure would be right.
        """

        def between() -> None:
            if cancel is not None and cancel.is_set():
                raise OperationCancelledError("The statistics were cancelled.")

        statistics: list[Statistics] = []
        silent: list[DestinationError] = []
        for destination in self._chosen(at):
            location = destination.location
            try:
                oldest_first = self._list_at(destination)[::-1]
            except DestinationError as error:
                silent.append(error)
                problem = Problem(message=str(error), destination=location)
                statistics.append(Statistics(location=location, problems=(problem,)))
                continue
            with self._executor() as executor, self._opened(destination, executor) as repository:
                growth = tuple(growth_of(repository, oldest_first, between))
            statistics.append(Statistics(location=location, growth=growth))
        raise_if_closed(silent, self._chosen(at))
        return statistics

    def restore(
        self,
        backup: Backup | str = "latest",
        *,
        to: Target | DatabaseURL | str | os.PathLike[str] | None = None,
        databases: Mapping[str, Target | DatabaseURL | str] | None = None,
        at: str | None = None,
        only: Contents | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        tables: Sequence[str] = (),
        create: bool = False,
        overwrite: bool = False,
        setuid: bool = False,
        resume: bool = False,
        sparse: bool = False,
        max_size: int | str | None = None,
        max_entries: int | None = None,
        dry_run: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Write the entries of a backup to a folder, a database or another target.

        `to` is a folder, the URL of a database for the only dump in the backup, or a target. `databases` says
        which dump goes into which database, as in `{"shop": "postgresql://…/shop"}`: dumps that it does not
        name go to `to`, as files, and without `to` nothing but these dumps is restored. See `DatabaseTarget`
        for what happens there, and for `create` and `tables`.

        `only` the databases or the files, of the latest backup that holds those; `include` and `exclude` are
        gitignore patterns, or whole paths, within the backup. What would be in the way is found before
        anything is written (RestoreError); `dry_run` stops there and reports it. An entry that is damaged or
        cannot be written, and a folder of a snapshot that cannot be read, is a problem of the report, which then
        says "incomplete".

        `overwrite`, `setuid`, `resume`, `sparse`, `max_size` and `max_entries` are those of `DirectoryTarget`,
        for a folder; a target that was made has its own. What `resume` leaves as it is counts as `skipped`.

        Thousands of files of a snapshot are restored by several processes, unless `resume`, `max_size` or
        `max_entries` need everything in one place.
        """
        from backupkit._restore_workers import Stretches, workers_for  # which takes time to import

        with self._running("restore", cancel, telling=None if dry_run else self._telling()) as running:
            running.dry_run = dry_run
            in_place = InPlace(running)
            lost = Lost(running)
            options = RestoreOptions(
                overwrite=overwrite,
                setuid=setuid,
                resume=resume,
                sparse=sparse,
                max_size=max_size,
                max_entries=max_entries,
                create=create,
                tables=tables,
            )
            target = in_place.watched(opened_target(to, databases, options))
            where = location_of(to, databases)
            if to is None or is_database(to):
                if only == "files":
                    raise ConfigurationError("Files cannot be restored to a database: give to= a folder.")
                only = "databases"
            backup, silent = self._found(backup, at=at, only=only)
            for problem in warnings_about(backup, silent):
                running.add(problem)
            takes = target.takes if isinstance(target, RoutedTarget | DatabaseTarget) else None
            selection = Selection(include=include, exclude=exclude, only=only, wanted=takes)
            with ExitStack() as stack:
                executor = stack.enter_context(self._executor())
                destination = self._destination_of(backup)
                repository = stack.enter_context(self._opened(destination, executor))
                workers = None
                if not dry_run:  # they begin while it is checked what is in the way
                    expected = repository.details(backup).entries
                    workers = workers_for(repository, backup, destination, target, selection, expected)
                    if workers is not None:
                        stack.enter_context(workers)
                every = _read_within(repository, backup, enters=selection.enters, lost=lost.add)
                if include:
                    selection.learn(every)
                    chosen = _chosen(repository, backup, selection, lost)
                else:
                    chosen = selection.learning(every)
                stretches = Stretches()
                chosen = stretches.learning(chosen)
                for problem in target.check(chosen):
                    running.add(problem)
                for _ in chosen:
                    pass  # a check may stop early, and they are counted as they come
                if not selection.count and lost.found:
                    raise RestoreError(obstacles([*lost.found.values()]), path=where)
                if not selection.count and not has_errors(running.problems):
                    raise RestoreError(
                        f"Nothing in the backup {backup.id} matches what was asked for: look at its entries.",
                        path=where,
                    )
                if dry_run:
                    running.entries = selection.count - running.skipped
                    in_the_way = has_errors(running.problems)
                    lost.tell()
                    outcome: Outcome = "failed" if in_the_way else running.outcome
                    running.destinations.append(_used(backup, outcome))
                    return running.finish(outcome)
                if has_errors(running.problems):
                    raise RestoreError(obstacles(running.problems), path=where)
                lost.tell()
                running.expect(selection.size - in_place.size)
                if workers is None and stretches.worth:
                    workers = workers_for(repository, backup, destination, target, selection, stretches.count)
                    if workers is not None:
                        stack.enter_context(workers)
                if workers is not None and stretches.worth:

                    def those(wants: Callable[[Entry], bool]) -> Iterator[Entry]:
                        return filter(wants, _chosen(repository, backup, selection, lost))

                    entries = workers.around(stretches.rest(those), those, stretches, running, lost.add)
                else:
                    entries = _chosen(repository, backup, selection, lost)
                for problem in target.write(in_place.around(entries)):
                    running.add(problem)
            running.destinations.append(_used(backup, running.outcome))
            return running.finish(running.outcome, written=running.read - in_place.compared)

    def verify(
        self,
        backup: Backup | str = "latest",
        *,
        at: str | None = None,
        share: str | None = None,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Read a backup back in full, at every destination that holds it, and compare each byte's checksums.

        What was found is kept beside the backup: `Backup.verified`, or `damaged`. Raises IntegrityError, with
        the report and every problem in it, if anything is not what was written.

        `share` reads, of a snapshot, all folders but only a part of the contents: `"2/7"` the second of seven equal
        shares, `"10%"` another tenth on each day. Damage that is found counts; that none was found makes no backup
        `verified`. ConfigurationError for an archive, which is read as a whole.
        """
        chosen_share = share_of(share, now=self._clock())
        with self._running("verify", cancel, telling=self._telling()) as running:
            found = self.get(backup, at=at)
            copies, silent = self._copies(found, at)
            copies = copies or [found]
            for unreachable in silent:
                running.fail(unreachable.location, unreachable)
            failures: list[Exception] = []
            for copy in copies:
                before = len(running.problems)
                try:
                    destination = self._destination_of(copy)
                    with self._executor() as executor, self._opened(destination, executor) as repository:
                        verify_copy(
                            running, repository, destination, copy, clock=self._clock, share=chosen_share
                        )
                except OperationCancelledError:
                    raise
                except BackupKitError as error:
                    failures.append(error)
                    running.add(Problem(message=str(error), destination=copy.location))
                problems = tuple(running.problems[before:])
                running.destinations.append(
                    DestinationResult(
                        location=copy.location,
                        outcome="failed" if has_errors(problems) else "succeeded",
                        backup=copy,
                        problems=problems,
                    )
                )
            raise_all(f"The backup {copies[0].id} could not be verified", failures)
            return running.finish(running.outcome)

    def copy(
        self,
        backup: Backup | str | Sequence[Backup | str] = "latest",
        *,
        to: Backups,
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
                    source=self._repository_to_copy,
                    executor=executor,
                    clock=self._clock,
                    dry_run=dry_run,
                )
                copying.copy(chosen)
            return running.finish(running.outcome, written=copying.stored)

    @contextmanager
    def _repository_to_copy(self, backup: Backup, executor: Executor) -> Iterator[Repository]:
        destination = self._destination_of(backup)
        with ExitStack() as stack:
            if self.format.shares_bytes:  # an archive does not fit into memory
                destination = stack.enter_context(StallLimited(destination, self._stall_limit))
            yield stack.enter_context(self._opened(destination, executor))

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
                self._opened,
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
                self._opened,
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
                self._opened,
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

    def _pinned(self, backup: Backup, pin: Pin | None) -> Backup:
        copies, silent = self._copies(backup, None)
        places = [(self._destination_of(copy), copy) for copy in copies]
        return pin_everywhere(backup, places, silent, pin, now=self._clock())

    def _copies(self, backup: Backup, at: str | None) -> tuple[Sequence[Backup], Sequence[DestinationError]]:
        """The backup at each destination that holds it, and the destinations that could not tell."""
        copies: list[Backup] = []
        silent: list[DestinationError] = []
        for destination in self._chosen(at):
            try:
                listed = self._list_at(destination)
            except DestinationError as error:
                silent.append(error)
                continue
            copies += [one for one in listed if (one.name, one.id) == (backup.name, backup.id)]
        return copies, silent

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
        self, destination: Destination, executor: Executor | None = None
    ) -> AbstractContextManager[Repository]:
        return self.format.open(destination, name=self.name, encryptor=self.encryptor, executor=executor)

    def _repository_of(
        self, backup: Backup, executor: Executor | None = None
    ) -> AbstractContextManager[Repository]:
        return self._opened(self._destination_of(backup), executor)

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

    def _telling(self) -> Telling | None:
        """Who is told of an operation besides its observers."""
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


def _chosen(repository: Repository, backup: Backup, selection: Selection, lost: Lost) -> Iterator[Entry]:
    return _read_within(repository, backup, enters=selection.enters, wants=selection.means, lost=lost.add)


def _read_within(
    repository: Repository,
    backup: Backup,
    *,
    enters: Callable[[str], bool],
    wants: Callable[[Entry], bool] = lambda entry: True,
    lost: Callable[[Problem], None] | None = None,
) -> Iterator[Entry]:
    """Those entries of a backup that are wanted, without looking into folders that need not be entered."""
    if isinstance(repository, ReadsWithin):
        return repository.read_within(backup, enters=enters, wants=wants, lost=lost)
    return filter(wants, repository.read(backup))


def raise_if_closed(errors: Sequence[Exception], asked: Sequence[Destination]) -> None:
    """Raise what keeps a repository from being opened, such as a wrong passphrase, if that is so everywhere."""
    reasons = [
        error.__cause__
        for error in errors
        if isinstance(error.__cause__, BackupKitError) and not isinstance(error.__cause__, DestinationError)
    ]
    if len(reasons) == len(asked):
        raise reasons[0]


def _used(backup: Backup, outcome: Outcome) -> DestinationResult:
    return DestinationResult(location=backup.location, outcome=outcome, backup=backup)
