"""Packs: sealed blobs one after the other, and a sealed header that says which (design document, "Pack Format")."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backupkit.errors import IntegrityError
from backupkit.formats.restic.sealing import OVERHEAD, Sealer

_PLAIN = struct.Struct("<BI32s")
_COMPRESSED = struct.Struct("<BII32s")
_LENGTH = struct.Struct("<I")
MAX_HEADER = 16 << 20  # bytes that restic reads of a header
MAX_BLOBS = (MAX_HEADER - OVERHEAD) // _COMPRESSED.size
EMPTY = OVERHEAD + _LENGTH.size  # bytes that a pack has besides blobs and what its header says of them
_PIECE = 1 << 18  # bytes, at least, of which the content of a pack consists
_EAGER = 4096  # bytes that are read for a header before its length is known


class PackedBlob(NamedTuple):
    """A blob in a pack: the SHA-256 of its plain bytes, and where it stands, sealed.

    `uncompressed` is the length of the plain bytes if they are compressed, and 0 if they are not.
    """

    id: bytes
    tree: bool
    offset: int
    length: int
    uncompressed: int

    @property
    def size(self) -> int:
        """Of its plain bytes."""
        return self.uncompressed or self.length - OVERHEAD


@dataclass(frozen=True, slots=True)
class FinishedPack:
    """A pack that is ready to be stored: its id, its bytes in pieces, what is in it."""

    id: str
    content: Sequence[bytes] = field(repr=False)
    blobs: Sequence[PackedBlob]
    size: int


class Pack:
    """A pack that is being filled with blobs of one type."""

    def __init__(self, *, tree: bool) -> None:
        self.tree = tree
        self.size = 0
        self.blobs: list[PackedBlob] = []
        self._pieces: list[bytes] = []
        self._small: list[bytes] = []  # of the next piece
        self._small_size = 0

    def add(self, id: bytes, sealed: bytes, uncompressed: int) -> None:
        self.blobs.append(PackedBlob(id, self.tree, self.size, len(sealed), uncompressed))
        self.size += len(sealed)
        self._small.append(sealed)
        self._small_size += len(sealed)
        if self._small_size >= _PIECE:
            self._join()

    def take(self, other: Pack) -> None:
        """Add all that is in another one."""
        for id, _, offset, length, uncompressed in other.blobs:
            self.blobs.append(PackedBlob(id, self.tree, self.size + offset, length, uncompressed))
        self.size += other.size
        self._small += [*other._pieces, *other._small]
        self._join()

    def _join(self) -> None:
        # Hashing and storing thousands of small pieces takes many times as long, and joining all in the end takes
        # the memory of another pack.
        self._pieces.append(self._small[0] if len(self._small) == 1 else b"".join(self._small))
        self._small.clear()
        self._small_size = 0

    @property
    def full(self) -> bool:
        """Whether its header can describe no more."""
        return len(self.blobs) >= MAX_BLOBS

    def finished(self, sealer: Sealer) -> FinishedPack:
        """Put the header behind the blobs, which takes the time of a hash over all."""
        header = sealer.seal(b"".join(map(_record, self.blobs)))
        if parse_header(header, sealer, where="the pack's header") != self.blobs:
            raise IntegrityError(
                "A pack's header came out wrong: test this machine's memory.", where="memory"
            )
        self._small += (header, _LENGTH.pack(len(header)))
        self._join()
        hashed = hashlib.sha256()
        for piece in self._pieces:
            hashed.update(piece)
        size = self.size + len(header) + _LENGTH.size
        return FinishedPack(hashed.hexdigest(), self._pieces, self.blobs, size)


def packed_size(length: int, *, compressed: bool) -> int:
    """The bytes that a blob of this sealed length takes in a pack, with what the header says of it."""
    return length + (_COMPRESSED.size if compressed else _PLAIN.size)


def read_header(
    read: Callable[[int, int], bytes], size: int, sealer: Sealer, *, where: str
) -> Sequence[PackedBlob]:
    """What is in a pack of this size; `read(start, length)` reads from it, at most twice."""

    def flaw(what: str) -> IntegrityError:
        return IntegrityError(f"{where} is no pack: {what}.", where=where)

    if size < _PLAIN.size + OVERHEAD + _LENGTH.size:
        raise flaw(f"{size} bytes are less than any has")
    end = read(size - min(size, _EAGER), min(size, _EAGER))
    (length,) = _LENGTH.unpack(end[-4:])
    if not OVERHEAD < length <= min(size - _LENGTH.size, MAX_HEADER):
        raise flaw(f"its header cannot be {length} bytes long")
    total = length + _LENGTH.size
    if total > len(end):
        end = read(size - total, total)
    blobs = parse_header(end[-total : -_LENGTH.size], sealer, where=where)
    if sum(blob.length for blob in blobs) != size - total:
        raise flaw("its header describes more or less than is there")
    return blobs


def parse_header(header: bytes, sealer: Sealer, *, where: str) -> list[PackedBlob]:
    """The blobs that a sealed header describes, in the order in which they stand."""
    records = sealer.unseal(header, where=where)
    blobs = []
    position = offset = 0
    try:
        while position < len(records):
            kind = records[position]
            if kind > 3:
                raise IntegrityError(f"{where} holds a blob of the unknown type {kind}.", where=where)
            uncompressed = 0
            if kind & 2:
                _, length, uncompressed, id = _COMPRESSED.unpack_from(records, position)
                position += _COMPRESSED.size
            else:
                _, length, id = _PLAIN.unpack_from(records, position)
                position += _PLAIN.size
            blobs.append(PackedBlob(id, bool(kind & 1), offset, length, uncompressed))
            offset += length
    except struct.error:
        raise IntegrityError(f"{where} has a header that ends too early.", where=where) from None
    return blobs


def _record(blob: PackedBlob) -> bytes:
    if blob.uncompressed:
        return _COMPRESSED.pack(2 | blob.tree, blob.length, blob.uncompressed, blob.id)
    return _PLAIN.pack(blob.tree, blob.length, blob.id)
