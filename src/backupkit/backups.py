"""`Backups`: what can be done with backups that exist. Needs no more than where they are and a passphrase."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

from backupkit._downloading import download, file_of
from backupkit._finding import warnings_about
from backupkit._keeping_up import KeepingUp
from backupkit._looking_into import LookingInto, read_within
from backupkit._operation import failure_of, has_errors, raise_all
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
from backupkit.errors import (
    ConfigurationError,
    OperationCancelledError,
    RestoreError,
)
from backupkit.model import (
    Backup,
    Contents,
    DestinationResult,
    Entry,
    Outcome,
    Problem,
    Report,
)
from backupkit.protocols import (
    Repository,
    Target,
)
from backupkit.selection import Selection
from backupkit.targets.database import DatabaseTarget
from backupkit.targets.routed import RoutedTarget


class Backups(LookingInto, KeepingUp):
    """The backups at one or more destinations: list, look into, verify and restore them.

    `name` limits everything to one pipeline's backups; None means all that are found. The constructor does no
    I/O; every method connects by itself, so an object can be shared by threads and survives a fork.
    """

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
                repository = stack.enter_context(self._opened(destination, executor, running.check_cancelled))
                workers = None
                if not dry_run:  # they begin while it is checked what is in the way
                    expected = repository.details(backup).entries
                    workers = workers_for(repository, backup, destination, target, selection, expected)
                    if workers is not None:
                        stack.enter_context(workers)
                every = read_within(repository, backup, enters=selection.enters, lost=lost.add)
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
                    return running.finish(outcome, written=selection.size - in_place.size)
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

    def download(
        self,
        backup: Backup | str = "latest",
        *,
        to: str | os.PathLike[str],
        at: str | None = None,
        overwrite: bool = False,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Fetch an archive as the file that it is, to a path or into a folder. Needs no passphrase.

        It is written to a `.partial` file beside, and gets its name when it is as long as at the destination;
        whether it is whole, only `verify` finds out. RestoreError if something is in the way, unless `overwrite`.
        `DestinationResult.file` says where it is. ConfigurationError for a snapshot, which is no file.
        """
        with self._running("download", cancel, telling=self._telling()) as running:
            backup, silent = self._found(backup, at=at)
            for problem in warnings_about(backup, silent):
                running.add(problem)
            with self._repository_of(backup, None, running.check_cancelled) as repository:
                place = download(running, file_of(repository, backup), to, overwrite=overwrite)
            running.destinations.append(replace(_used(backup, "succeeded"), file=str(place)))
            return running.finish("succeeded", written=running.read)

    def verify(
        self,
        backup: Backup | str = "latest",
        *,
        at: str | None = None,
        only: Contents | None = None,
        share: str | None = None,
        notify: bool = True,
        cancel: threading.Event | None = None,
    ) -> Report:
        """Read a backup back in full, at every destination that holds it, and compare each byte's checksums.

        What was found is kept beside the backup: `Backup.verified`, or `damaged`. Raises IntegrityError, with
        the report and every problem in it, if anything is not what was written.

        `share` reads, of a snapshot, all folders but only a part of the contents: `"2/7"` the second of seven equal
        shares, `"10%"` another tenth on each day. Damage that is found counts; that none was found makes no backup
        `verified`. ConfigurationError for an archive, which is read as a whole.

        With `only`, "latest" is the newest good backup that holds this kind of contents; it is read in full. With
        `notify=False` no notifier hears of it.
        """
        chosen_share = share_of(share, now=self._clock())
        with self._running("verify", cancel, telling=self._telling(notify=notify)) as running:
            found = self.get(backup, at=at, only=only)
            copies, silent = self._copies(found, at)
            copies = copies or [found]
            for unreachable in silent:
                running.fail(unreachable.location, unreachable)
            failures: list[Exception] = []
            for copy in copies:
                before = len(running.problems)
                try:
                    destination = self._destination_of(copy)
                    with (
                        self._executor() as executor,
                        self._opened(destination, executor, running.check_cancelled) as repository,
                    ):
                        verify_copy(
                            running, repository, destination, copy, clock=self._clock, share=chosen_share
                        )
                except OperationCancelledError:
                    raise
                except Exception as error:  # of a destination that breaks its contract, too
                    failures.append(failure := failure_of(copy.location, error))
                    running.add(Problem(message=str(failure), destination=copy.location))
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


def _chosen(repository: Repository, backup: Backup, selection: Selection, lost: Lost) -> Iterator[Entry]:
    return read_within(repository, backup, enters=selection.enters, wants=selection.means, lost=lost.add)


def _used(backup: Backup, outcome: Outcome) -> DestinationResult:
    return DestinationResult(location=backup.location, outcome=outcome, backup=backup)
