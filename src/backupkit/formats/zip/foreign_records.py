"""The entries of an archive that somebody else's program wrote: read by pyzipper, checked against each other.

Only the directory at the end is read here, in bounded memory; no content.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backupkit.errors import BackupKitError, IntegrityError
from backupkit.formats.zip.ranges import Ranges

LOCAL_SIZE = 30  # of a local header without name and extra fields
ENCRYPTED, STREAMED, STRONG, UTF8, MASKED = 0x0001, 0x0008, 0x0040, 0x0800, 0x2000

_TAIL = 66_000  # bytes: an end record and the longest comment
_END = b"PK\5\6"
# 64 MiB of directory are some 400,000 files, and at most about 1 GiB of memory while they are read.
_LARGEST_DIRECTORY = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRecord:
    """One entry as the directory has it.

    `name` is decoded as `flags` say, `raw` its bytes. `aes` is the version (AE-1 or AE-2) and the length of
    the key in bytes. `dos_time` is local time, somewhere. The entry's bytes lie between `offset` and `end`.
    """

    name: str
    raw: bytes
    method: int
    flags: int
    aes: tuple[int, int] | None
    crc: int
    stored: int
    size: int
    offset: int
    end: int
    dos_time: tuple[int, int, int, int, int, int]
    raw_time: int
    system: int
    attributes: int
    extra: bytes

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & ENCRYPTED)


class RangeFile:
    """The ranges as the file that pyzipper reads: seekable, its end in memory, every read bounded."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._position = 0
        self._tail_start = max(0, ranges.total - _TAIL)
        self.failure: BackupKitError | None = None
        self.tail = self._bytes(self._tail_start, ranges.total)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + {os.SEEK_CUR: self._position, os.SEEK_END: self._ranges.total}.get(whence, 0)
        if position < 0:
            raise OSError("before the beginning")  # what pyzipper expects of a file
        self._position = position
        return position

    def read(self, count: int = -1) -> bytes:
        end = self._ranges.total if count < 0 else min(self._position + count, self._ranges.total)
        start = min(self._position, end)
        if end - start > _LARGEST_DIRECTORY:
            self.failure = _damaged(
                f"its directory is larger than {_LARGEST_DIRECTORY >> 20} MiB, the most that is read here"
            )
            raise self.failure
        data = self.tail[start - self._tail_start : end - self._tail_start]
        if start < self._tail_start:
            data = self._bytes(start, end)
        self._position = start + len(data)
        return data

    def close(self) -> None:
        pass

    def _bytes(self, start: int, end: int) -> bytes:
        try:
            return b"".join(self._ranges.read(start, end - start)) if end > start else b""
        except BackupKitError as error:
            # Some are OSErrors too, which pyzipper would take for an archive that ends early.
            self.failure = error
            raise


def read_records(ranges: Ranges) -> Sequence[ForeignRecord]:
    """All entries, in the order of the directory. IntegrityError if that is not one of a whole archive.

    No two of them share a byte: an archive of a few MiB could otherwise hold terabytes.
    """
    from pyzipper import AESZipFile

    file = RangeFile(ranges)
    try:
        with AESZipFile(file) as archive:
            infos, start = archive.infolist(), archive.start_dir
            records = [_record(info) for info in infos]
    except Exception as error:  # pyzipper has no common error, and raises whatever its parsing runs into
        if file.failure is not None:
            raise file.failure from error
        raise _damaged("its directory cannot be read, or it is not a ZIP archive") from error
    _check_end(file.tail, len(records))
    if any(info.volume for info in infos):
        raise _in_parts()
    return _apart(records, start, ranges.total)


def _record(info: Any) -> ForeignRecord:
    name: str = info.orig_filename
    aes = None
    if info.wz_aes_version is not None:
        aes = (info.wz_aes_version, {1: 16, 2: 24, 3: 32}.get(info.wz_aes_strength, 0))
    return ForeignRecord(
        name=name,
        raw=name.encode("utf-8" if info.flag_bits & UTF8 else "cp437"),
        method=info.compress_type,
        flags=info.flag_bits,
        aes=aes,
        crc=info.CRC,
        stored=info.compress_size,
        size=info.file_size,
        offset=info.header_offset,
        end=0,
        dos_time=info.date_time,
        raw_time=info._raw_time,
        system=info.create_system,
        attributes=info.external_attr,
        extra=info.extra,
    )


def _check_end(tail: bytes, count: int) -> None:
    """What pyzipper passes over: that this is one archive, not a part of one, and how many entries it has."""
    at = tail.rfind(_END)
    disk, first, _, entries = (
        int.from_bytes(tail[at + 4 + 2 * n : at + 6 + 2 * n], "little") for n in range(4)
    )
    if not {disk, first} <= {0, 0xFFFF}:
        raise _in_parts()
    if entries not in (count & 0xFFFF, 0xFFFF):
        raise _damaged(f"its end counts {entries} entries, and its directory has {count}")


def _apart(records: Sequence[ForeignRecord], start: int, total: int) -> Sequence[ForeignRecord]:
    """The records with their ends: where the next entry, or the directory, begins."""
    if not 0 <= start <= total:
        raise _damaged("its directory lies outside of it")
    ends = {}
    end = start
    for record in sorted(records, key=lambda record: record.offset, reverse=True):
        if record.offset < 0 or record.offset + LOCAL_SIZE + len(record.raw) + record.stored > end:
            raise _damaged(
                f"the entry {record.name[:100]!r} overlaps with what follows it, "
                "as in archives that are made to fill a disk"
            )
        ends[record.offset] = end
        end = record.offset
    if end > 0:
        raise _damaged(f"{end} bytes stand before its first entry: something was put in front of it")
    return [replace(record, end=ends[record.offset]) for record in records]


def _in_parts() -> IntegrityError:
    return _damaged("it is one part of an archive that was split: 7-Zip can open it if it has all parts")


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(f"The archive cannot be read: {what}.", where="zip directory")
