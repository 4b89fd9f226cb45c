"""`DropboxStore`: objects by upload sessions, several appends under way at once, and one call that makes a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from itertools import repeat
from typing import TYPE_CHECKING

from dropbox.exceptions import ApiError
from dropbox.files import FileMetadata

from backupkit._parallel import map_ordered
from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import AskingInThreads
from backupkit.filesystems.dropbox.account import Account, Entry
from backupkit.filesystems.dropbox.sessions import (
    ContentHash,
    Session,
    commit_info,
    lost_is_passing,
    part_size,
)
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.parts import cut
from backupkit.filesystems.stores import Found, Piece
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from backupkit.filesystems.dropbox.file_system import DropboxFileSystem

_PIECE = 4 << 20


class DropboxStore:
    """Dropbox takes names that differ only in case for one. So a name is only found as it is spelled there, and
    nothing is written under another spelling of one that exists.

    What a killed process leaves is visible nowhere, cannot be listed, and goes after a week.
    """

    def __init__(self, file_system: DropboxFileSystem, transfer: Transfer) -> None:
        self._account = file_system.account(transfer)
        self._spelled = {""}  # folders that are, in Dropbox, spelled like this

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self, self._account, _absolute(path), overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        found = self.look(path)
        if found is None or found.tag is None:
            raise FileNotFoundError(path)
        end = found.size if length is None else min(start + length, found.size)
        if start >= end:
            yield Piece(content=b"", size=found.size, tag=found.tag)
            return
        revision = found.tag

        def piece(position: int) -> Piece:
            content = self._account.content(revision, position, min(position + _PIECE, end))
            return Piece(content=content, size=found.size, tag=revision)

        threads = AskingInThreads(self._account.transfer)
        yield from map_ordered(
            threads, piece, range(start, end, _PIECE), window=self._account.transfer.concurrency
        )

    def look(self, path: str) -> Found | None:
        path = _absolute(path)
        folder, _, name = path.rpartition("/")
        entry = self._account.entry(path) if self.check_spelling(folder) else None
        if not isinstance(entry, FileMetadata) or not _spells(entry, name):
            return None
        return _found(path, entry)

    def find(self, prefix: str) -> Iterator[Found]:
        prefix = _absolute(prefix)
        folder = prefix.rpartition("/")[0]
        if not self.check_spelling(folder):
            return
        try:
            for path, entry in self._account.entries(folder, recursive=True):
                if path.startswith(prefix) and isinstance(entry, FileMetadata):
                    yield _found(path, entry)
        except ApiError as error:
            if failure_of(error).meaning != "missing":
                raise

    def remove(self, path: str) -> None:
        # Not found: that it was there has been seen, so an attempt whose answer was lost has removed it.
        try:
            self._account.ask(self._account.client.files_delete_v2, _absolute(path))
        except ApiError as error:
            if failure_of(error).meaning != "missing":
                raise

    def check_free(self, path: str) -> None:
        """Raise ConfigurationError if the name, or that of a folder above, exists in another spelling."""
        folder, _, name = path.rpartition("/")
        entry = self._account.entry(path) if self.check_spelling(folder) else None
        if entry is not None and not _spells(entry, name):
            raise _differs(entry.name, name)

    def check_spelling(self, folder: str) -> bool:
        """Raise ConfigurationError if Dropbox spells the folder in another way; say whether it is there."""
        if folder in self._spelled:
            return True
        above, _, name = folder.rpartition("/")
        entry = self._account.entry(folder) if self.check_spelling(above) else None
        if entry is None:
            return False  # the first object makes it
        if not _spells(entry, name):
            raise _differs(entry.name, name)
        self._spelled.add(folder)
        return True


class _Upload:
    """An object of one part is one request, at the commit; larger ones are sent by a session."""

    def __init__(self, store: DropboxStore, account: Account, path: str, overwrite: bool) -> None:
        self._store = store
        self._account = account
        self._path = path
        self._overwrite = overwrite
        # Strictly: a file of the same content is another's too, and may be spelled in another way.
        self._info = commit_info(path, overwrite=overwrite, strict=not overwrite)
        self._hash = ContentHash()
        self._size = 0
        self._small = b""
        self._session: Session | None = None
        self._made: str | None = None

    def send(self, chunks: Iterator[bytes]) -> None:
        self._store.check_free(self._path)
        transfer = self._account.transfer
        concurrent = transfer.concurrency > 1
        parts = cut(chunks, repeat(part_size(transfer.part_size, concurrent=concurrent)))
        held = next(parts, b"")
        following = next(parts, None)
        if following is None:
            self._count(held)
            self._small = held
            return
        session = Session(self._account, concurrent=concurrent)

        def all_but_the_last() -> Iterator[tuple[int, bytes]]:
            nonlocal held, following
            while following is not None:
                yield self._count(held), held
                held, following = following, None  # nothing else keeps what was sent in memory
                following = next(parts, None)

        def append(part: tuple[int, bytes]) -> None:
            session.append(*part, last=False)

        threads = AskingInThreads(transfer)
        with lost_is_passing():
            for _ in map_ordered(threads, append, all_but_the_last(), window=transfer.concurrency):
                pass
            self._account.ask(
                session.append, self._count(held), held, last=True
            )  # alone: it closes the session
        self._session = session

    @property
    def checksum(self) -> str:
        return self._hash.hexdigest()

    def commit(self) -> None:
        # A session that an earlier attempt finished, whose answer was lost, is gone; then the file is looked at.
        with lost_is_passing():
            made = self._account.ask(self._make)
        self._made = made.rev
        try:
            self._store.check_spelling(self._path.rpartition("/")[0])
        except ConfigurationError:
            # Somebody has just made the folder in another spelling, and would take it for an object of theirs.
            if not self._overwrite:
                with suppress(Exception):
                    self._account.ask(self._account.client.files_delete_v2, self._path, self._made)
            raise

    def made(self, found: Found) -> bool:
        return found.tag == self._made

    def abort(self) -> None:
        """Nothing to do: a session cannot be ended, is visible nowhere, and goes by itself after a week."""

    def _make(self) -> FileMetadata:
        if self._session is not None:
            return self._session.finish(self._size, self._info)
        info = self._info
        return self._account.client.files_upload(
            self._small,
            info.path,
            mode=info.mode,
            autorename=False,
            mute=True,
            strict_conflict=info.strict_conflict,
            content_hash=self.checksum,
        )

    def _count(self, part: bytes) -> int:
        """Where the part stands in the object."""
        offset = self._size
        self._hash.update(part)
        self._size += len(part)
        return offset


def _spells(entry: Entry, name: str) -> bool:
    return unicodedata.normalize("NFC", entry.name) == unicodedata.normalize("NFC", name)


def _differs(there: str, asked: str) -> ConfigurationError:
    return ConfigurationError(
        f"Dropbox has {there!r}, and takes {asked!r} for the same name, since they differ only in upper and lower "
        "case: write it as it is there, or use another name."
    )


def _absolute(path: str) -> str:
    return "/" + path.lstrip("/")


def _found(path: str, entry: FileMetadata) -> Found:
    modified = entry.server_modified
    return Found(
        path=path,
        size=entry.size,
        modified=modified if modified.tzinfo else modified.replace(tzinfo=UTC),
        tag=entry.rev,
        checksum=entry.content_hash,
    )
