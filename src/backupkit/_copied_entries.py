"""The entries of a backup that is copied, as a source gives them to whoever writes it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backupkit._operation import Running
from backupkit.errors import (
    BackupKitError,
    DestinationError,
    HookError,
    IntegrityError,
    OperationCancelledError,
    WrongPassphraseError,
    told,
)
from backupkit.model import DUMPS, Backup, Contents, Entry, Origin, Problem
from backupkit.protocols import ReadsWithin, Repository

_EPOCH = datetime.fromtimestamp(0, UTC)


class OtherTroubleError(HookError):
    """What went wrong while an entry was read, and is no damage of it: the place could not be asked, for instance.

    Formats let a HookError end a run; anything else would be an entry that is left out.
    """

    def __init__(self, error: BackupKitError) -> None:
        super().__init__(str(error))
        self.error = error


class CopiedEntries:
    """All entries of one backup. `inherited` says why the copy is as incomplete as the backup is.

    `contents` are known after `learn`, unless the backup says them.
    """

    def __init__(self, running: Running, repository: Repository, backup: Backup) -> None:
        self._running = running
        self._repository = repository
        self._backup = backup
        self._links: Mapping[str, int] = {}  # how many names the file at this path has
        self._numbers: dict[str, int] = {}
        self.contents: frozenset[Contents] = frozenset()
        self.inherited: Sequence[Problem] = ()
        if not backup.good:
            message = (
                f"The backup {backup.id} at {backup.location} is {state_of(backup)}, and so is its copy."
            )
            self.inherited = (Problem(message=message, destination=backup.location),)

    def learn(self, *, links: bool) -> None:
        """Look through the entries, if anything has to be known of them beforehand.

        With `links`, which files have several names: snapshots say so with the first of them.
        """
        counted: dict[str, int] = {}
        contents: set[Contents] = set()
        if links or not self._backup.contents:
            for entry in self._found([]):
                self._running.check_cancelled()
                if entry.kind == "hardlink" and entry.target is not None:
                    counted[entry.target] = counted.get(entry.target, 1) + 1
                if entry.kind != "directory":
                    contents.add("databases" if entry.path.startswith(f"{DUMPS}/") else "files")
        self.contents = frozenset(contents or {"files"})
        if links:
            self._links = counted
            self._numbers = {path: number for number, path in enumerate(counted, start=1)}

    def entries(self) -> Iterator[Entry | Problem]:
        """All of them that can be read. What is damaged is a problem in its place."""
        yield from self.inherited
        lost: list[Problem] = []
        for entry in self._found(lost):
            yield from lost
            lost.clear()
            yield self._running.watched(self._again(entry))
        yield from lost

    def _found(self, lost: list[Problem]) -> Iterator[Entry]:
        if isinstance(self._repository, ReadsWithin):
            return self._repository.read_within(
                self._backup, enters=lambda _: True, wants=lambda _: True, lost=lost.append
            )
        return self._repository.read(self._backup)

    def _again(self, entry: Entry) -> Entry:
        """The entry as it is written: its rows counted, its links known, other trouble than damage told apart."""
        if entry.kind not in ("file", "hardlink"):
            return entry
        rows: dict[str, int] = {}

        def chunks() -> Iterator[bytes]:
            try:
                yield from entry.chunks()
            except (IntegrityError, WrongPassphraseError, OperationCancelledError):
                raise
            except BackupKitError as error:
                raise OtherTroubleError(error) from error
            except Exception as error:
                message = f"{entry.path} could not be read from {self._backup.location}: {told(error)}"
                failure = DestinationError(message, location=self._backup.location)
                raise OtherTroubleError(failure) from error
            rows.update(entry.rows)

        first = entry.target if entry.kind == "hardlink" else entry.path
        origin = None
        if first is not None and (links := self._links.get(first)) is not None:
            # Numbers that hold for this backup alone, and a time that no file has changed at, so that nobody takes
            # it for a file of this machine.
            time = (self._backup.time - _EPOCH) // timedelta(microseconds=1) * 1000
            origin = Origin(
                path=f"/{entry.path}", inode=self._numbers[first], device=0, links=links, changed_ns=time
            )
        return replace(entry, chunks=chunks, reusing=None, within=None, rows=rows, warnings=[], origin=origin)


def state_of(backup: Backup) -> str:
    return "damaged" if backup.damaged else "unconfirmed" if backup.complete is None else "incomplete"
