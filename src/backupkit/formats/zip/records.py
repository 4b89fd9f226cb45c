"""The structures of a ZIP file as bytes, packed and unpacked; no I/O.

Source: PKWARE APPNOTE.TXT 6.3.10; its section numbers stand beside each structure. What is packed here is
canonical: unpacking a record and packing it again gives the same bytes, which is how a changed byte in any
header is noticed.
"""

from __future__ import annotations

import calendar
import functools
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from backupkit.errors import IntegrityError

METHODS = {"store": 0, "deflate": 8, "zstd": 93}  # 4.4.5
ALGORITHMS = {number: name for name, number in METHODS.items()}

_AES_METHOD = 99  # 4.4.5: the true method stands in the extra field 0x9901
_LIMIT = 0xFFFFFFFF  # a 32-bit field that says: see the zip64 extra field
_ENCRYPTED, _STREAMED, _UTF8 = 0x0001, 0x0008, 0x0800  # 4.4.4
_MADE_BY_UNIX = 3 << 8 | 63  # 4.4.2

_LOCAL = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")  # 4.3.12
_DESCRIPTOR64 = struct.Struct("<4sIQQ")  # 4.3.9
_END64 = struct.Struct("<4sQHHIIQQQQ")  # 4.3.14
_LOCATOR64 = struct.Struct("<4sIQI")  # 4.3.15
_END = struct.Struct("<4sHHHHIIH")  # 4.3.16
END_SIZES = _END64.size + _LOCATOR64.size + _END.size

_ZEROED64 = struct.Struct("<HHQQ")
_AES_EXTRA = struct.Struct("<HHH2sBH")  # the AE-2 specification, section II.B
_TIME_EXTRA = struct.Struct("<HHBi")  # Info-ZIP's extended timestamp, modification time only


class Record(NamedTuple):  # made several times for each entry, and five times as fast as a frozen dataclass
    """One entry of the archive as its headers have it.

    `modified` is in whole seconds since 1970, or None. `streamed` entries have their sizes and checksum in a
    data descriptor behind the content. `stored` counts the bytes of the body, encryption included.
    """

    name: bytes
    method: int
    encrypted: bool
    streamed: bool
    modified: int | None
    attributes: int
    offset: int
    crc: int = 0
    stored: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory stands: its first byte, its length, and how many records it has."""

    offset: int
    size: int
    count: int


def pack_local(record: Record) -> bytes:
    """The header before the body. A streamed entry's leaves sizes and checksum to its descriptor."""
    extra = _extras(record)
    if record.streamed:
        # Eight-byte sizes in the descriptor are announced by this field, zeroed (4.3.9.2).
        extra = _ZEROED64.pack(1, 16, 0, 0) + extra
        crc, stored, size = 0, _LIMIT, _LIMIT
    else:
        crc, stored, size = record.crc, record.stored, record.size
    dos_time, dos_date = _dos_time(record.modified)
    return (
        _LOCAL.pack(
            b"PK\3\4",
            _version_needed(record, record.streamed),
            _flags(record),
            _AES_METHOD if record.encrypted else record.method,
            dos_time,
            dos_date,
            crc,
            stored,
            size,
            len(record.name),
            len(extra),
        )
        + record.name
        + extra
    )


def pack_descriptor(record: Record) -> bytes:
    """What follows the body of a streamed entry; nothing for the others."""
    if not record.streamed:
        return b""
    return _DESCRIPTOR64.pack(b"PK\7\10", record.crc, record.stored, record.size)


def extent(record: Record) -> int:
    """How many bytes the entry occupies before the directory: header, body and descriptor."""
    around = _LOCAL.size + len(record.name)
    if record.modified is not None:
        around += _TIME_EXTRA.size
    if record.encrypted:
        around += _AES_EXTRA.size
    if record.streamed:
        around += _ZEROED64.size + _DESCRIPTOR64.size
    return around + record.stored


def pack_central(record: Record) -> bytes:
    """The entry's record in the central directory."""
    large = [value for value in (record.size, record.stored, record.offset) if value >= _LIMIT]
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    extra += _extras(record)
    dos_time, dos_date = _dos_time(record.modified)
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _MADE_BY_UNIX,
            _version_needed(record, bool(large) or record.streamed),
            _flags(record),
            _AES_METHOD if record.encrypted else record.method,
            dos_time,
            dos_date,
            record.crc,
            min(record.stored, _LIMIT),
            min(record.size, _LIMIT),
            len(record.name),
            len(extra),
            0,
            0,
            0,
            record.attributes,
            min(record.offset, _LIMIT),
        )
        + record.name
        + extra
    )


def pack_end(directory: Directory) -> bytes:
    """Everything after the central directory; zip64 structures only where they are needed."""
    end64 = b""
    if directory.count >= 0xFFFF or directory.size >= _LIMIT or directory.offset >= _LIMIT:
        end64 = _END64.pack(
            b"PK\6\6",
            _END64.size - 12,
            _MADE_BY_UNIX,
            45,
            0,
            0,
            directory.count,
            directory.count,
            directory.size,
            directory.offset,
        ) + _LOCATOR64.pack(b"PK\6\7", 0, directory.offset + directory.size, 1)
    count = min(directory.count, 0xFFFF)
    return end64 + _END.pack(
        b"PK\5\6", 0, 0, count, count, min(directory.size, _LIMIT), min(directory.offset, _LIMIT), 0
    )


def find_directory(tail: bytes, total: int) -> Directory:
    """Read the end of an archive of `total` bytes, of which `tail` is the last part (END_SIZES suffice).

    Only the endings that `pack_end` writes are accepted: no comment, one disk, nothing between.
    """
    try:
        _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, len(tail) - _END.size)
        if tail[-_END.size - _LOCATOR64.size :][:4] == b"PK\6\7":
            fields = _END64.unpack_from(tail, len(tail) - END_SIZES)
            count, size, offset = fields[7], fields[8], fields[9]
        directory = Directory(offset, size, count)
        end = pack_end(directory)
    except struct.error as error:
        raise _damaged("it is too short, or not a ZIP archive") from error
    if not tail.endswith(end) or offset + size + len(end) != total:
        raise _damaged("its end is not that of a whole archive")
    return directory


def unpack_directory(data: bytes, directory: Directory, *, checked: bool = False) -> Iterator[Record]:
    """Yield the records of the central directory, each of them checked to be canonical, unless they were before."""
    position = 0
    for _ in range(directory.count):
        record, position = _unpack_central(data, position, checked)
        yield record
    if position != len(data):
        raise _damaged("its directory holds more than its end says")


def _unpack_central(data: bytes, position: int, checked: bool) -> tuple[Record, int]:
    try:
        fields = _CENTRAL.unpack_from(data, position)
    except struct.error as error:
        raise _damaged("its directory ends too early") from error
    _, _, _, flags, method, _, _, crc, stored, size, name_length, extra_length = fields[:12]
    attributes, offset = fields[15:]
    name_end = position + _CENTRAL.size + name_length
    end = name_end + extra_length
    modified = None
    try:
        at = name_end
        while at < end:
            kind, length = struct.unpack_from("<HH", data, at)
            if kind == 1:
                large = list(struct.unpack_from(f"<{length // 8}Q", data, at + 4))
                size = large.pop(0) if size == _LIMIT else size
                stored = large.pop(0) if stored == _LIMIT else stored
                offset = large.pop(0) if offset == _LIMIT else offset
            elif kind == 0x5455:
                modified = _TIME_EXTRA.unpack_from(data, at)[3]
            elif kind == 0x9901:
                method = _AES_EXTRA.unpack_from(data, at)[5]
            at += 4 + length
        record = Record(
            name=data[position + _CENTRAL.size : name_end],
            method=method,
            encrypted=bool(flags & _ENCRYPTED),
            streamed=bool(flags & _STREAMED),
            modified=modified,
            attributes=attributes,
            offset=offset,
            crc=crc,
            stored=stored,
            size=size,
        )
        if checked:
            return record, end
        fits = record.streamed or max(record.stored, record.size) < _LIMIT
        canonical = fits and pack_central(record) == data[position:end]
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise _damaged(f"its directory cannot be read at byte {position}") from error
    if not canonical:
        raise _damaged(f"its directory was changed at byte {position}")
    return record, end


def whole_seconds(modified_ns: int | None) -> int | None:
    """A time as the headers can hold it: whole seconds in 32 signed bits, else none at all."""
    if modified_ns is None:
        return None
    seconds = modified_ns // 1_000_000_000
    return seconds if -(1 << 31) <= seconds < 1 << 31 else None


def _flags(record: Record) -> int:
    return _UTF8 | (_ENCRYPTED if record.encrypted else 0) | (_STREAMED if record.streamed else 0)


def _version_needed(record: Record, zip64: bool) -> int:
    # 4.4.3.2: 2.0 deflate and folders, 4.5 zip64, 5.1 AES, 6.3 zstd.
    return max(
        20,
        45 if zip64 else 0,
        51 if record.encrypted else 0,
        63 if record.method == METHODS["zstd"] else 0,
    )


def _extras(record: Record) -> bytes:
    extra = b""
    if record.modified is not None:
        extra += _TIME_EXTRA.pack(0x5455, 5, 1, record.modified)
    if record.encrypted:
        extra += _AES_EXTRA.pack(0x9901, 7, 2, b"AE", 3, record.method)
    return extra


@functools.lru_cache(maxsize=1024)
def _dos_time(modified: int | None) -> tuple[int, int]:
    """4.4.6: two-second steps since 1980. In UTC, so that an entry has the same header anywhere."""
    if modified is None or modified < calendar.timegm((1980, 1, 1, 0, 0, 0)):
        return 0, 1 << 5 | 1
    t = time.gmtime(modified)
    return t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2, (
        t.tm_year - 1980
    ) << 9 | t.tm_mon << 5 | t.tm_mday


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(f"The archive is damaged: {what}.", where="zip directory")
