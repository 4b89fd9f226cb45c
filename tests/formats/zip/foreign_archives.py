"""Archives as others write them, and as nobody should: whole ones in memory, and every field to lie with."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyzipper

from backupkit.formats.zip.foreign import ForeignArchive
from backupkit.formats.zip.ranges import DirectRanges
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.testing.destinations import MemoryDestination

SECRET = "correct horse battery staple orbit"
FILES: Mapping[str, bytes] = {
    "db-dumps/mysql-shop.sql": b"INSERT INTO orders VALUES (1, 'apples');\n" * 400,
    "var/www/shop/index.php": b"<?php echo 'shop';\n",
    "var/www/shop/empty": b"",
    "var/www/shop/\N{LATIN SMALL LETTER U WITH DIAERESIS}.txt": b"x" * 70_000,
}
PYZIPPER_METHODS = {"store": 0, "deflate": 8, "bzip2": 12, "lzma": 14}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry, made by hand. What is None is true; `local` changes fields of the local header alone."""

    name: bytes = b"f"
    body: bytes = b"content\n"
    method: int = 0
    size: int | None = None
    stored: int | None = None
    crc: int | None = None
    flags: int = 0
    attributes: int = 0o100644 << 16
    system: int = 3
    extra: bytes = b""
    offset: int | None = None
    date: int = 46 << 9 | 1 << 5 | 31  # 31 January 2026
    time: int = 2 << 11 | 30 << 5 | 5  # 02:30:10
    needs: int = 20
    disk: int = 0
    local: tuple[tuple[str, object], ...] = ()


def by_hand(*members: Member, prefix: bytes = b"", comment: bytes = b"", count: int | None = None) -> bytes:
    """An archive of these entries, one behind the other."""
    data = bytearray(prefix)
    central = b""
    for member in members:
        size = len(member.body) if member.size is None else member.size
        stored = len(member.body) if member.stored is None else member.stored
        crc = zlib.crc32(member.body) if member.crc is None else member.crc
        offset = len(data) if member.offset is None else member.offset
        fields = {"signature": b"PK\3\4", "name": member.name, "method": member.method, "flags": member.flags}
        fields |= {"crc": crc, "stored": stored, "size": size, "extra": member.extra} | dict(member.local)
        shared = (member.flags, member.method, member.time, member.date, crc, stored, size, len(member.name))
        if member.offset is None:
            data += struct.pack(
                "<4sHHHHHIIIHH",
                *(fields["signature"], member.needs, fields["flags"], fields["method"]),
                *(member.time, member.date, fields["crc"], fields["stored"], fields["size"]),
                *(len(fields["name"]), len(fields["extra"])),  # type: ignore[arg-type]  # both are bytes
            )
            data += fields["name"] + fields["extra"] + member.body  # type: ignore[operator]
        central += struct.pack("<4sBBH", b"PK\1\2", 20, member.system, member.needs)
        central += struct.pack(
            "<HHHHIIIHHHHHII", *shared, len(member.extra), 0, member.disk, 0, member.attributes, offset
        )
        central += member.name + member.extra
    number = len(members) if count is None else count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, number, number, len(central), len(data), len(comment))
    return bytes(data) + central + end + comment


def by_zipfile(files: Mapping[str, bytes] = FILES, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def by_pyzipper(
    files: Mapping[str, bytes] = FILES,
    *,
    method: int = 8,
    secret: str | None = SECRET,
    bits: int = 256,
    version: int = 2,
) -> bytes:
    buffer = io.BytesIO()
    with pyzipper.AESZipFile(buffer, "w", compression=method) as archive:
        if secret is not None:
            archive.setpassword(secret.encode())
            archive.setencryption(pyzipper.WZ_AES, nbits=bits, force_wz_aes_version=version)
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_zip_crypto(member: Member, secret: str, *, salt: bytes = b"elevenbytes") -> Member:
    """The same entry under the old encryption, which no library of ours writes."""
    state = [0x12345678, 0x23456789, 0x34567890]

    def step(crc: int, byte: int) -> int:
        return crc >> 8 ^ ~zlib.crc32(bytes(((crc ^ byte) & 0xFF,)), 0xFFFFFFFF) & 0xFFFFFFFF

    def update(byte: int) -> None:
        state[0] = step(state[0], byte)
        state[1] = ((state[1] + (state[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        state[2] = step(state[2], state[1] >> 24)

    for byte in secret.encode():
        update(byte)
    crc = zlib.crc32(member.body) if member.crc is None else member.crc
    sealed = bytearray()
    for byte in salt + bytes((crc >> 24,)) + member.body:
        mask = state[2] & 0xFFFF | 2
        sealed.append(byte ^ (mask * (mask ^ 1) >> 8 & 0xFF))
        update(byte)
    return Member(
        name=member.name,
        body=bytes(sealed),
        size=len(member.body) if member.size is None else member.size,
        crc=crc,
        flags=member.flags | 1,
        method=member.method,
    )


def opened(archive: bytes, *secrets: str) -> ForeignArchive:
    destination = MemoryDestination()
    destination.write("a.zip", [archive])
    ranges = DirectRanges(destination, "a.zip", len(archive))
    return ForeignArchive(ranges, passphrases=[Passphrase(secret) for secret in secrets])


def entries_of(archive: bytes, *secrets: str) -> Sequence[Entry]:
    return [*opened(archive, *secrets).entries()]


def contents_of(archive: bytes, *secrets: str) -> dict[str, bytes]:
    """Everything that is in the archive, read in full."""
    return {entry.path: b"".join(entry.chunks()) for entry in entries_of(archive, *secrets)}


def everything(archive: bytes, *secrets: str) -> Iterator[object]:
    """All that can be had from the archive, the errors of single entries included."""
    from backupkit.errors import IntegrityError

    reader = opened(archive, *secrets)
    yield reader.count, reader.size, reader.contents, reader.ours
    for entry in reader.entries():
        yield entry
        try:
            size = 0
            for chunk in entry.chunks():
                assert len(chunk) <= 1 << 20
                size += len(chunk)
            yield size
        except IntegrityError as error:
            yield str(error)
