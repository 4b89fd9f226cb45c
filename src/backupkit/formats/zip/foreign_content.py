"""The content of an entry of somebody else's archive: decrypted, decompressed in bounded pieces, compared."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from backupkit._chunks import closing_iterator
from backupkit.compression import Deflate, Zstd
from backupkit.errors import IntegrityError
from backupkit.formats.zip.foreign_entries import overhead
from backupkit.formats.zip.foreign_keys import Key, head_size
from backupkit.formats.zip.foreign_records import (
    ENCRYPTED,
    LOCAL_SIZE,
    STREAMED,
    STRONG,
    ForeignRecord,
)
from backupkit.formats.zip.ranges import Parts, Ranges

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_AES_METHOD, _LIMIT = 99, 0xFFFFFFFF
_PIECE = 1 << 20  # the largest piece of output, in bytes
_LARGEST_DICTIONARY = 256 << 20  # bytes; more than that 7-Zip uses only when told to


def head_of(ranges: Ranges, record: ForeignRecord) -> bytes:
    """What an encrypted entry begins with, for trying keys on."""
    with closing_iterator(ranges.read(record.offset, record.end - record.offset)) as stream:
        body = _Body(stream, record)
        return body.take(head_size(record))


def content(ranges: Ranges, record: ForeignRecord, unlock: Callable[[bytes], Key]) -> Iterator[bytes]:
    """Yield the content in pieces of at most 1 MiB; IntegrityError, no later than at the end, if it is not it.

    `unlock` gets the head of an encrypted entry and returns the key. An iterator that ends has given all.
    """
    with closing_iterator(ranges.read(record.offset, record.end - record.offset)) as stream:
        body = _Body(stream, record)
        if record.encrypted:
            key = unlock(body.take(head_size(record)))
            plain = key.decrypt(body.chunks(record.stored - head_size(record)))
        else:
            plain = body.chunks(record.stored)
        nothing = not record.size and record.stored == overhead(record)
        unpacked = plain if nothing else _unpacked(record, plain)  # some write nothing, whatever the method
        size = crc = 0
        for chunk in unpacked:
            for start in range(0, len(chunk), _PIECE):
                piece = chunk[start : start + _PIECE]
                size += len(piece)
                if size > record.size:
                    raise _wrong("it holds more than the directory says")
                crc = zlib.crc32(piece, crc)
                yield piece
        if size != record.size:
            raise _wrong("it holds less than the directory says")
        if crc != record.crc and (record.aes is None or record.aes[0] == 1):  # AE-2 records no checksum
            raise _wrong("its checksum is not the one recorded")


class _Body:
    """What stands at an entry's place, behind its local header, which must agree with the directory."""

    def __init__(self, stream: Iterator[bytes], record: ForeignRecord) -> None:
        self._parts = Parts(stream)
        self._left = record.end - record.offset
        header = self.take(LOCAL_SIZE)
        signature, _, flags, method, _, _, crc, stored, size, name_length, extra_length = _LOCAL.unpack(
            header
        )
        if signature != b"PK\3\4":
            raise _wrong("there is no local header at its place")
        name, extra = self.take(name_length), self.take(extra_length)
        expected = _AES_METHOD if record.aes is not None else record.method
        same = ENCRYPTED | STREAMED | STRONG
        if name != record.raw or method != expected or (flags ^ record.flags) & same:
            raise _wrong("its local header is another than the directory's")
        if not flags & STREAMED:
            if _LIMIT in (stored, size):
                size, stored = _large(extra, size, stored)
            if (crc, stored, size) != (record.crc, record.stored, record.size):
                raise _wrong("its local header has other sizes, or another checksum, than the directory")

    def take(self, count: int) -> bytes:
        return b"".join(self.chunks(count))

    def chunks(self, count: int) -> Iterator[bytes]:
        if count > self._left:
            raise _wrong("it reaches into what follows it")
        self._left -= count
        return self._parts.take(count)


def _large(extra: bytes, size: int, stored: int) -> tuple[int, int]:
    """Sizes of which one or both stand in the zip64 field (APPNOTE 4.5.3)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            values = [value for (value,) in struct.iter_unpack("<Q", extra[4 : 4 + length - length % 8])]
            if size == _LIMIT and values:
                size = values.pop(0)
            if stored == _LIMIT and values:
                stored = values.pop(0)
            break
        extra = extra[4 + length :]
    return size, stored


def _unpacked(record: ForeignRecord, chunks: Iterator[bytes]) -> Iterator[bytes]:
    match record.method:
        case 8:
            return Deflate().decompress(chunks)
        case 12:
            return _bzip2(chunks)
        case 14:
            return _lzma(chunks, record.size)
        case 93:
            return Zstd().decompress(chunks)
        case 95:
            return _xz(chunks)
        case _:
            return chunks


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _bzip2(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import bz2

    return _pieces(bz2.BZ2Decompressor(), chunks, ends=True)


def _xz(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import lzma

    return _pieces(
        lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_DICTIONARY + (16 << 20)), chunks, ends=True
    )


def _lzma(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """APPNOTE 5.8: two bytes of version, the length of the properties, the properties; then raw LZMA."""
    import lzma

    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 9:
            break
    if len(head) < 9 or head[2:4] != b"\5\0":
        raise _wrong("its LZMA header is damaged")
    packed, dictionary = struct.unpack("<BI", head[4:9])
    # No more of it than there is content can ever be used, and all that is asked for is allocated.
    dictionary = max(min(dictionary, size), 4096)
    if dictionary > _LARGEST_DICTIONARY:
        raise _wrong(f"it needs {dictionary} bytes of memory: 7-Zip may open it")
    settings = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": dictionary,
        "lc": packed % 9,
        "lp": packed // 9 % 5,
        "pb": packed // 45,
    }
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings])
    except (lzma.LZMAError, ValueError) as error:
        raise _wrong("its LZMA header is damaged") from error
    # The mark at its end is optional, and the size says where that is.
    yield from _pieces(decompressor, _after(head[9:], chunks), ends=False)


def _after(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _pieces(decompressor: _Decompressor, chunks: Iterable[bytes], *, ends: bool) -> Iterator[bytes]:
    import lzma

    try:
        for chunk in filter(None, chunks):
            if decompressor.eof:
                raise _wrong("something follows its compressed content")
            data = chunk
            while True:
                out = decompressor.decompress(data, _PIECE)
                if out:
                    yield out
                if decompressor.eof or decompressor.needs_input or not (out or data):
                    break
                data = b""
            if decompressor.unused_data:
                raise _wrong("something follows its compressed content")
    except (lzma.LZMAError, OSError, ValueError, EOFError, MemoryError) as error:
        raise _wrong("its compressed content is damaged") from error
    if ends and not decompressor.eof:
        raise _wrong("it ends too early")


def _wrong(what: str) -> IntegrityError:
    return IntegrityError(what, where="zip entry")
