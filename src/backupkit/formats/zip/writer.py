"""Entries in, the bytes of one archive out: a single pass, in bounded memory.

What can be done to an entry by itself – key derivation, compression, encryption of small files, a few of them as
one task; compression of a large one's pieces – runs on the executor, a few pieces ahead; this generator's caller
reads the sources before it and puts the results in order after it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from backupkit._chunks import closing_iterator, gather, rechunk
from backupkit._parallel import beside, map_ordered
from backupkit.compression import Deflate, Store
from backupkit.errors import HookError, OperationCancelledError, SourceError, told
from backupkit.formats.zip import manifest
from backupkit.formats.zip.headers import FOLDER, FOLDER_PATH, MANIFEST, archive_name, attributes
from backupkit.formats.zip.records import (
    METHODS,
    Directory,
    Record,
    pack_central,
    pack_descriptor,
    pack_end,
    pack_local,
    whole_seconds,
)
from backupkit.formats.zip.spool import Spool
from backupkit.model import Entry, Problem, is_entry_path
from backupkit.protocols import Compressor, Encryptor, PiecewiseCompressor
from backupkit.retrying import Retry, is_retryable

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PIECE = 1 << 20  # an entry up to this size is sealed whole, a larger one in pieces of it
_GATHER = 1 << 18  # what leaves the writer comes in chunks of at least this, the last one excepted
_TOGETHER = 32  # small entries are sealed so many at a time, if they are not more than a piece together
_WINDOW = 6  # pieces or groups of small entries under way at once
_DEPTH = 4  # pieces of a large entry that its hashing may lag behind
_LONGEST_NAME = 0xFFFF
_UNKEPT = {"fifo": "a named pipe", "chardev": "a device", "blockdev": "a device"}
_PATIENCE = 3  # entries that failed at every try; after them a dying disk would only be waited for


# What flows from the reading half to the writing half. An entry is one _Whole in a group of them and of problems,
# or one _Start and its _Pieces; a _Start is abandoned when anything but its next _Piece follows.
@dataclass(frozen=True, slots=True)
class _Whole:
    entry: Entry
    data: bytes


@dataclass(frozen=True, slots=True)
class _Start:
    entry: Entry
    compressor: Compressor


@dataclass(frozen=True, slots=True)
class _Piece:
    data: bytes
    last: bool
    compressor: Compressor


_Item: TypeAlias = _Whole | _Start | _Piece | Problem
_Group: TypeAlias = tuple[_Whole | Problem, ...]
_Read: TypeAlias = _Group | _Start | _Piece


# What the executor makes of them.
@dataclass(frozen=True, slots=True)
class _Sealed:
    entry: Entry
    method: int
    crc: int
    size: int
    sha256: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class _Packed:
    data: bytes
    packed: bytes
    last: bool


_Ready: TypeAlias = tuple[_Sealed | Problem, ...] | _Start | _Packed


class _Abandoned(Exception):  # noqa: N818 - not an error: the entry did not come to its end
    """The entry being streamed will not be finished; `then` is what came instead of its next piece."""

    def __init__(self, then: _Ready | None) -> None:
        super().__init__()
        self.then = then


class ArchiveWriter:
    """Writes one archive. `problems`, `entries` and `size` (plain bytes) are final when `chunks` ends."""

    def __init__(
        self,
        header: manifest.Header,
        *,
        compressor: Compressor,
        encryptor: Encryptor | None,
        executor: Executor | None,
        retry: Retry,
    ) -> None:
        self._header = header
        self._compressor = compressor
        self._encryptor = encryptor
        self._executor = executor
        self._retry = retry
        self.problems: list[Problem] = []
        self.entries = 0
        self.size = 0
        self._offset = 0
        self._given_up = 0
        self._paths: set[str] = {manifest.PATH}
        self._renamed: set[str] = set()  # names in the archive that are not their entry's path
        self._central = (
            bytearray()
        )  # the directory, of which a list of its records would take half as much again
        self._records = 0
        self._lines = Spool()

    @property
    def complete(self) -> bool:
        """Whether nothing was lost so far."""
        return not any(problem.severity == "error" for problem in self.problems)

    def chunks(self, entries: Iterable[Entry | Problem]) -> Iterator[bytes]:
        """Yield the archive. An exception of `entries` itself passes through and leaves it unfinished."""
        return gather(self._counted(self._archive(entries)), _GATHER)

    def _archive(self, entries: Iterable[Entry | Problem]) -> Iterator[bytes]:
        self._lines.add(manifest.header_text(self._header))
        yield from self._written(_grouped(self._read(entries)))
        if not self.entries:
            reasons = " ".join(problem.message for problem in self.problems[:5]) or "there were no entries."
            raise SourceError(f"Nothing could be backed up: {reasons}", path=self._header.name)
        footer = manifest.Footer(
            problems=tuple(self.problems), complete=self.complete, entries=self.entries, size=self.size
        )
        self._lines.add(manifest.footer_text(footer))
        self._paths.discard(manifest.PATH)
        yield from self._written(_grouped(self._pieces(replace(MANIFEST, chunks=self._lines.read))))
        start = self._offset
        size = len(self._central)
        for at in range(0, size, _PIECE):
            yield bytes(self._central[at : at + _PIECE])
        yield pack_end(Directory(start, size, self._records))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._offset += len(chunk)
            yield chunk

    # The reading half: sources are read here, ahead of what is being written.

    def _read(self, entries: Iterable[Entry | Problem]) -> Iterator[_Item]:
        for entry in entries:
            if isinstance(entry, Problem):
                yield entry
            elif entry.kind == "directory":
                yield _Whole(entry, b"")
            elif entry.kind == "symlink":
                yield _target(entry)
            elif (what := _UNKEPT.get(entry.kind)) is not None:
                message = f"{entry.path!r} is {what}, which ZIP archives cannot hold: skipped."
                yield Problem(message=message, severity="warning", path=entry.path)
            else:
                yield from self._tried(entry)

    def _tried(self, entry: Entry) -> Iterator[_Item]:
        try:
            retry = self._retry if self._given_up < _PATIENCE else replace(self._retry, tries=1)
            for attempt in retry.attempts():
                with attempt:
                    yield from self._pieces(entry)
        except (OperationCancelledError, HookError):
            raise
        except Exception as error:
            self._given_up += is_retryable(error)
            yield _lost(entry, error)
        else:
            yield from entry.warnings

    def _pieces(self, entry: Entry) -> Iterator[_Item]:
        entry.warnings.clear()
        entry.rows.clear()
        with closing_iterator(entry.chunks()) as chunks:
            pieces = rechunk(chunks, _PIECE)
            piece = next(pieces, b"")
            following = next(pieces, None)
            if following is None:
                yield _Whole(entry, piece)
                return
            compressor = self._compressor if _is_compressible(piece) else Store()
            yield _Start(entry, compressor)
            while following is not None:
                yield _Piece(piece, False, compressor)
                piece, following = following, next(pieces, None)
            yield _Piece(piece, True, compressor)

    # What the executor does: each call by itself, on any thread.

    def _prepare(self, item: _Read) -> _Ready:
        match item:
            case tuple():
                return tuple(self._seal(one) if isinstance(one, _Whole) else one for one in item)
            case _Piece(data, last, compressor):
                if isinstance(compressor, PiecewiseCompressor):
                    return _Packed(data, compressor.compress_piece(data, last=last), last)
                return _Packed(data, b"", last)
            case _:
                return item

    def _seal(self, whole: _Whole) -> _Sealed:
        entry, data = whole.entry, whole.data
        method, body = METHODS["store"], data
        if data and entry.kind != "symlink":
            packed = b"".join(self._compressor.compress([data]))
            if len(packed) < len(data):
                method, body = METHODS[self._compressor.algorithm], packed
        crc = 0
        if entry.kind != "directory":
            if self._encryptor is not None:
                body = b"".join(self._encryptor.encrypt([body]))
            else:
                crc = zlib.crc32(data)
        has_content = entry.kind in ("file", "hardlink")
        digest = hashlib.sha256(data).hexdigest() if has_content else None
        return _Sealed(entry, method, crc, len(data), digest, body)

    # The writing half: only here are offsets counted and names given.

    def _written(self, items: Iterator[_Read]) -> Iterator[bytes]:
        ready = map_ordered(self._executor, self._prepare, items, _WINDOW)
        item = next(ready, None)
        while item is not None:
            try:
                match item:
                    case tuple():
                        for one in item:
                            if isinstance(one, Problem):
                                self.problems.append(one)
                            else:
                                yield from self._write_whole(one)
                    case _Start():
                        yield from self._write_streamed(item, ready)
                    case _Packed():
                        pass  # the rest of an entry that had no name to be written under
            except _Abandoned as abandoned:
                item = abandoned.then
                continue
            item = next(ready, None)

    def _write_whole(self, sealed: _Sealed) -> Iterator[bytes]:
        name = self._name(sealed.entry)
        if name is None:
            return
        record = self._record(
            sealed.entry, name, sealed.method, crc=sealed.crc, stored=len(sealed.body), size=sealed.size
        )
        yield pack_local(record)
        yield sealed.body
        self._finish(sealed.entry, name, record, sealed.sha256)

    def _write_streamed(self, start: _Start, ready: Iterator[_Ready]) -> Iterator[bytes]:
        name = self._name(start.entry)
        if name is None:
            return
        if not self._records:
            # This entry may become a gap, and 7-Zip opens no archive that begins with one.
            yield pack_local(FOLDER)
            self._add(FOLDER)
            self._paths.add(FOLDER_PATH)
        method = METHODS[start.compressor.algorithm]
        record = self._record(start.entry, name, method, streamed=True)
        yield pack_local(record)
        digest = hashlib.sha256()
        crc = size = stored = 0
        in_pieces = isinstance(start.compressor, PiecewiseCompressor)

        def look_at(data: bytes) -> None:
            nonlocal crc
            digest.update(data)
            if self._encryptor is None:
                crc = zlib.crc32(data, crc)

        def pieces(watch: Callable[[bytes], None]) -> Iterator[bytes]:
            nonlocal size
            while True:
                item = next(ready, None)
                if not isinstance(item, _Packed):
                    raise _Abandoned(item)
                watch(item.data)
                size += len(item.data)
                yield item.packed if in_pieces else item.data
                if item.last:
                    return

        try:
            # Hashing takes as long as all else that happens here, and so has a thread.
            with beside(look_at, _DEPTH) if self._executor else nullcontext(look_at) as watch:
                body = pieces(watch)
                if not in_pieces:
                    body = start.compressor.compress(body)
                if self._encryptor is not None:
                    body = self._encryptor.encrypt(body)
                for chunk in body:
                    stored += len(chunk)
                    yield chunk
        except _Abandoned:
            # Its bytes stay behind as a gap that no directory record refers to, which every tool accepts.
            self._paths.discard(start.entry.path)
            self._renamed.discard(name)
            raise
        record = record._replace(crc=crc, stored=stored, size=size)
        yield pack_descriptor(record)
        self._finish(start.entry, name, record, digest.hexdigest())

    def _record(
        self,
        entry: Entry,
        name: str,
        method: int,
        *,
        streamed: bool = False,
        crc: int = 0,
        stored: int = 0,
        size: int = 0,
    ) -> Record:
        return Record(
            name=name.encode(),
            method=method,
            encrypted=self._encryptor is not None and entry.kind != "directory",
            streamed=streamed,
            modified=whole_seconds(entry.modified_ns),
            attributes=attributes(entry),
            offset=self._offset,
            crc=crc,
            stored=stored,
            size=size,
        )

    def _name(self, entry: Entry) -> str | None:
        """The entry's name in the archive, or None, with a problem, if it cannot have one."""
        if not is_entry_path(entry.path):
            self._refuse(entry, "its path is not a relative one of plain components, separated by slashes")
            return None
        if entry.path in self._paths:
            self._refuse(entry, "a second entry of the same name was left out; names must be unique")
            return None
        name = stem = archive_name(entry).removesuffix("/")
        number = 1
        # Made readable by stock tools, a name may be that of another entry.
        while name in self._renamed or (name != entry.path and name in self._paths):
            number += 1
            name = f"{stem}~{number}"
        slash = "/" * (entry.kind == "directory")
        if len((name + slash).encode()) > _LONGEST_NAME:
            self._refuse(entry, f"its path is longer than the {_LONGEST_NAME} bytes that ZIP can hold")
            return None
        self._paths.add(entry.path)
        if name != entry.path:
            self._renamed.add(name)
        return name + slash

    def _refuse(self, entry: Entry, why: str) -> None:
        self.problems.append(Problem(message=f"{entry.path} is not in the backup: {why}.", path=entry.path))

    def _add(self, record: Record) -> None:
        self._central += pack_central(record)
        self._records += 1

    def _finish(self, entry: Entry, name: str, record: Record, sha256: str | None) -> None:
        self._add(record)
        if entry.path == manifest.PATH:
            return
        if entry.kind in ("file", "hardlink"):
            if entry.size != record.size:
                entry = replace(entry, size=record.size)
            self.size += record.size
        self._lines.add(manifest.line_text(manifest.Line(entry, name, sha256), first=self.entries == 0))
        self.entries += 1


def _grouped(items: Iterable[_Item]) -> Iterator[_Read]:
    """Put what is small into groups, so that a task has enough to do to be worth its switch of threads."""
    group: list[_Whole | Problem] = []
    held = 0
    for item in items:
        if isinstance(item, _Whole | Problem):
            group.append(item)
            held += len(item.data) if isinstance(item, _Whole) else 0
            if len(group) < _TOGETHER and held < _PIECE:
                continue
        if group:
            yield tuple(group)
            group.clear()
            held = 0
        if not isinstance(item, _Whole | Problem):
            yield item
    if group:
        yield tuple(group)


def _target(entry: Entry) -> _Item:
    try:
        return _Whole(entry, os.fsencode(entry.target or ""))
    except UnicodeEncodeError as error:
        return _lost(entry, error)


def _lost(entry: Entry, error: Exception) -> Problem:
    if isinstance(error, SourceError):
        return Problem(message=str(error), severity=error.severity, path=entry.path)
    return Problem(message=f"{entry.path} could not be read: {told(error)}", path=entry.path)


def _is_compressible(piece: bytes) -> bool:
    """Whether four samples of the first piece shrink. Content tells; a suffix may not."""
    step = len(piece) // 4
    sample = b"".join(piece[at : at + 16384] for at in range(0, len(piece), step))
    return len(Deflate(1).compress_piece(sample, last=True)) < 0.97 * len(sample)
