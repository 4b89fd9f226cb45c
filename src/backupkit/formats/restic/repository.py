"""All snapshots at one destination, or those of one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from backupkit.errors import (
    BackupNotFoundError,
    ConfigurationError,
    ObjectNotFoundError,
    RepositoryNotFoundError,
)
from backupkit.formats.restic.checking import structural_problems
from backupkit.formats.restic.copying import copy_snapshot
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create, open_existing
from backupkit.formats.restic.reading import entries_of
from backupkit.formats.restic.saving import Run
from backupkit.formats.restic.several import opener, write_snapshots
from backupkit.formats.restic.snapshots import Snapshot, named
from backupkit.model import Backup, Contents, Entry, Part, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks, Compressor, Destination
from backupkit.retrying import Retry

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
        passphrase: Passphrase,
        executor: Executor | None,
        creates: bool,
        workers: int | None,
        host: str,
        program: str,
    ) -> None:
        self._destination = destination
        self._name = name
        self._compressor = compressor
        self._passphrase = passphrase
        self._executor = executor
        self._creates = creates
        self._workers = workers
        self._host = host
        self._program = program
        self._opened: OpenedRepository | None = None
        self._known: dict[_Key, Snapshot] = {}

    def write(
        self,
        entries: Iterable[Entry | Problem | Part],
        *,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str] = (),
        retry: Retry,
    ) -> Written:
        if self._name is None:
            raise ConfigurationError(
                "A backup is written under a pipeline's name: open the repository with one."
            )
        run = Run(
            name=self._name,
            time=time,
            contents=contents,
            tags=tags,
            host=self._host,
            program=self._program,
            workers=self._workers,
        )
        written = write_snapshots(
            {0: opener(Objects(self._destination, retry=retry), self._passphrase)},
            entries,
            run,
            creates=self._creates,
            compressor=self._compressor,
            executor=self._executor,
            retry=retry,
            failed=lambda _number, _error: None,  # the only one there is: it is raised
        )
        return written[0]

    def list(self) -> Iterator[Backup]:
        try:
            opened = self._open()
        except RepositoryNotFoundError:
            return
        self._known = {}
        for id, snapshot in named(opened.snapshots()):
            backup = snapshot.backup(id, opened.location)
            if self._name in (None, backup.name) or backup.made_by == "other":
                self._known[backup.name, backup.id] = snapshot
                yield snapshot.detailed(backup)  # which costs no other read

    def details(self, backup: Backup) -> Backup:
        return self._snapshot_of(backup).detailed(backup)

    def read(self, backup: Backup) -> Iterator[Entry]:
        snapshot = self._snapshot_of(backup)
        yield from entries_of(self._open(), snapshot.tree, executor=self._executor)

    def copy(self, backup: Backup, to: Destination, *, each: Callable[[Chunks], Chunks] = iter) -> Backup:
        snapshot = self._snapshot_of(backup)
        there = Objects(to)
        try:
            other = open_existing(there, self._passphrase)
        except RepositoryNotFoundError:
            if not self._creates:
                raise
            other = create(there, self._passphrase, polynomial=self._open().config.polynomial)
        copy_snapshot(
            self._open(), snapshot, other, compressor=self._compressor, executor=self._executor, each=each
        )
        return replace(backup, location=to.location)

    def check(self, backup: Backup) -> Iterator[Problem]:
        return structural_problems(self._open(), self._snapshot_of(backup))

    def confirm(self, backup: Backup) -> Backup:
        """A snapshot says itself how its run ended."""
        return self._snapshot_of(backup).backup(backup.id, backup.location)

    def remove(self, backup: Backup) -> None:
        try:
            snapshot = self._snapshot_of(backup)
            self._open().objects.delete("snapshots", snapshot.id)
        except (BackupNotFoundError, ObjectNotFoundError):
            return  # somebody else was faster
        self._known.pop((backup.name, backup.id), None)

    def prune(self) -> int:
        """Nothing yet: what no snapshot refers to stays stored until restic's own `prune` deletes it."""
        return 0

    def _open(self) -> OpenedRepository:
        if self._opened is None:
            self._opened = open_existing(Objects(self._destination), self._passphrase)
        return self._opened

    def _snapshot_of(self, backup: Backup) -> Snapshot:
        key = backup.name, backup.id
        if key not in self._known:
            for _ in self.list():
                pass
        if key not in self._known:
            raise BackupNotFoundError(
                f"There is no snapshot {backup.id} of {backup.name} at {self._destination.location}: list the "
                "backups again, it may have been removed."
            )
        return self._known[key]
