"""A file of a backup, opened for reading anywhere in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from backupkit._entry_file import EntryFile
from backupkit.model import Backup, Entry

if TYPE_CHECKING:
    from backupkit.browsing.file_system import BackupFileSystem

# What is read ahead of somebody who may want no more: little, because blobs are read whole and kept for a while.
_BLOCK = 64 << 10
_PIECE = 1 << 20


class BackupFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """Reading on from where the last piece ended is one stream; anywhere else begins another one.

    Of an entry that cannot be read in the middle, such as an archive's, that means from its beginning.
    """

    fs: BackupFileSystem

    def __init__(
        self,
        fs: BackupFileSystem,
        path: str,
        backup: Backup,
        entry: Entry,
        *,
        block_size: int | str | None = None,
        **options: Any,
    ) -> None:
        self._backup = backup
        self._entry = entry
        self._stream: EntryFile | None = None
        self._position = -1  # where the last piece ended, and the stream is if there is one
        self._reading = threading.Lock()
        options["size"] = size_of(entry)
        super().__init__(
            fs, path, "rb", block_size=_BLOCK if block_size in (None, "default") else block_size, **options
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if start >= end:
            return b""
        with self._reading, self.fs._told(self.path, self._backup):
            within = self._entry.within
            if within is not None and start != self._position:
                self._leave()
                piece = b"".join(within(start, end))
            else:
                piece = self._read_on(start, end)
            self._position = start + len(piece)
            return piece

    def _read_on(self, start: int, end: int) -> bytes:
        if self._stream is None or start < self._position:
            self._leave()
            within = self._entry.within
            chunks = self._entry.chunks() if within is None else within(start, self.size)
            self._stream = EntryFile(chunks, ExitStack())
            self._position = 0 if within is None else start
        for passed in _next(self._stream, start - self._position):
            self._position += len(passed)
        return b"".join(_next(self._stream, end - start))

    def _leave(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        self._leave()
        super().close()


def size_of(entry: Entry) -> int:
    """Of its content; counted where nobody has noted it."""
    return sum(map(len, entry.chunks())) if entry.size is None else entry.size


def content_within(entry: Entry, start: int, stop: int) -> Iterator[bytes]:
    """These bytes of an entry: of an archive's, after all that come before."""
    if start >= stop:
        return
    if entry.within is not None:
        yield from entry.within(start, stop)
        return
    with EntryFile(entry.chunks(), ExitStack()) as file:
        for _ in _next(file, start):
            pass
        yield from _next(file, stop - start)


def _next(file: EntryFile, count: int) -> Iterator[bytes]:
    """The next bytes of a file, so many, or as many as are left."""
    while count > 0 and (piece := file.read(min(_PIECE, count))):
        count -= len(piece)
        yield piece
