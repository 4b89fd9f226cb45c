"""Any file system: written under a temporary name, looked at, and renamed, which is safe wherever renaming is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backupkit._chunks import rechunk
from backupkit.filesystems.asking import ask
from backupkit.filesystems.failures import failure_of
from backupkit.filesystems.stores import Found, Piece
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PARTIAL = re.compile(r"(.*/|)\.([^/]+)\.([0-9a-f]{16})\.partial")
_PIECE = 4 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RenamingStore:
    """A file is written as `.<name>.<random>.partial` beside its place and gets its name when it is whole.

    Nothing is known of such a store but what fsspec asks of every one, so each step is looked at afterwards.
    """

    def __init__(self, file_system: AbstractFileSystem, transfer: Transfer) -> None:
        self._fs = file_system
        self._transfer = transfer

    def upload(self, path: str, *, overwrite: bool) -> _Upload:
        return _Upload(self, self._fs, path, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        found = self._found(path)
        end = found.size if length is None else min(start + length, found.size)
        if start >= end:
            yield Piece(content=b"", size=found.size)
        for position in range(start, end, _PIECE):
            until = min(position + _PIECE, end)
            content = ask(self._transfer, self._fs.cat_file, path, start=position, end=until)
            if len(content) != until - position:
                raise OSError(f"{len(content)} bytes came where {until - position} were asked for")
            yield Piece(content=content, size=found.size)

    def look(self, path: str) -> Found | None:
        try:
            return self._found(path)
        except Exception as error:
            if failure_of(error).meaning == "missing":
                return None
            raise

    def find(self, prefix: str) -> Iterator[Found]:
        for found in self._under(prefix):
            if found.path.startswith(prefix) and not _PARTIAL.fullmatch(found.path):
                yield found

    def remove(self, path: str) -> None:
        ask(self._transfer, self._fs.rm_file, path)

    def abandoned(self, prefix: str) -> Iterator[Found]:
        for found in self._under(prefix):
            partial = _PARTIAL.fullmatch(found.path)
            if partial and (becoming := partial[1] + partial[2]).startswith(prefix):
                yield Found(path=f"{becoming}#{partial[3]}", size=found.size, modified=found.modified)

    def abandon(self, path: str) -> None:
        becoming, _, token = path.rpartition("#")
        with suppress(FileNotFoundError):
            self.remove(_partial(becoming, token))

    def _found(self, path: str) -> Found:
        self._fs.invalidate_cache()
        info = ask(self._transfer, self._fs.info, path)
        if info["type"] != "file":
            raise FileNotFoundError(path)
        return _found(path, info)

    def _under(self, prefix: str) -> Iterator[Found]:
        """All files in the folder that the prefix names, or in those that may be meant by its last part."""
        self._fs.invalidate_cache()
        folder = prefix.rpartition("/")[0]
        for path, info in ask(self._transfer, self._fs.find, folder, detail=True).items():
            yield _found(path, info)


class _Upload:
    checksum = None

    def __init__(self, store: RenamingStore, fs: AbstractFileSystem, path: str, overwrite: bool) -> None:
        self._store = store
        self._fs = fs
        self._path = path
        self._partial = _partial(path, os.urandom(8).hex())
        self._overwrite = overwrite

    def send(self, chunks: Iterator[bytes]) -> None:
        folder = self._path.rpartition("/")[0]
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        with self._fs.open(self._partial, "wb") as file:
            for chunk in rechunk(chunks, _PIECE):
                file.write(chunk)

    def commit(self) -> None:
        self._fs.mv(self._partial, self._path)

    def abort(self) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._partial)


def _partial(path: str, token: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.{token}.partial"


def _found(path: str, info: dict[str, Any]) -> Found:
    modified = next(
        (info[key] for key in ("mtime", "modified", "last_modified", "created") if info.get(key)), _EPOCH
    )
    if not isinstance(modified, datetime):
        modified = datetime.fromtimestamp(float(modified), UTC)
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return Found(path=path, size=int(info["size"]), modified=modified)
