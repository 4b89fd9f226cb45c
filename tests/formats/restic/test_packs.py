"""Packs and their headers."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import IntegrityError
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.packs import FinishedPack, Pack, PackedBlob, parse_header, read_header
from backupkit.formats.restic.sealing import OVERHEAD, MasterKey, Sealer
from tests.formats.restic.stock import made_here

SEALER = Sealer(MasterKey.of(bytes(range(64))))
ids = st.binary(min_size=32, max_size=32)


def finished(blobs: list[tuple[bytes, bytes, int]], *, tree: bool = False) -> FinishedPack:
    pack = Pack(tree=tree)
    for id, sealed, uncompressed in blobs:
        pack.add(id, sealed, uncompressed)
    return pack.finished(SEALER)


def header_of(content: bytes) -> list[PackedBlob]:
    return list(
        read_header(
            lambda start, length: content[start : start + length], len(content), SEALER, where="data/ab"
        )
    )


@given(
    st.lists(st.tuples(ids, st.binary(max_size=50), st.integers(0, (1 << 32) - 1)), min_size=1), st.booleans()
)
def test_what_is_in_a_pack_stands_in_its_header(blobs: list[tuple[bytes, bytes, int]], tree: bool) -> None:
    pack = finished(blobs, tree=tree)
    content = b"".join(pack.content)
    assert pack.id == storage_id(content)
    assert pack.size == len(content)
    found = header_of(content)
    assert found == pack.blobs
    for (id, sealed, uncompressed), blob in zip(blobs, found, strict=True):
        assert (blob.id, blob.tree, blob.uncompressed) == (id, tree, uncompressed)
        assert content[blob.offset : blob.offset + blob.length] == sealed


def test_a_header_is_what_the_design_document_shows() -> None:
    pack = finished([(b"a" * 32, b"1234", 0), (b"b" * 32, b"567", 99)])
    content = pack.content[0]
    (length,) = struct.unpack("<I", content[-4:])
    header = SEALER.unseal(content[-4 - length : -4], where="it")
    assert header == (
        b"\0" + (4).to_bytes(4, "little") + b"a" * 32
        + b"\2" + (3).to_bytes(4, "little") + (99).to_bytes(4, "little") + b"b" * 32
    )  # fmt: skip
    trees = finished([(b"a" * 32, b"1", 0), (b"b" * 32, b"1", 9)], tree=True)
    assert [SEALER.unseal(trees.content[0][2:-4], where="it")[at] for at in (0, 37)] == [1, 3]


def test_a_header_is_read_at_once_and_a_large_one_in_two() -> None:
    for count, expected in ((10, 1), (1000, 2)):
        content = b"".join(finished([(os.urandom(32), bytes(1000), 0)] * count).content)
        reads: list[int] = []

        def read(start: int, length: int, content: bytes = content, reads: list[int] = reads) -> bytes:
            reads.append(length)
            return content[start : start + length]

        assert len(read_header(read, len(content), SEALER, where="it")) == count
        assert len(reads) == expected
        assert sum(reads) < len(content)


def test_a_blob_is_as_large_as_its_plain_bytes() -> None:
    assert PackedBlob(b"", False, 0, 100, 0).size == 100 - OVERHEAD
    assert PackedBlob(b"", False, 0, 100, 999).size == 999


def test_a_pack_can_take_all_that_is_in_another() -> None:
    pack, other = Pack(tree=False), Pack(tree=False)
    pack.add(b"a" * 32, b"1234", 0)
    other.add(b"b" * 32, b"567", 99)
    pack.take(other)
    assert pack.finished(SEALER).blobs == [
        PackedBlob(b"a" * 32, False, 0, 4, 0), PackedBlob(b"b" * 32, False, 4, 3, 99)
    ]  # fmt: skip
    assert not pack.full


def test_any_flipped_byte_of_the_header_is_noticed() -> None:
    content = finished([(b"a" * 32, b"1234", 0), (b"b" * 32, b"567", 99)]).content[0]
    for position in range(7, len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        with pytest.raises(IntegrityError, match="data/ab"):
            header_of(bytes(flipped))


def test_a_pack_that_is_cut_short_or_has_too_much_is_noticed() -> None:
    content = finished([(b"a" * 32, b"1234", 0)]).content[0]
    for wrong in (*(content[:length] for length in range(len(content))), b"\0" + content, content[1:]):
        with pytest.raises(IntegrityError, match="data/ab"):
            header_of(wrong)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_pack_or_an_integrity_error(content: bytes) -> None:
    with pytest.raises(IntegrityError):
        header_of(content)


@given(st.binary(max_size=300))
def test_any_bytes_that_were_sealed_are_a_header_or_an_integrity_error(records: bytes) -> None:
    try:
        blobs = parse_header(SEALER.seal(records), SEALER, where="data/ab")
    except IntegrityError:
        return
    assert sum(41 if records[0] & 2 else 37 for _ in blobs[:1]) <= len(records)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 4]), ids), max_size=5), st.binary(max_size=5))
def test_a_header_of_sound_records_is_read_and_what_follows_them_is_noticed(
    records: list[tuple[int, bytes]], more: bytes
) -> None:
    header = b"".join(bytes([kind]) + bytes(8 if kind & 2 else 4) + id for kind, id in records) + more
    if more or any(kind > 3 for kind, _ in records):
        with pytest.raises(IntegrityError):
            parse_header(SEALER.seal(header), SEALER, where="data/ab")
    else:
        assert [blob.id for blob in parse_header(SEALER.seal(header), SEALER, where="data/ab")] == [
            id for _, id in records
        ]


@pytest.mark.interop
def test_the_header_of_a_pack_that_restic_wrote_is_read(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    (tmp_path / "file").write_bytes(b"content" * 1000)
    restic.must("backup", tmp_path / "file")
    found = {}
    for pack, size in repository.objects.list("data"):

        def read(start: int, length: int, pack: str = pack) -> bytes:
            return repository.objects.read_range(pack, start, length)

        for blob in read_header(read, size, repository.sealer, where=pack):
            found[blob.id.hex()] = blob
    blob = found[storage_id(b"content" * 1000)]
    assert not blob.tree
    assert blob.uncompressed == 7000
    assert any(blob.tree for blob in found.values())
