"""What an entry of somebody else's archive is: its path, kind, mode and time, or why it is refused."""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from urllib.parse import quote

from backupkit.errors import IntegrityError
from backupkit.formats.zip.foreign_records import MASKED, STRONG, UTF8, ForeignRecord
from backupkit.formats.zip.limits import is_reachable
from backupkit.model import Kind, is_entry_path

MOST_TARGET = 4096  # bytes, the longest path of Linux
METHODS = {0: "store", 8: "deflate", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz"}

_OTHER_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 96: "jpeg", 97: "wavpack", 98: "ppmd"}
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # bytes, of common file systems
_UNIX, _DARWIN = 3, 19  # systems, APPNOTE 4.4.2.2
_SEVEN_ZIP_UNIX = 0x8000  # 7-Zip says so that the upper half of the attributes is a Unix mode
_UNICODE_PATH, _TIMESTAMP, _NTFS = 0x7075, 0x5455, 0x000A  # extra fields
_NTFS_EPOCH = 11_644_473_600  # seconds from 1601 to 1970


def name_of(record: ForeignRecord) -> str:
    """The name as text: UTF-8 where that is said or fits, else the code page 437 of the specification."""
    if record.flags & UTF8:
        return record.name
    field = _extra(record, _UNICODE_PATH)
    if field is not None and field[:1] == b"\1" and field[1:5] == _crc_bytes(record.raw):
        return field[5:].decode("utf-8", "surrogateescape")
    # Info-ZIP on Linux writes UTF-8 without saying so; text in another code page is hardly ever valid UTF-8.
    try:
        return record.raw.decode("utf-8")
    except UnicodeDecodeError:
        return record.name


def path_of(record: ForeignRecord) -> str:
    """The entry's path, "" for the root folder itself. IntegrityError for one that could lead elsewhere."""
    name = name_of(record)
    path = name
    while path.startswith("./"):
        path = path[2:]
    path = path.removesuffix("/")
    if not path and name.endswith("./"):
        return ""
    why = None
    if "\0" in path:
        why = "its name holds a NUL"
    elif "\\" in path or re.match(r"[A-Za-z]:", path):
        why = "its name is a path of Windows"
    elif path.startswith("/"):
        why = "its path is absolute"
    elif ".." in path.split("/"):
        why = "its path leads upwards"
    elif not is_entry_path(path):
        why = "its path has an empty part"
    elif len(path.encode("utf-8", "surrogateescape")) > _LONGEST_PATH or any(
        len(part.encode("utf-8", "surrogateescape")) > _LONGEST_NAME for part in path.split("/")
    ):
        why = "its name is too long"
    if why:
        raise refusal(record, why)
    return path


def kind_of(record: ForeignRecord) -> Kind:
    """IntegrityError for devices, sockets and pipes, and for a folder that has content."""
    mode = _unix_mode(record)
    kind: Kind = "file"
    if name_of(record).endswith("/") or stat.S_ISDIR(mode) or (not mode and record.attributes & 0x10):
        if record.size:
            raise refusal(record, "it is a folder with content")
        kind = "directory"
    elif stat.S_ISLNK(mode):
        kind = "symlink"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise refusal(record, "it is a device, a socket or a pipe")
    return kind


def mode_of(record: ForeignRecord) -> int | None:
    """The permission bits, where a Unix system recorded them."""
    return stat.S_IMODE(_unix_mode(record)) if _unix_mode(record) else None


def modified_ns(record: ForeignRecord, zone: tzinfo | None) -> int | None:
    """When the content was changed: a time in UTC if there is one, else the DOS time, which is local to `zone`.

    Without a zone the DOS time is taken for UTC.
    """
    field = _extra(record, _TIMESTAMP)
    if field is not None and len(field) >= 5 and field[0] & 1:
        return int.from_bytes(field[1:5], "little", signed=True) * 1_000_000_000
    field = _extra(record, _NTFS)
    if field is not None and len(field) >= 16 and field[4:8] == b"\1\0\x18\0":
        return (int.from_bytes(field[8:16], "little") - _NTFS_EPOCH * 10_000_000) * 100
    year, month, day, hour, minute, second = record.dos_time
    try:
        time = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone or UTC)
        return int(time.timestamp()) * 1_000_000_000
    except (ValueError, OverflowError):
        return None


def check_content(record: ForeignRecord) -> None:
    """IntegrityError if the content cannot be read here, or cannot be what the directory says."""
    if record.flags & (STRONG | MASKED):
        raise refusal(record, "it is encrypted in PKWARE's way, not with AES or ZipCrypto: 7-Zip may open it")
    if record.aes is not None and not (
        record.encrypted and record.aes[0] in (1, 2) and record.aes[1] in (16, 24, 32)
    ):
        raise refusal(record, "its encryption contradicts itself")
    if record.method not in METHODS:
        name = _OTHER_METHODS.get(record.method, f"method {record.method}")
        raise refusal(record, f"it is compressed with {name}, which is not read here: 7-Zip may open it")
    plain = record.stored - overhead(record)
    if plain < 0 or (record.size and not is_reachable(record.method, plain, record.size)):
        raise refusal(
            record,
            f"it claims {record.size} bytes of content in {record.stored}, which cannot be or is a trap",
        )


def check_target(path: str, target: str, record: ForeignRecord) -> None:
    """IntegrityError for a link that could lead out of the restored folder.

    Going up is possible at the beginning only: behind a name, which may be another link, nobody knows what
    is above.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    if not target or "\0" in target:
        raise refusal(record, "it is a link to nothing")
    if target.startswith("/") or ".." in parts[ups:] or ups > path.count("/"):
        raise refusal(record, f"it is a link to {target[:100]!r}, which may lie outside")


def overhead(record: ForeignRecord) -> int:
    """The bytes that encryption adds: salt, verifier and code of AES; the header of ZipCrypto."""
    if record.aes is not None:
        return record.aes[1] // 2 + 2 + 10
    return 12 if record.encrypted else 0


def refusal(record: ForeignRecord, why: str) -> IntegrityError:
    name = name_of(record)[:200]
    return IntegrityError(f"The entry {name!r} is refused: {why}.", where=name)


def stand_in(record: ForeignRecord) -> str:
    """A harmless path for an entry whose own is refused: one name that can be recognised."""
    name = quote(name_of(record), safe=" ", errors="replace")
    return name.replace("..", "%2E%2E")[:100].strip(". ") or "%2E"


def _unix_mode(record: ForeignRecord) -> int:
    if record.system in (_UNIX, _DARWIN) or record.attributes & _SEVEN_ZIP_UNIX:
        return record.attributes >> 16
    return 0


def _extra(record: ForeignRecord, wanted: int) -> bytes | None:
    return next((field for kind, field in _extras(record.extra) if kind == wanted), None)


def _extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        kind, length = struct.unpack_from("<HH", data)
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


def _crc_bytes(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
