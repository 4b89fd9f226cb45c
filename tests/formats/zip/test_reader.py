from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.compression import Store, Zstd
from backupkit.destinations.local import LocalDestination
from backupkit.errors import IntegrityError, WrongPassphraseError
from backupkit.formats.zip import headers, manifest, writer
from backupkit.formats.zip.aes import WinZipAES
from backupkit.formats.zip.key_derivation import Keys
from backupkit.formats.zip.ranges import DirectRanges
from backupkit.formats.zip.reader import ArchiveReader
from backupkit.formats.zip.records import (
    Directory,
    Record,
    find_directory,
    pack_central,
    pack_end,
    pack_local,
)
from backupkit.model import Entry
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor, Encryptor
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from tests.formats.zip.archives import HEADER, KEY, MiB, archive_of, contents_of, reader_of, records_of

RANDOM = Random(9).randbytes(2 * MiB)
ENTRIES = [
    Entry(path="d", kind="directory", mode=0o750, modified_ns=1_767_225_600_123_456_789),
    with_content(Entry(path="d/f", mode=0o640, xattrs={"user.a": b"b"}), b"content\n" * 4),
    Entry(path="l", kind="symlink", target="d/f"),
    with_content(Entry(path="m", holes=((0, 10),)), bytes(20)),
]


def everything(archive: bytes, *encryptors: Encryptor) -> Sequence[object]:
    """All that can be had from the archive, in the order of a check and a verification."""
    reader = reader_of(archive, *encryptors)
    found: list[object] = [reader.header(), reader.footer(), *reader.headers_differ()]
    for entry in reader.entries():
        found += [entry, b"".join(entry.chunks())]
    return found


@pytest.mark.parametrize("piece", [MiB, 16], ids=["whole", "streamed"])
@pytest.mark.parametrize("encryptor", [None, KEY], ids=["plain", "encrypted"])
def test_every_flipped_byte_of_an_archive_is_noticed(
    encryptor: WinZipAES | None, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PIECE", piece)
    entries = ENTRIES if piece == MiB else ENTRIES[1:]  # then it begins with a streamed one
    archive = archive_of(entries, compressor=Store(), encryptor=encryptor)
    keys = [encryptor] if encryptor else []
    before = everything(archive, *keys)
    unnoticed = []
    for at in range(len(archive)):
        for mask in (1 << at % 8, 0x80) if encryptor else (1 << at % 8, 0x80, 0xFF):
            flipped = archive[:at] + bytes((archive[at] ^ mask,)) + archive[at + 1 :]
            try:
                if everything(flipped, *keys) == before:
                    unnoticed.append((at, mask))
            except (IntegrityError, WrongPassphraseError):
                pass
    assert unnoticed == []


@pytest.mark.parametrize("encryptor", [None, KEY], ids=["plain", "encrypted"])
def test_damage_of_one_entry_leaves_the_others_readable(encryptor: WinZipAES | None) -> None:
    entries = [with_content(Entry(path=path), RANDOM, b"x") for path in "abc"]
    archive = bytearray(archive_of(entries, encryptor=encryptor))
    archive[len(archive) // 2] ^= 1
    results: dict[str, object] = {}
    for entry in reader_of(bytes(archive), *([encryptor] if encryptor else [])).entries():
        try:
            results[entry.path] = b"".join(entry.chunks()) == RANDOM + b"x"
        except IntegrityError as error:
            results[entry.path] = error.where
    assert results == {"a": True, "b": "b", "c": True}


@pytest.mark.parametrize(
    ("text", "claim", "message"),
    [
        ("line_text", lambda line: replace(line, sha256="0" * 64), "SHA-256"),
        ("line_text", lambda line: replace(line, entry=replace(line.entry, modified_ns=0)), "differ"),
        ("line_text", lambda line: replace(line, entry=replace(line.entry, mode=0o4755)), "differ"),
        ("line_text", lambda line: replace(line, entry=replace(line.entry, size=6)), "differ"),
        ("line_text", lambda line: replace(line, name="g"), "differ"),
        ("footer_text", lambda footer: replace(footer, entries=7), "all entries it counts"),
    ],
    ids=["checksum", "time", "mode", "size", "name", "count"],
)
def test_a_manifest_that_claims_something_else_is_noticed(
    text: str, claim: Callable[[Any], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(manifest, text)
    monkeypatch.setattr(manifest, text, lambda what, **more: original(claim(what), **more))
    archive = archive_of([with_content(Entry(path="f", mode=0o600), b"content")], encryptor=KEY)
    with pytest.raises(IntegrityError, match=message):
        contents_of(archive, KEY)


def test_an_archive_of_more_entries_than_its_manifest_has_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = manifest.line_text
    monkeypatch.setattr(
        manifest, "line_text", lambda line, **more: b"" if line.name == "g" else original(line, **more)
    )
    with pytest.raises(IntegrityError):
        contents_of(archive_of([Entry(path="f"), Entry(path="g")]))


def test_content_is_pulled_only_when_it_is_asked_for() -> None:
    archive = archive_of(
        [with_content(Entry(path="large"), RANDOM, b"x"), with_content(Entry(path="f"), b"x")]
    )
    destination = Counting()
    destination.write("a.zip", [archive])
    reader = ArchiveReader(DirectRanges(destination, "a.zip", len(archive)), encryptors=[])
    _, last = reader.entries()
    assert b"".join(last.chunks()) == b"x"
    assert destination.count < 2000


class Counting(MemoryDestination):
    count = 0

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().read(name, start=start, length=length):
            self.count += len(chunk)
            yield chunk


@pytest.mark.parametrize("piece", [MiB, 16], ids=["whole", "streamed"])
@pytest.mark.parametrize("encryptor", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("compressor", [Store(), Zstd()], ids=repr)
def test_content_is_the_same_whatever_the_pieces_it_arrives_in(
    compressor: Compressor, encryptor: WinZipAES | None, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PIECE", piece)
    archive = archive_of(ENTRIES, compressor=compressor, encryptor=encryptor)
    keys = [encryptor] if encryptor else []
    for size in range(1, 50):

        class Ranges:
            in_any_order = True
            total = len(archive)

            def read(self, start: int, length: int, size: int = size) -> Iterator[bytes]:
                for at in range(start, start + length, size):
                    yield b""
                    yield archive[at : min(at + size, start + length)]

        reader = ArchiveReader(Ranges(), encryptors=keys)
        assert {e.path: b"".join(e.chunks()) for e in reader.entries()} == contents_of(archive, *keys)


# Keys.


def key(text: str) -> WinZipAES:
    return WinZipAES(Passphrase(text))


def test_the_key_that_opens_the_manifest_is_found_among_several() -> None:
    archive = archive_of(ENTRIES, encryptor=KEY)
    assert contents_of(archive, key("new"), key("older"), KEY)["d/f"] == b"content\n" * 4


def test_without_a_key_an_encrypted_archive_is_no_damaged_one() -> None:
    archive = archive_of(ENTRIES, encryptor=KEY)
    with pytest.raises(WrongPassphraseError, match="give the passphrase"):
        reader_of(archive)
    with pytest.raises(WrongPassphraseError, match="none of the passphrases"):
        reader_of(archive, key("wrong"), key("wrong too"))


class LuckyKey(WinZipAES):
    """A wrong passphrase whose two verifier bytes are right for one salt, as happens once in 65,536 times."""

    def __init__(self, salt: bytes) -> None:
        super().__init__(Passphrase("wrong"))
        self.salt = salt

    def _keys_of(self, head: bytes) -> Keys:
        salt = head[:16]
        return self._derivation.derive([salt])[0] if salt == self.salt else super()._keys_of(head)


def lucky_on_the_manifest(archive: bytes) -> LuckyKey:
    record = records_of(archive)[-1]
    start = record.offset + len(pack_local(record))
    return LuckyKey(archive[start : start + 16])


def test_a_wrong_key_that_seems_right_does_not_hide_the_right_one() -> None:
    archive = archive_of(ENTRIES, encryptor=KEY)
    lucky = lucky_on_the_manifest(archive)
    assert contents_of(archive, lucky, KEY)["d/f"] == b"content\n" * 4
    assert contents_of(archive, KEY, lucky)["d/f"] == b"content\n" * 4


def test_a_wrong_key_that_seems_right_is_still_no_damage() -> None:
    archive = archive_of(ENTRIES, encryptor=KEY)
    with pytest.raises(WrongPassphraseError):
        reader_of(archive, lucky_on_the_manifest(archive))


def test_a_manifest_that_is_damaged_is_not_blamed_on_the_key() -> None:
    archive = bytearray(archive_of(ENTRIES, encryptor=KEY))
    record = records_of(bytes(archive))[-1]
    archive[record.offset + len(pack_local(record)) + 30] ^= 1
    for keys in ([KEY], [key("wrong"), KEY], [KEY, key("wrong")]):
        with pytest.raises(IntegrityError, match="manifest"):
            reader_of(bytes(archive), *keys)


def test_a_manifest_whose_salt_is_damaged_is_not_blamed_on_the_key() -> None:
    archive = bytearray(archive_of(ENTRIES, encryptor=KEY))
    record = records_of(bytes(archive))[-1]
    archive[record.offset + len(pack_local(record)) + 3] ^= 1
    with pytest.raises(IntegrityError, match="manifest"):
        reader_of(bytes(archive), key("wrong"), KEY)
    with pytest.raises(WrongPassphraseError):
        reader_of(bytes(archive), key("wrong"))


# Whatever goes in, only our errors come out.


@given(st.binary(max_size=300))
def test_bytes_that_are_no_archive_are_an_integrity_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        reader_of(data)


@pytest.mark.parametrize("end", [0, 1, 21, 22, 42, 97, 98, 99])
def test_less_than_the_end_of_an_archive_is_an_integrity_error(end: int) -> None:
    archive = archive_of(ENTRIES)
    for part in (archive[:end], archive[-end:] if end else b"", b"PK\6\7" * end, b"\xff" * end):
        with pytest.raises(IntegrityError):
            reader_of(part)


_PLAIN, _SEALED = archive_of(ENTRIES), archive_of(ENTRIES, encryptor=KEY)


@settings(max_examples=200)
@given(
    st.sampled_from([_PLAIN, _SEALED]),
    st.lists(st.tuples(st.integers(0), st.integers(0, 30), st.binary(max_size=20)), min_size=1, max_size=4),
)
def test_an_archive_that_was_changed_gives_only_our_errors(
    archive: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, gone, new in changes:
        at %= len(archive) + 1
        archive = archive[:at] + new + archive[at + gone :]
    with suppress(IntegrityError, WrongPassphraseError):
        everything(archive, KEY)


_names = st.binary(max_size=4) | st.sampled_from([b"f", b"d/", b"\xff", b"\xff/", manifest.PATH.encode()])
_sizes = st.sampled_from([0, 1, 28, 300, 2**32 - 1, 2**32, 2**63, 2**64 - 1]) | st.integers(0, 400)
_records = st.builds(
    Record,
    name=_names,
    method=st.sampled_from([0, 8, 93, 1, 99]),
    encrypted=st.booleans(),
    streamed=st.booleans(),
    modified=st.none() | st.integers(-(2**31), 2**31 - 1),
    attributes=st.integers(0, 2**32 - 1),
    offset=_sizes,
    crc=st.integers(0, 2**32 - 1),
    stored=_sizes,
    size=_sizes,
)
_LINES = [
    b'{"path": "f", "kind": "file"}',
    b'{"path": "\\ud800", "kind": "file"}',
    b'{"path": "f", "kind": "file", "name": "\\udcff"}',
    b'{"path": "d", "kind": "directory", "name": "d/"}',
]


def forged(records: Sequence[Record], text: bytes, *, encrypted: bool, room: int = 0) -> bytes:
    """An archive with any records, `room` for them, and a manifest that is what it claims to be."""
    body = b"".join(KEY.encrypt([text])) if encrypted else text
    last = Record(
        name=manifest.PATH.encode(),
        method=0,
        encrypted=encrypted,
        streamed=False,
        modified=None,
        attributes=headers.attributes(headers.MANIFEST),
        offset=room,
        crc=0 if encrypted else zlib.crc32(text),
        stored=len(body),
        size=len(text),
    )
    central = b"".join(map(pack_central, [*records, last]))
    start = bytes(room) + pack_local(last) + body
    return start + central + pack_end(Directory(len(start), len(central), len(records) + 1))


@settings(max_examples=200)
@given(
    st.lists(_records, max_size=3),
    st.lists(st.sampled_from(_LINES), max_size=3),
    st.booleans(),
    st.sampled_from([0, 500, 2000]),
)
def test_an_archive_that_was_forged_gives_only_our_errors(
    records: list[Record], lines: list[bytes], encrypted: bool, room: int
) -> None:
    text = manifest.header_text(HEADER) + b"\n" + b",\n".join(lines)
    text += manifest.footer_text(manifest.Footer(problems=(), complete=True, entries=len(lines), size=0))
    archive = forged(records, text, encrypted=encrypted, room=room)
    with suppress(IntegrityError, WrongPassphraseError):
        everything(archive, KEY)


@pytest.mark.parametrize("offset", [0, 2**31, 2**63, 2**64 - 1])
@pytest.mark.parametrize("stored", [1000, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["f", "f/"])
def test_an_entry_that_claims_to_stand_beyond_the_archive_is_damaged(
    name: str, stored: int, offset: int, tmp_path: Path
) -> None:
    entry = Entry(path="f", kind="directory" if name == "f/" else "file", size=stored)
    record = Record(
        name=name.encode(),
        method=0,
        encrypted=False,
        streamed=True,
        modified=None,
        attributes=headers.attributes(entry),
        offset=offset,
        stored=stored,
        size=stored,
    )
    text = manifest.header_text(HEADER) + manifest.line_text(manifest.Line(entry, name, None), first=True)
    text += manifest.footer_text(manifest.Footer(problems=(), complete=True, entries=1, size=0))
    archive = forged([record], text, encrypted=False)
    destination = LocalDestination(tmp_path)
    destination.write("a.zip", [archive])
    with pytest.raises(IntegrityError, match=f"The place of {name} "):
        ArchiveReader(DirectRanges(destination, "a.zip", len(archive)), encryptors=[])


def test_entries_that_share_bytes_are_refused() -> None:
    """Ten times the same megabyte would be a bomb if it were a million times."""
    archive = archive_of([with_content(Entry(path="f"), RANDOM)])
    *_, record, last = records_of(archive)
    directory = find_directory(archive, len(archive))
    central = b"".join(map(pack_central, [record, record._replace(name=b"g"), last]))
    forgery = archive[: directory.offset] + central
    forgery += pack_end(Directory(directory.offset, len(central), 3))
    with pytest.raises(IntegrityError, match="overlaps"):
        everything(forgery)


@pytest.mark.parametrize(
    ("method", "stored", "size"), [(0, 10, 11), (8, 10, 20_000), (93, 10, 1_000_000)], ids=str
)
def test_more_content_than_the_bytes_can_hold_is_refused(method: int, stored: int, size: int) -> None:
    (record, _) = records_of(archive_of([Entry(path="f")]))
    lie = record._replace(method=method, stored=stored, size=size)
    text = manifest.header_text(HEADER)
    text += manifest.line_text(manifest.Line(Entry(path="f", size=size), "f", None), first=True)
    text += manifest.footer_text(manifest.Footer(problems=(), complete=True, entries=1, size=size))
    with pytest.raises(IntegrityError, match="cannot hold"):
        everything(forged([lie], text, encrypted=False, room=100))


def test_an_entry_of_four_gigabytes_has_its_sizes_behind_it() -> None:
    """One flipped bit must not make it an entry whose header could not be written."""
    record = Record(
        name=b"f",
        method=0,
        encrypted=False,
        streamed=False,
        modified=None,
        attributes=0,
        offset=0,
        stored=2**32,
        size=2**32,
    )
    with pytest.raises(IntegrityError, match="directory was changed"):
        everything(forged([record], b"", encrypted=False))


@pytest.mark.parametrize("path", ["../f", "/f", "a//f", "f\0", "f\ud800", ""], ids=ascii)
def test_a_path_that_leads_elsewhere_is_never_given_out(path: str) -> None:
    text = manifest.header_text(HEADER)
    text += manifest.line_text(manifest.Line(Entry(path=path), "f", None), first=True)
    text += manifest.footer_text(manifest.Footer(problems=(), complete=True, entries=1, size=0))
    (record, _) = records_of(archive_of([Entry(path="f")]))
    with pytest.raises(IntegrityError, match="differ"):
        everything(forged([record], text, encrypted=False, room=100))


def test_an_archive_of_another_program_is_told_apart_from_a_damaged_one() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("f", "content")
    with pytest.raises(IntegrityError, match="changed"):
        reader_of(buffer.getvalue())
