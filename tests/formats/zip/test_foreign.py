"""Archives that others wrote: what they hold, and with which passphrase."""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
import zstandard

from backupkit.errors import DestinationError, IntegrityError, ObjectNotFoundError, WrongPassphraseError
from backupkit.formats.zip import foreign_entries
from backupkit.formats.zip.foreign import ForeignArchive
from backupkit.formats.zip.foreign_content import head_of
from backupkit.formats.zip.foreign_keys import key_for
from backupkit.formats.zip.ranges import DirectRanges
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.zip.foreign_archives import (
    FILES,
    PYZIPPER_METHODS,
    SECRET,
    Member,
    by_hand,
    by_pyzipper,
    by_zipfile,
    contents_of,
    entries_of,
    opened,
    with_zip_crypto,
)

TEXT = b"the same line again and again\n" * 3000
OTHER = "another one that is wrong"


def only(archive: bytes, *secrets: str) -> Entry:
    (entry,) = entries_of(archive, *secrets)
    return entry


# Methods


@pytest.mark.parametrize("method", PYZIPPER_METHODS.values(), ids=PYZIPPER_METHODS)
@pytest.mark.parametrize("bits", [None, 128, 192, 256])
def test_every_method_and_every_length_of_key_is_read(method: int, bits: int | None) -> None:
    archive = by_pyzipper(method=method, secret=SECRET if bits else None, bits=bits or 256)
    assert contents_of(archive, SECRET) == FILES


def _lzma_without_end(data: bytes) -> bytes:
    settings = lzma._encode_filter_properties({"id": lzma.FILTER_LZMA1})  # type: ignore[attr-defined]
    alone = lzma.compress(data, format=lzma.FORMAT_ALONE)
    # The .lzma format has a header of 13 bytes, and a mark at the end that ZIP can do without.
    return b"\x09\x14" + struct.pack("<H", len(settings)) + alone[:5] + alone[13:]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        (93, zstandard.compress(TEXT)),
        (95, lzma.compress(TEXT)),
        (14, _lzma_without_end(TEXT)),
        (12, bz2.compress(TEXT)),
        (8, zlib.compress(TEXT)[2:-4]),
    ],
    ids=["zstd", "xz", "lzma", "bzip2", "deflate"],
)
def test_methods_that_pyzipper_does_not_have_are_read_too(method: int, body: bytes) -> None:
    archive = by_hand(Member(method=method, body=body, size=len(TEXT), crc=zlib.crc32(TEXT)))
    assert contents_of(archive) == {"f": TEXT}


def test_the_first_version_of_aes_has_a_checksum_too() -> None:
    archive = by_pyzipper(version=1)
    assert contents_of(archive, SECRET) == FILES
    (record, *_) = opened(archive)._records
    changed = record.crc.to_bytes(4, "little")
    lie = archive.replace(changed, bytes(4))
    with pytest.raises(IntegrityError, match="checksum"):
        contents_of(lie, SECRET)


@pytest.mark.parametrize(
    ("method", "name"), [(9, "deflate64"), (98, "ppmd"), (1, "shrink"), (42, "method 42")], ids=str
)
def test_a_method_that_is_not_read_is_named_with_what_may_read_it(method: int, name: str) -> None:
    entry = only(by_hand(Member(method=method)))
    with pytest.raises(IntegrityError, match=f"'f' is refused.* {name}, .*7-Zip may open it"):
        list(entry.chunks())


def test_large_content_comes_in_small_pieces() -> None:
    data = bytes(20 << 20)
    for method, body in ((12, bz2.compress(data)), (95, lzma.compress(data)), (8, zlib.compress(data)[2:-4])):
        archive = by_hand(Member(method=method, body=body, size=len(data), crc=zlib.crc32(data)))
        assert max(map(len, only(archive).chunks())) <= 1 << 20


# Passphrases


def test_zip_crypto_is_read() -> None:
    archive = by_hand(with_zip_crypto(Member(body=TEXT), SECRET), with_zip_crypto(Member(name=b"g"), SECRET))
    assert contents_of(archive, SECRET) == {"f": TEXT, "g": b"content\n"}


@pytest.mark.parametrize("old", [True, False], ids=["ZipCrypto", "AES"])
@pytest.mark.parametrize("secrets", [[], [OTHER]], ids=["none", "wrong"])
def test_without_the_passphrase_nothing_is_given_out(old: bool, secrets: list[str]) -> None:
    members = [with_zip_crypto(Member(name=bytes((97 + n,)), body=TEXT[n:]), SECRET) for n in range(9)]
    archive = by_hand(*members) if old else by_pyzipper()
    with pytest.raises(WrongPassphraseError, match="passphrase" if secrets else "give the passphrase"):
        contents_of(archive, *secrets)


def test_what_is_in_it_can_be_told_without_a_passphrase() -> None:
    archive = opened(by_pyzipper())
    assert (archive.count, archive.size) == (len(FILES), sum(map(len, FILES.values())))
    assert archive.contents == {"files", "databases"}


def test_every_passphrase_is_tried() -> None:
    assert contents_of(by_pyzipper(), OTHER, SECRET) == FILES


def test_a_wrong_passphrase_that_passes_by_chance_does_not_hide_the_right_one() -> None:
    """One in 256 passes the check of ZipCrypto, and only the content tells."""
    archive = by_hand(with_zip_crypto(Member(body=TEXT), SECRET))
    (record,) = opened(archive)._records
    head = head_of(opened(archive)._ranges, record)
    chance = next(
        secret for n in range(10_000) if key_for(record, (secret := str(n)).encode(), head) is not None
    )
    assert contents_of(archive, chance, SECRET) == {"f": TEXT}
    with pytest.raises(IntegrityError, match="or the passphrase is wrong"):
        contents_of(archive, chance)
    other = with_zip_crypto(Member(name=b"g"), SECRET, salt=b"another one")
    two = by_hand(with_zip_crypto(Member(body=TEXT), SECRET), other)
    with pytest.raises(WrongPassphraseError):
        contents_of(two, chance)


def test_damage_is_told_from_a_wrong_passphrase_by_the_other_entries() -> None:
    archive = bytearray(by_pyzipper())
    (record, *_) = opened(bytes(archive))._records
    salt = record.offset + 30 + len(record.raw) + 11
    archive[salt] ^= 1
    first, *others = entries_of(bytes(archive), SECRET)
    with pytest.raises(IntegrityError, match="opens the others"):
        list(first.chunks())
    assert [b"".join(entry.chunks()) for entry in others] == [*FILES.values()][1:]


def test_a_changed_byte_of_encrypted_content_is_damage() -> None:
    archive = bytearray(by_pyzipper())
    (record, *_) = opened(bytes(archive))._records
    archive[record.end - 20] ^= 1
    with pytest.raises(
        IntegrityError, match=r"mysql-shop\.sql is damaged.*authentication code does not match\Z"
    ):
        list(entries_of(bytes(archive), SECRET)[0].chunks())


def test_a_passphrase_may_be_longer_than_7_zip_can_type() -> None:
    assert contents_of(by_pyzipper(secret="x" * 200), "x" * 200) == FILES


# Names


@pytest.mark.parametrize(
    ("raw", "flags", "extra", "path"),
    [
        (b"a/b", 0, b"", "a/b"),
        ("ü".encode(), 0x800, b"", "ü"),
        ("ü".encode(), 0, b"", "ü"),  # Info-ZIP and others on Linux do not say so
        (b"\x81", 0, b"", "ü"),  # code page 437
        (b"?", 0, struct.pack("<HHBI", 0x7075, 7, 1, zlib.crc32(b"?")) + "ü".encode(), "ü"),
        (b"?", 0, struct.pack("<HHBI", 0x7075, 7, 1, zlib.crc32(b"!")) + "ü".encode(), "?"),
        (b"./a", 0, b"", "a"),
        (b"a b.txt", 0, b"", "a b.txt"),
        (b"ab:c", 0, b"", "ab:c"),
    ],
)
def test_names_are_decoded_as_their_writers_meant_them(
    raw: bytes, flags: int, extra: bytes, path: str
) -> None:
    assert only(by_hand(Member(name=raw, flags=flags, extra=extra))).path == path


def test_the_root_folder_itself_is_no_entry() -> None:
    archive = by_hand(Member(name=b"./", body=b"", attributes=0o40755 << 16), Member(name=b"./f"))
    assert [entry.path for entry in entries_of(archive)] == ["f"]
    assert opened(archive).count == 1


# Metadata


@pytest.mark.parametrize(
    ("member", "kind", "mode"),
    [
        (Member(attributes=0o100640 << 16), "file", 0o640),
        (Member(attributes=0o104755 << 16), "file", 0o4755),
        (Member(attributes=0o640 << 16), "file", 0o640),
        (Member(attributes=0), "file", None),
        (Member(name=b"d/", body=b"", attributes=0o40750 << 16 | 0x10), "directory", 0o750),
        (Member(name=b"d", body=b"", attributes=0o40750 << 16), "directory", 0o750),
        (Member(name=b"d/", body=b"", system=0, attributes=0x10), "directory", None),
        (Member(name=b"d", body=b"", system=0, attributes=0x10), "directory", None),
        (Member(system=0, attributes=0o100640 << 16), "file", None),
        (Member(system=0, attributes=0o100640 << 16 | 0x8000), "file", 0o640),  # 7-Zip
        (Member(body=b"g/h", attributes=0o120777 << 16), "symlink", 0o777),
        (Member(body=b"g/h", system=0, attributes=0o120777 << 16), "file", None),
    ],
)
def test_kind_and_mode_come_from_the_attributes(member: Member, kind: str, mode: int | None) -> None:
    entry = only(by_hand(member))
    assert (entry.kind, entry.mode) == (kind, mode)
    assert entry.target == ("g/h" if kind == "symlink" else None)
    assert b"".join(entry.chunks()) == (member.body if kind == "file" else b"")


BERLIN = timezone(timedelta(hours=1))
STAMP = struct.pack("<HHBi", 0x5455, 5, 1, 1_700_000_000)
NTFS = struct.pack("<HHIHHQQQ", 0x000A, 32, 0, 1, 24, (1_600_000_000 + 11_644_473_600) * 10_000_000 + 5, 0, 0)


@pytest.mark.parametrize(
    ("extra", "zone", "time"),
    [
        (b"", None, int(datetime(2026, 1, 31, 2, 30, 10, tzinfo=UTC).timestamp()) * 10**9),
        (b"", BERLIN, int(datetime(2026, 1, 31, 1, 30, 10, tzinfo=UTC).timestamp()) * 10**9),
        (STAMP, BERLIN, 1_700_000_000 * 10**9),
        (NTFS, BERLIN, 1_600_000_000 * 10**9 + 500),
        (NTFS + STAMP, None, 1_700_000_000 * 10**9),
        (struct.pack("<HHB", 0x5455, 1, 1), None, 1_769_826_610 * 10**9),
    ],
    ids=["DOS", "DOS in a zone", "timestamp", "NTFS", "both", "a timestamp that is cut short"],
)
def test_the_time_is_the_best_that_is_recorded(extra: bytes, zone: timezone | None, time: int) -> None:
    (record,) = opened(by_hand(Member(extra=extra)))._records
    assert foreign_entries.modified_ns(record, zone) == time


def test_a_time_that_is_none_is_none() -> None:
    assert only(by_hand(Member(date=0, time=0))).modified_ns is None
    assert only(by_hand(Member(date=0xFFFF, time=0xFFFF))).modified_ns is None


@pytest.mark.parametrize(
    ("names", "contents"),
    [
        (["db-dumps/mysql-shop.sql"], {"databases"}),
        (["db-dumps/"], set()),
        (["var/www/index.php"], {"files"}),
        (["db-dumps/a.sql", "b"], {"files", "databases"}),
        (["db-dumps"], set()),
        (["../db-dumps/a.sql"], set()),
    ],
)
def test_dumps_are_recognised_by_their_folder(names: list[str], contents: set[str]) -> None:
    archive = by_hand(*(Member(name=name.encode(), body=b"") for name in names))
    assert opened(archive).contents == contents


# Zip64, comments, streams


def test_sizes_of_zip64_are_read() -> None:
    sizes = struct.pack("<HHQQ", 1, 16, 8, 8)
    member = Member(size=0xFFFFFFFF, stored=0xFFFFFFFF, crc=zlib.crc32(b"content\n"), extra=sizes)
    assert contents_of(by_hand(member)) == {"f": b"content\n"}
    lie = Member(
        size=0xFFFFFFFF,
        stored=0xFFFFFFFF,
        crc=zlib.crc32(b"content\n"),
        extra=sizes,
        local=(("extra", struct.pack("<HHQQ", 1, 16, 9, 8)),),
    )
    with pytest.raises(IntegrityError, match="other sizes"):
        contents_of(by_hand(lie))


def test_an_archive_may_have_a_comment() -> None:
    assert contents_of(by_hand(Member(), comment=b"made on a Friday")) == {"f": b"content\n"}


def test_an_entry_that_was_streamed_has_its_sizes_behind_it() -> None:
    zeros = (("crc", 0), ("stored", 0), ("size", 0))
    archive = by_hand(Member(flags=8, local=zeros), Member(name=b"g", flags=8, local=zeros))
    assert contents_of(archive) == {"f": b"content\n", "g": b"content\n"}


def test_an_archive_without_entries_holds_nothing() -> None:
    archive = opened(by_hand())
    assert (archive.count, archive.size, archive.contents, archive.ours) == (0, 0, frozenset(), False)
    assert [*archive.entries()] == []


def test_methods_of_zipfile_are_read() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert contents_of(by_zipfile(method=method)) == FILES


# Ranges


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_directory_takes_one_request_and_so_do_the_passphrase_and_each_content(encrypted: bool) -> None:
    destination = MemoryDestination()
    archive = by_pyzipper() if encrypted else by_zipfile()
    destination.write("a.zip", [archive])
    counting = FaultyDestination(destination)
    ranges = DirectRanges(counting, "a.zip", len(archive))
    reader = ForeignArchive(ranges, passphrases=[Passphrase(SECRET)])
    assert counting.calls["read"] == 1
    for _ in range(2):
        for entry in reader.entries():
            list(entry.chunks())
    assert counting.calls["read"] == 1 + encrypted + 2 * len(FILES)


@pytest.mark.parametrize("error", [DestinationError, ObjectNotFoundError])
def test_a_destination_that_fails_is_not_taken_for_a_damaged_archive(error: type[DestinationError]) -> None:
    destination = MemoryDestination()
    archive = by_zipfile()
    destination.write("a.zip", [archive])
    fault = Fault(method="read", does=error("The cable was cut.", location="memory:"), call=None)
    with pytest.raises(error, match="cable"):
        ForeignArchive(DirectRanges(FaultyDestination(destination, [fault]), "a.zip", len(archive)))
