"""SFTP: many requests under way, written beside its place, flushed to the server's disk, and renamed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_SYMLINK

from backupkit._chunks import rechunk
from backupkit.errors import ConfigurationError
from backupkit.filesystems.addresses import join
from backupkit.filesystems.partials import becoming, new_partial, partial_of
from backupkit.filesystems.parts import send_parts
from backupkit.filesystems.ssh import Session, account
from backupkit.filesystems.stores import CutShortError, Found, Piece, PlaceMissingError, ReplacedError
from backupkit.filesystems.transfer import Transfer

_PIECE = 1 << 20  # bytes that are sent or asked for at a time, in as many requests as the server wants
_FLUSHED = 256  # pieces after which the server is told to write to its disk, lest the last time take minutes
_BRIEFLY = 2.0  # seconds to wait for a server to take away what was not finished

_ABSENT = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
_File: TypeAlias = asyncssh.SFTPClientFile
_NEW = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


def connect(url: str, options: Mapping[str, Any], transfer: Transfer) -> tuple[SFTPStore, str]:
    """The store of an SFTP URL, and the path of its folder there: nothing is sent yet."""
    host, from_url, folder = account(url)
    given = {**from_url, **options}
    given.pop("host", None)  # of fsspec's configuration: the URL says it
    create = given.pop("create", False)
    return SFTPStore(Session(host, given, transfer), folder, create=create), folder


class SFTPStore:
    """Files below `folder` of a server, readable by their owner alone, in folders of the same kind.

    A file is written as `.<name>.<random>.partial` beside its place. The folder itself must exist unless `create`,
    because a disk that is not mounted on the server looks the same as none.
    """

    def __init__(self, session: Session, folder: str, *, create: bool = False) -> None:
        self.session = session
        self.folder = folder
        self._create = create

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self, path, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        reading = _Reading(path)
        size = self.session.ask(reading.size)
        end = size if length is None else min(start + length, size)
        if start >= end:
            yield Piece(content=b"", size=size)
        ranges = ((at, min(at + _PIECE, end)) for at in range(start, end, _PIECE))
        try:
            for content in self.session.in_order(reading.read, ranges, moving=_PIECE):
                yield Piece(content=content, size=size)
        finally:
            with suppress(RuntimeError):  # the loop may have ended with the interpreter
                self.session.once.submit(self.session.call, reading.close)

    def look(self, path: str) -> Found | None:
        return self.session.ask(self._look, path)

    def find(self, prefix: str) -> Iterator[Found]:
        return (one for one in self._under(prefix) if one.path.startswith(prefix) and not becoming(one.path))

    def remove(self, path: str) -> None:
        self.session.ask(self.unlink, path)

    def abandoned(self, prefix: str) -> Iterator[Found]:
        for found in self._under(prefix):
            one = becoming(found.path)
            if one and one[0].startswith(prefix):
                yield Found(path=f"{one[0]}#{one[1]}", size=found.size, modified=found.modified)

    def abandon(self, path: str) -> None:
        name, _, token = path.rpartition("#")
        self.remove(partial_of(name, token))

    async def open_new(self, sftp: asyncssh.SFTPClient, path: str) -> _File:
        attributes = asyncssh.SFTPAttrs(permissions=0o600)
        for _ in range(100):  # whoever deletes the last object of a folder removes it, perhaps just now
            try:
                return await sftp.open(path, _NEW, attributes, encoding=None, block_size=0)
            except _ABSENT:
                await self._make_folders(sftp, path)
        raise PlaceMissingError(errno.ENOENT, "the folder vanishes as often as it is made")

    async def unlink(self, sftp: asyncssh.SFTPClient, path: str) -> None:
        """Delete a file, if it is there, and the folders that it leaves empty."""
        with suppress(*_ABSENT):
            await sftp.remove(path)
        with suppress(asyncssh.SFTPError):
            for folder in reversed(self._folders(path)):
                await sftp.rmdir(folder)

    async def _make_folders(self, sftp: asyncssh.SFTPClient, path: str) -> None:
        if self._create and self.folder:
            await sftp.makedirs(self.folder, asyncssh.SFTPAttrs(permissions=0o700), exist_ok=True)
        await self._check_place(sftp)
        for folder in self._folders(path):
            with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                await sftp.mkdir(folder, asyncssh.SFTPAttrs(permissions=0o700))

    async def _check_place(self, sftp: asyncssh.SFTPClient) -> None:
        if not self._create and not await sftp.isdir(self.folder or "."):
            raise PlaceMissingError(errno.ENOENT, "the folder does not exist")

    def _folders(self, path: str) -> list[str]:
        """The folders between ours and the file, outermost first."""
        parts = path.removeprefix(self.folder).lstrip("/").split("/")[:-1]
        return [join(self.folder, "/".join(parts[: count + 1])) for count in range(len(parts))]

    async def _look(self, sftp: asyncssh.SFTPClient, path: str) -> Found | None:
        try:
            attributes = await sftp.lstat(path)
        except _ABSENT:
            await self._check_place(sftp)
            return None
        return _found(path, attributes) if attributes.type == FILEXFER_TYPE_REGULAR else None

    def _under(self, prefix: str) -> Iterator[Found]:
        """Yield all files that the prefix may mean, and those with a leading dot: a few requests a folder."""
        begin = prefix.rpartition("/")[0]
        if {"", ".", ".."} & set(begin.removeprefix(self.folder).split("/")[1:]):
            return
        folders = [begin]
        while folders:
            below: list[str] = []
            for files, inside in self.session.in_order(self._list, folders, moving=0):
                yield from files
                below += [folder for folder in inside if folder.startswith(prefix)]
            folders = below

    async def _list(self, sftp: asyncssh.SFTPClient, folder: str) -> tuple[list[Found], list[str]]:
        """The files and the folders in a folder; none if it has gone."""
        files: list[Found] = []
        folders: list[str] = []
        try:
            async for entry in sftp.scandir(folder or "."):
                name = str(entry.filename)
                if name in (".", ".."):  # servers list them, too
                    continue
                path = join(folder, name)
                kind = entry.attrs.type
                if kind == FILEXFER_TYPE_DIRECTORY or (
                    kind == FILEXFER_TYPE_SYMLINK and await _leads_down(sftp, folder, path)
                ):
                    folders.append(path)
                else:  # a link, or what is no file, too: who reads it finds out, and nothing is passed over
                    attributes = await _attributes(sftp, path, entry.attrs)
                    if attributes.type != FILEXFER_TYPE_DIRECTORY:  # a folder that the link is in
                        regular = kind == FILEXFER_TYPE_REGULAR
                        files.append(_found(path, attributes, regular=regular))
        except _ABSENT:
            await self._check_place(sftp)
        return files, folders


class _Upload:
    checksum = None

    def __init__(self, store: SFTPStore, path: str, overwrite: bool) -> None:
        self._store = store
        self._path = path
        self._partial = new_partial(path)
        self._overwrite = overwrite
        self._file: _File | None = None

    def send(self, chunks: Iterator[bytes]) -> None:
        session = self._store.session
        self._file, largest = session.ask(self._open)
        try:
            # Once each: on a new connection those before may have been lost with the server's memory.
            sizes = send_parts(
                session.once.moving(_PIECE * session.window),
                partial(_write, self._file, largest),
                rechunk(chunks, _PIECE),
                room=_PIECE * session.window,
            )
            session.once.ask(_finish, self._file, sum(sizes))
        except asyncssh.SFTPFailure as error:
            if session.once.ask(session.call, _is_full, self._partial):
                raise OSError(errno.ENOSPC, "the server's disk is full") from error
            raise

    def commit(self) -> None:
        session = self._store.session
        session.once.ask(session.call, self._rename)

    def made(self, found: Found) -> bool:
        return False  # a rename is one step, and what got the name had its size

    def abort(self) -> None:
        session = self._store.session
        # It goes on when nobody waits any more: a server that has stopped must not hold up a Ctrl-C.
        session.once.submit(session.call, self._drop).result(_BRIEFLY)

    async def _open(self, sftp: asyncssh.SFTPClient) -> tuple[_File, int]:
        return await self._store.open_new(sftp, self._partial), sftp.limits.max_write_len

    async def _rename(self, sftp: asyncssh.SFTPClient) -> None:
        if self._overwrite:
            with suppress(asyncssh.SFTPOpUnsupported):  # an extension; for a new name the other does as well
                await sftp.posix_rename(self._partial, self._path)
                return
        try:
            await sftp.rename(self._partial, self._path)  # which replaces nothing, by the protocol
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists) as error:
            if not await sftp.lexists(self._path):
                raise
            if not self._overwrite:
                raise FileExistsError(errno.EEXIST, "exists already") from error
            raise ConfigurationError(
                "This server renames no file over another (posix-rename@openssh.com), and to delete the old one "
                "first would put it at risk: delete it yourself, or use another name."
            ) from error

    async def _drop(self, sftp: asyncssh.SFTPClient) -> None:
        if self._file is not None:
            with suppress(asyncssh.Error):
                await self._file.close()
        await self._store.unlink(sftp, self._partial)


class _Reading:
    """A file that is read from, opened once on each connection: always the one that it was at first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._sftp: asyncssh.SFTPClient | None = None
        self._file: _File | None = None
        self._state: tuple[int | None, ...] | None = None

    async def size(self, sftp: asyncssh.SFTPClient) -> int:
        await self._opened(sftp)
        return (self._state and self._state[0]) or 0

    async def read(self, sftp: asyncssh.SFTPClient, wanted: tuple[int, int]) -> bytes:
        """The bytes between two positions."""
        file = await self._opened(sftp)
        start, end = wanted
        size = sftp.limits.max_read_len
        blocks = [_read(file, at, min(at + size, end)) for at in range(start, end, size)]
        content = b"".join(await asyncio.gather(*blocks))
        if len(content) != end - start:
            raise ReplacedError(errno.ESTALE, "it has become shorter")
        return content

    async def close(self, sftp: asyncssh.SFTPClient) -> None:
        if self._file is not None and self._sftp is sftp:
            await self._file.close()

    async def _opened(self, sftp: asyncssh.SFTPClient) -> _File:
        async with self._lock:
            if self._file is None or self._sftp is not sftp:
                attributes = await sftp.stat(self._path)
                if (
                    attributes.type != FILEXFER_TYPE_REGULAR
                ):  # to open a pipe would block the server's program
                    raise asyncssh.SFTPNoSuchFile("not a regular file")
                file = await sftp.open(self._path, "rb", block_size=0)
                attributes = await file.stat()
                if attributes.type != FILEXFER_TYPE_REGULAR:
                    raise asyncssh.SFTPNoSuchFile("not a regular file")
                state = (attributes.size, attributes.mtime, attributes.uid)
                if state != (self._state or state):
                    await file.close()
                    raise ReplacedError(errno.ESTALE, "replaced while it was read")
                self._state, self._file, self._sftp = state, file, sftp
            return self._file


async def _write(file: _File, largest: int, number: int, piece: bytes) -> int:
    start = (number - 1) * _PIECE
    blocks = range(0, len(piece), largest)
    # gather, because what it began is cancelled with it, and no failure is left that nobody has heard of
    await asyncio.gather(*(file.write(piece[at : at + largest], start + at) for at in blocks))
    if number % _FLUSHED == 0:
        await _flush(file)
    return len(piece)


async def _finish(file: _File, size: int) -> None:
    await _flush(file)
    kept = (await file.stat()).size or 0
    if kept != size:
        raise CutShortError(kept=kept, sent=size)
    await file.close()


async def _flush(file: _File) -> None:
    with suppress(asyncssh.SFTPOpUnsupported):  # an extension, which OpenSSH and most others have
        await file.fsync()


async def _read(file: _File, start: int, end: int) -> bytes:
    content = b""
    while len(content) < end - start:  # a server may give less than it was asked for
        more: Any = await file.read(end - start - len(content), start + len(content))
        if not more:
            break
        content = content + more if content else more
    return content


async def _is_full(sftp: asyncssh.SFTPClient, path: str) -> bool:
    """Whether the disk below the path has no room: OpenSSH says of that, as of all else, no more than "Failure"."""
    try:
        room = await sftp.statvfs(path)
    except asyncssh.SFTPError:
        return False
    return (room.bavail or 0) * (room.frsize or 0) < _PIECE


async def _attributes(sftp: asyncssh.SFTPClient, path: str, listed: asyncssh.SFTPAttrs) -> asyncssh.SFTPAttrs:
    """Those of the file that a link leads to; of what leads nowhere, and of everything else, its own."""
    if listed.type != FILEXFER_TYPE_SYMLINK:
        return listed
    try:
        return await sftp.stat(path)
    except asyncssh.SFTPError:
        return listed


async def _leads_down(sftp: asyncssh.SFTPClient, folder: str, link: str) -> bool:
    """Whether a symlink leads to a folder, and not to one that it is in."""
    try:
        if not await sftp.isdir(link):
            return False
        target, here = await sftp.realpath(link), await sftp.realpath(folder or ".")
    except asyncssh.SFTPError:
        return False
    return not f"{here}/".startswith(f"{target}/")


def _found(path: str, attributes: asyncssh.SFTPAttrs, *, regular: bool = True) -> Found:
    modified = datetime.fromtimestamp(attributes.mtime or 0, UTC)
    return Found(path=path, size=attributes.size or 0, modified=modified, regular=regular)
