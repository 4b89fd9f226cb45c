"""All snapshots at one destination, or those of one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from backupkit.errors import (
    BackupNotFoundError,
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
    RepositoryError,
    RepositoryNotFoundError,
    WrongPassphraseError,
)
from backupkit.events import Expected
from backupkit.formats.restic.access import Access
from backupkit.formats.restic.keyring import Keyring
from backupkit.formats.restic.locks import Lease, idle, remove_locks
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import SnapshotReader, entries_of
from backupkit.formats.restic.snapshots import Snapshot, named, unreadable
from backupkit.model import (
    DUMPS,
    Backup,
    Contents,
    Difference,
    Entry,
    Essentials,
    Found,
    Growth,
    Key,
    KeyChange,
    Manifest,
    Part,
    Passed,
    Problem,
    Pruned,
    Repaired,
    Share,
    Taken,
    Unlocked,
    Written,
)
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks, Compressor, Destination, Repository, nothing
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry

# What only some of the verbs need is imported by them: all of it takes 0.06 seconds.
if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backupkit.formats.restic.browsing import SnapshotBrowser
    from backupkit.formats.restic.checking import Checker
    from backupkit.formats.restic.copying import Copied

_MOST_SHARED = 1_000_000  # blobs, of which the table takes 62 MB in each process that reads a snapshot

_Key: TypeAlias = tuple[str, str]


class ResticRepository:
    """See `protocols.Repository`. Nothing is asked of the destination before something is asked of this.

    Listing needs the passphrase. Snapshots that restic made are listed, whatever the name, as made by others.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        name: str | None,
        compressor: Compressor,
        access: Access,
        executor: Executor | None,
        between: Callable[[], None],
        workers: int | None,
        limits: PruneLimits,
        host: str,
        program: str,
    ) -> None:
        self._destination = destination
        self._name = name
        self._compressor = compressor
        self._access = access
        self._executor = executor
        self._between = between
        self._workers = workers
        self._limits = limits
        self._host = host
        self._program = program
        self._opened: OpenedRepository | None = None
        self._known: dict[_Key, Snapshot] = {}
        self._unreadable: dict[_Key, IntegrityError] = {}
        self._lock = ExitStack()
        self._lease: Lease | None = None

    def __enter__(self) -> ResticRepository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def write(
        self,
        entries: Iterable[Entry | Problem | Part],
        *,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str] = (),
        host: str | None = None,
        retry: Retry,
    ) -> Written:
        if self._name is None:
            raise ConfigurationError(
                "A backup is written under a pipeline's name: open the repository with one."
            )
        from backupkit.formats.restic.saving import Run
        from backupkit.formats.restic.several import write_snapshots

        run = Run(
            name=self._name,
            time=time,
            contents=contents,
            tags=tags,
            host=self._host if host is None else host,
            program=self._program,
            workers=self._workers,
        )
        written = write_snapshots(
            {0: self._destination},
            entries,
            run,
            access=self._access,
            compressor=self._compressor,
            executor=self._executor,
            retry=retry,
            failed=lambda _number, _error: None,  # the only one there is: it is raised
            noticed=lambda _problem: None,  # it is among those of what was written
        )
        return written[0]

    def list(self) -> Iterator[Backup]:
        try:
            opened = self._open()
        except RepositoryNotFoundError:
            return
        self._known, self._unreadable = {}, {}
        opened.look_again()
        damaged: dict[str, IntegrityError] = {}
        for id, snapshot in named(opened.snapshots(damaged=damaged)):
            backup = snapshot.backup(id, opened.location)
            if self._name in (None, backup.name) or backup.made_by == "other":
                self._known[backup.name, backup.id] = snapshot
                yield snapshot.detailed(backup)  # which costs no other read
        for id, error in damaged.items():  # one of them must not hide the others, nor be overlooked
            backup = unreadable(id, opened.location)
            self._unreadable[backup.name, backup.id] = error
            yield backup

    def details(self, backup: Backup) -> Backup:
        return self._snapshot_of(backup).detailed(backup)

    def read(self, backup: Backup) -> Iterator[Entry]:
        repository = self._locked()
        yield from entries_of(repository, self._snapshot_of(backup), executor=self._executor)

    def read_within(
        self,
        backup: Backup,
        *,
        enters: Callable[[str], bool],
        wants: Callable[[Entry], bool],
        lost: Callable[[Problem], None] | None = None,
    ) -> Iterator[Entry]:
        repository = self._locked()
        snapshot = self._snapshot_of(backup)
        yield from entries_of(
            repository, snapshot, executor=self._executor, enters=enters, wants=wants, lost=lost
        )

    def reader(self, backup: Backup) -> SnapshotReader | None:
        repository = self._locked()
        snapshot = self._snapshot_of(backup)
        repository.need_index()
        return SnapshotReader(repository, snapshot) if len(repository.index) <= _MOST_SHARED else None

    def manifest(self, backup: Backup) -> Manifest:
        """See `protocols.HasManifests`. Of the folders, only those of dumps are read."""
        browser = self.browser(backup)

        def dumps_in(folder: str) -> Iterator[Entry]:
            for entry in browser.children(folder):
                if entry.kind == "directory":
                    yield from dumps_in(entry.path)
                elif entry.kind == "file":
                    yield entry

        try:
            dumps = [*dumps_in(DUMPS)]
        except (FileNotFoundError, NotADirectoryError):
            dumps = []
        return self._snapshot_of(backup).manifest(dumps)

    def browser(self, backup: Backup) -> SnapshotBrowser:
        """Not locked, so that it may be used for weeks: a blob that a prune has moved is looked for again."""
        from backupkit.formats.restic.browsing import SnapshotBrowser

        repository = self._open()
        repository.without_lock = True
        return SnapshotBrowser(repository, self._snapshot_of(backup))

    def copy(self, backup: Backup, to: Destination, *, each: Callable[[Chunks], Chunks] = iter) -> Backup:
        from backupkit.formats.restic.copying import copy_snapshot

        repository = self._locked()
        snapshot = self._snapshot_of(backup)
        try:
            other = self._access.opened(to)
        except RepositoryNotFoundError:
            other = self._access.made(to, polynomial=repository.config.polynomial)
        with self._access.locked(other, between=self._between) as other.lease:
            copy_snapshot(
                repository, snapshot, other, compressor=self._compressor, executor=self._executor, each=each
            )
        return replace(backup, location=to.location)

    def takes_from(self, other: Repository) -> bool:
        return isinstance(other, ResticRepository)

    def take_over(
        self,
        backups: Sequence[Backup],
        other: Repository,
        *,
        retry: Retry,
        passed: Callable[[Passed], None],
        noticed: Callable[[Problem], None],
    ) -> Iterator[Taken]:
        """See `protocols.TakesOver`. A new repository gets the chunker parameter of the other one."""
        from backupkit.formats.restic.copying import copy_snapshots

        assert isinstance(other, ResticRepository)  # noqa: S101  # see takes_from
        whence = other._locked()
        whole: dict[str, Backup] = {}
        damaged: list[Taken] = []
        for backup in backups:
            try:
                whole[other._snapshot_of(backup).id] = backup
            except (BackupNotFoundError, IntegrityError) as error:
                damaged.append(Taken(of=backup, error=error))
        repository = self._ready_for(whence, retry, noticed)
        yield from damaged
        for one in copy_snapshots(
            whence,
            [other._snapshot_of(backup) for backup in whole.values()],
            repository,
            compressor=self._compressor,
            executor=self._executor,
            passed=passed,
        ):
            yield self._taken(whole[one.of.id], one)

    def _ready_for(
        self, other: OpenedRepository, retry: Retry, noticed: Callable[[Problem], None]
    ) -> OpenedRepository:
        """The repository, made if there is none, and locked to be written to."""
        from backupkit.formats.restic.several import news_of

        try:
            repository = self._access.opened(self._destination, retry)
        except RepositoryNotFoundError:
            polynomial = other.config.polynomial
            repository = self._access.made(self._destination, retry, polynomial=polynomial)
            noticed(news_of(repository))
        if repository.config.polynomial != other.config.polynomial:
            noticed(_cut_otherwise(other, repository))
        self._lock.close()  # one for reading may be none at all
        lock = self._access.locked(repository, between=lambda: retry.sleep(0))
        self._lease = repository.lease = self._lock.enter_context(lock)
        self._opened, self._known = repository, {}
        return repository

    def _taken(self, backup: Backup, copied: Copied) -> Taken:
        copy, there = (
            None if one is None else self._as_listed(one, backup) for one in (copied.copy, copied.there)
        )
        return Taken(of=backup, copy=copy, error=copied.error, stored=copied.stored, there=there)

    def _as_listed(self, copy: Snapshot, backup: Backup) -> Backup:
        """A copy of this backup, by the id that it has here."""
        id = backup.id
        if copy.name is None or copy.repaired:
            id, _ = next(named([copy]))
        return copy.detailed(copy.backup(id, self._destination.location))

    def check(self, backup: Backup) -> Iterator[Problem]:
        return self._checker_of(backup).structure()

    def check_data(self, backup: Backup, *, share: Share | None) -> Iterator[Problem | Passed | Expected]:
        return self._checker_of(backup).data(share)

    def differences(
        self,
        before: Backup,
        other: Repository,
        after: Backup,
        *,
        folders: tuple[str, str],
        metadata: bool,
        between: Callable[[], None] = nothing,
    ) -> Iterator[Difference | Problem | tuple[int, int]] | None:
        if not isinstance(other, ResticRepository):
            return None
        from backupkit.formats.restic.comparing import Side, SnapshotComparison

        sides = [
            Side(repository._locked(), repository._snapshot_of(backup), folder)
            for repository, backup, folder in ((self, before, folders[0]), (other, after, folders[1]))
        ]
        comparison = SnapshotComparison(*sides, executor=self._executor)
        return comparison.differences(metadata=metadata, between=between)

    def find(
        self, backups: Iterable[Backup], *, enters: Callable[[str], bool], matches: Callable[[str], bool]
    ) -> Iterator[Found | Problem]:
        from backupkit.formats.restic.looking import Searcher

        repository = self._locked()
        searcher = Searcher(repository, enters=enters, matches=matches, executor=self._executor)
        for backup in backups:
            try:
                snapshot = self._snapshot_of(backup)
            except (BackupNotFoundError, IntegrityError) as error:
                yield Problem(message=str(error), destination=self._destination.location)
                continue
            for found in searcher.find(snapshot):
                yield found if isinstance(found, Problem) else Found(backup=backup, entry=found)

    def growth(self, backups: Iterable[Backup], *, between: Callable[[], None] = nothing) -> Iterator[Growth]:
        from backupkit.formats.restic.measuring import Measurer

        repository = self._locked()
        snapshots = [(backup, self._snapshot_of(backup)) for backup in backups]
        measurer = Measurer(repository, self._executor)
        for backup, snapshot in snapshots:
            measured = measurer.measure(snapshot.tree, between=between)
            yield Growth(backup=backup, **measured._asdict())

    def _checker_of(self, backup: Backup) -> Checker:
        from backupkit.formats.restic.checking import Checker

        repository = self._locked()
        return Checker(repository, self._snapshot_of(backup), self._executor)

    def confirm(self, backup: Backup) -> Backup:
        """A snapshot says itself how its run ended."""
        return self._snapshot_of(backup).backup(backup.id, backup.location)

    def remove(self, backup: Backup) -> None:
        repository = self._locked(exclusive=True)
        try:
            snapshot = self._snapshot_of(backup)
            self._known.pop((backup.name, backup.id), None)  # whatever is answered, it may be gone then
            repository.objects.delete("snapshots", snapshot.id)
        except (BackupNotFoundError, ObjectNotFoundError):
            return  # somebody else was faster

    def prune(
        self,
        *,
        without: Collection[Backup] = (),
        limits: PruneLimits | None = None,
        dry_run: bool = False,
        between: Callable[[], None] = nothing,
    ) -> Pruned:
        from backupkit.formats.restic.pruning import Pruner

        if without and not dry_run:
            raise ConfigurationError(
                "As if backups were gone is only pruned in a dry run: remove them first."
            )
        try:
            opened = self._open()
        except RepositoryNotFoundError:
            return Pruned(freed=0)
        repository = opened.by_itself()  # others may have the index of this one changed
        self._locked(exclusive=not dry_run, between=between, settle=repository.load_index_for)
        spared = {(backup.name, backup.id) for backup in without}
        trees = {
            snapshot.id: snapshot.tree
            for id, snapshot in named(opened.snapshots())
            if (snapshot.backup(id, "").name, id) not in spared
        }
        if not dry_run:
            repository.lease = self._lease
            if missing := {snapshot.id for snapshot in self._known.values()} - trees.keys():
                raise RepositoryError(
                    f"The snapshot {min(missing)} is not listed at {repository.location} any more, where it was a "
                    "moment ago: nothing is deleted, because what is listed cannot be all. Prune again."
                )
        pruner = Pruner(repository, self._compressor, self._executor, between)
        try:
            return pruner.prune(trees, limits or self._limits, dry_run=dry_run)
        finally:
            opened.forget_index()

    def repair(
        self,
        *,
        quick: bool,
        forget: Callable[[Backup], bool] | None,
        dry_run: bool,
        between: Callable[[], None] = nothing,
    ) -> Iterator[Problem | Passed | Expected | Repaired]:
        """See `protocols.Repairs`. Of the snapshots, only those of the name, if there is one."""
        from backupkit.formats.restic.repairing import Repairer

        opened = self._locked(exclusive=not dry_run, between=between)
        repository = opened.uncached()
        repository.lease = self._lease
        repairer = Repairer(
            repository=repository,
            compressor=self._compressor,
            executor=self._executor,
            quick=quick,
            dry_run=dry_run,
            forget=forget,
            mine=lambda backup: self._name in (None, backup.name),
            between=between,
        )
        try:
            yield from repairer.repair()
        finally:
            opened.forget_index()
            self._known = {}

    def unlock(self, *, force: bool = False, between: Callable[[], None] = nothing) -> Unlocked:
        try:
            repository = self._open()
        except RepositoryNotFoundError:
            return Unlocked()
        return remove_locks(repository.objects, repository.sealer, force=force, between=between)

    def keys(self) -> Sequence[Key]:
        return Keyring(self._open(), self._access.passphrase).list()

    def add_key(self, passphrase: Passphrase) -> KeyChange:
        repository = self._locked()
        return Keyring(repository, self._access.passphrase, lease=self._lease).add(passphrase)

    def remove_key(self, id: str) -> KeyChange:
        repository = self._locked(exclusive=True)
        return Keyring(repository, self._access.passphrase, lease=self._lease).remove(id)

    def change_passphrase(self, new: Passphrase) -> KeyChange:
        try:
            repository = self._locked(exclusive=True)
        except WrongPassphraseError as error:
            try:
                repository = replace(self._access, passphrase=new).opened(self._destination)
            except WrongPassphraseError:
                raise error from None
            return KeyChange(now=tuple(Keyring(repository, new).list()))  # it was changed before
        return Keyring(repository, self._access.passphrase, lease=self._lease).change(new)

    def essentials(self) -> Essentials:
        return Keyring(self._open(), self._access.passphrase).essentials()

    def _open(self) -> OpenedRepository:
        if self._opened is None:
            self._opened = self._access.opened(self._destination)
        return self._opened

    def _locked(
        self,
        *,
        exclusive: bool = False,
        between: Callable[[], None] | None = None,
        settle: Callable[[float], None] = idle,
    ) -> OpenedRepository:
        """The repository, locked until this is closed; to read where no lock can be written, without one."""
        repository = self._open()
        if self._lease is None or (exclusive and not self._lease.exclusive):
            self._lock.close()
            self._lease = None
            lock = self._access.locked(
                repository,
                exclusive=exclusive,
                or_without=not exclusive,
                between=between or self._between,
                settle=settle,
            )
            self._lease = self._lock.enter_context(lock)
            repository.without_lock = repository.without_lock or not self._lease.is_held
            self._known = {}  # what was seen before may have changed until now
        return repository

    def _snapshot_of(self, backup: Backup) -> Snapshot:
        key = backup.name, backup.id
        if key not in self._known:
            for _ in self.list():
                pass
        if key in self._unreadable:
            raise self._unreadable[key]
        if key not in self._known:
            raise BackupNotFoundError(
                f"There is no snapshot {backup.id} of {backup.name} at {self._destination.location}: list the "
                "backups again, it may have been removed."
            )
        return self._known[key]


def _cut_otherwise(other: OpenedRepository, repository: OpenedRepository) -> Problem:
    return Problem(
        message=f"The repository at {repository.location} cuts large files in other places than the one at "
        f"{other.location}: what is copied is whole, but new backups of the same large files share nothing with it "
        "until they were stored once. A repository that copying makes cuts as the other one does.",
        severity="warning",
        check="repository",
        destination=repository.location,
    )
