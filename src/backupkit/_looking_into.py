"""The verbs of `Backups` that only look: into one backup, at two, over all of them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from backupkit._at_destinations import AtDestinations, raise_if_closed
from backupkit._comparing import Comparison
from backupkit._downloading import file_of
from backupkit._entry_file import EntryFile
from backupkit._finding import newest_first
from backupkit._looking import Wanted, chosen_between, found_in
from backupkit._measuring import growth_of
from backupkit._operation import raise_all
from backupkit.errors import (
    BackupNotFoundError,
    DestinationError,
    IntegrityError,
    OperationCancelledError,
)
from backupkit.model import (
    Backup,
    Entry,
    Found,
    Manifest,
    Problem,
    Statistics,
)
from backupkit.protocols import (
    HasManifests,
    ReadsWithin,
    Repository,
)

if TYPE_CHECKING:
    from backupkit.browsing import BackupFileSystem


class LookingInto(AtDestinations):
    """See `Backups`."""

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
            for entry in read_within(
                repository,
                backup,
                enters=lambda folder: path.startswith(f"{folder}/"),
                wants=lambda entry: entry.path == path,
            ):
                if entry.path == path and entry.kind in ("file", "hardlink"):
                    raw = EntryFile(entry.chunks(), stack.pop_all())
                    return cast("BinaryIO", io.BufferedReader(raw, 1 << 20))
        raise BackupNotFoundError(f"The backup {backup.id} holds no file {path!r}: look at its entries.")

    def file(self, backup: Backup | str = "latest", *, at: str | None = None) -> Entry:
        """An archive as the file that it is stored as, encrypted if it is; its content can be pulled at any time.

        IntegrityError at the end if that is not as long as it should be. ConfigurationError for a snapshot.
        """
        backup = self.get(backup, at=at)
        with self._repository_of(backup) as repository:
            return file_of(repository, backup)

    def manifest(self, backup: Backup | str = "latest", *, at: str | None = None) -> Manifest:
        """What the backup itself says of its run: program, sources, problems, dumps with their counts of rows.

        Its contents are not read, unless it is encrypted as a whole. WrongPassphraseError if it does not open.
        """
        backup = self.get(backup, at=at)
        with self._repository_of(backup) as repository:
            return repository.manifest(backup) if isinstance(repository, HasManifests) else Manifest()

    def file_system(self, *, at: str | None = None) -> BackupFileSystem:
        """The backups as a read-only file system of fsspec's: `<id>/<path>`, and `latest/<path>`.

        `at` names a destination; otherwise each backup is read from the first that has it. See `BackupFileSystem`.
        """
        from backupkit.browsing import BackupFileSystem  # which takes fsspec to import

        return BackupFileSystem(self, at=at)

    def diff(
        self,
        before: Backup | str,
        after: Backup | str = "latest",
        *,
        at: str | None = None,
        folder: str | tuple[str, str] = "",
        metadata: bool = True,
        other: AtDestinations | None = None,
        cancel: threading.Event | None = None,
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
        between = ended_by(cancel, "Comparing was cancelled.")

        def opened(stack: ExitStack) -> tuple[Repository, Repository]:
            executor = stack.enter_context(self._executor())
            repository = stack.enter_context(self._opened(places[0], executor, between))
            if second is self and places[0] is places[1]:
                return repository, repository
            return repository, stack.enter_context(second._opened(places[1], executor, between))

        return Comparison(before, after, opened, folders=folders, metadata=metadata, between=between)

    def _both(
        self, before: Backup | str, after: Backup | str, second: AtDestinations, at: str | None
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
        cancel: threading.Event | None = None,
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
        between = ended_by(cancel, "Looking through the backups was cancelled.")
        wanted = Wanted(patterns, ignore_case=ignore_case, between=between)
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
            with self._executor() as executor, self._opened(destination, executor, between) as repository:
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
        archives, nothing is read but what they say beside them, and the directories of those that lack that. A
        destination that does not answer has a problem and no figures. IntegrityError if a backup is damaged: no
        figure would be right.
        """
        between = ended_by(cancel, "The statistics were cancelled.")
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
            with self._executor() as executor, self._opened(destination, executor, between) as repository:
                growth = tuple(growth_of(repository, oldest_first, between))
            statistics.append(Statistics(location=location, growth=growth))
        raise_if_closed(silent, self._chosen(at))
        return statistics


def ended_by(cancel: threading.Event | None, told: str) -> Callable[[], None]:
    """What to call now and then: it raises OperationCancelledError once `cancel` is set."""

    def between() -> None:
        if cancel is not None and cancel.is_set():
            raise OperationCancelledError(told)

    return between


def read_within(
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
