"""Index objects, and the table of all blobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import IntegrityError
from backupkit.formats.restic.index import BlobIndex, Location, index_document, pack_text
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.packs import PackedBlob
from tests.formats.restic.stock import made_here

PACK, OTHER = storage_id(b"pack"), storage_id(b"other")
A, B = bytes.fromhex(storage_id(b"a")), bytes.fromhex(storage_id(b"b"))


def blob(id: bytes = A, *, tree: bool = False, offset: int = 0, uncompressed: int = 0) -> PackedBlob:
    return PackedBlob(id, tree, offset, 38, uncompressed)


def test_a_blob_is_found_where_it_stands() -> None:
    index = BlobIndex()
    index.add(PACK, [blob(A, uncompressed=100), blob(B, offset=38)])
    assert index.find(A) == Location(PACK, 0, 38, 100)
    assert index.find(B) == Location(PACK, 38, 38, 0)
    assert index.holds(A)
    assert len(index) == 2


def test_a_tree_is_no_data_although_it_has_the_same_id() -> None:
    index = BlobIndex()
    index.add(PACK, [blob(A, tree=True)])
    assert not index.holds(A)
    assert index.find(A) is None
    assert index.find(A, tree=True) == Location(PACK, 0, 38, 0)


def test_further_places_of_a_blob_are_known_and_each_once() -> None:
    index = BlobIndex()
    for pack in (PACK, OTHER, PACK, OTHER):
        index.add(pack, [blob(A, offset=38)])
    assert index.find(A) == Location(PACK, 38, 38, 0)
    assert index.elsewhere(A) == [Location(OTHER, 38, 38, 0)]
    assert index.elsewhere(B) == []
    assert sorted(index.packs()) == sorted([PACK, OTHER])
    assert index.blobs_by_pack() == {PACK: [blob(A, offset=38)], OTHER: [blob(A, offset=38)]}


def test_a_pack_that_two_index_objects_describe_in_part_is_one_pack() -> None:
    index = BlobIndex()
    index.add(PACK, [blob(B, offset=38)])
    index.add(PACK, [blob(A)])
    assert index.blobs_by_pack() == {PACK: [blob(A), blob(B, offset=38)]}


def test_an_index_object_is_what_the_design_document_shows() -> None:
    fields = json.loads(
        index_document([pack_text(PACK, [blob(A, uncompressed=511), blob(B, tree=True, offset=38)])])
    )
    assert fields == {
        "packs": [
            {
                "id": PACK,
                "blobs": [
                    {"id": A.hex(), "type": "data", "offset": 0, "length": 38, "uncompressed_length": 511},
                    {"id": B.hex(), "type": "tree", "offset": 38, "length": 38},
                ],
            }
        ]
    }


@st.composite
def packs(draw: st.DrawFn) -> dict[str, list[PackedBlob]]:
    ids = st.binary(min_size=32, max_size=32)
    numbers = st.integers(0, (1 << 32) - 1)
    found = draw(
        st.dictionaries(ids.map(bytes.hex), st.lists(st.tuples(ids, st.booleans(), numbers, numbers)))
    )
    return {
        pack: [
            PackedBlob(id, tree, offset, length, 0)
            for offset, (id, tree, length, _) in enumerate(dict.fromkeys(blobs))
        ]
        for pack, blobs in found.items()
    }


@given(packs())
def test_what_was_written_is_read_back(given: dict[str, list[PackedBlob]]) -> None:
    index = BlobIndex()
    document = index_document(pack_text(*one) for one in given.items())
    index.take(json.loads(document), where="an index")
    assert index.blobs_by_pack() == given


GOOD: dict[str, Any] = {"id": A.hex(), "type": "data", "offset": 0, "length": 38}
WRONG: list[dict[str, Any]] = [
    {"id": A.hex()[2:]}, {"id": 5}, {"id": "z" * 64}, {"type": "leaf"}, {"type": []}, {"offset": -1},
    {"offset": 1 << 32}, {"length": "38"}, {"length": 1.5}, {"length": None}, {"uncompressed_length": 1 << 32},
]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        None, 5, [], "packs", {}, {"packs": 5}, {"packs": [5]}, {"packs": [{}]}, {"packs": [{"id": PACK}]},
        {"packs": [{"id": PACK[2:], "blobs": []}]},
        {"packs": [{"id": "z" * 64, "blobs": []}]},
        {"packs": [{"id": PACK, "blobs": [5]}]},
        *({"packs": [{"id": PACK, "blobs": [GOOD, GOOD | wrong]}]} for wrong in WRONG),
    ],
)  # fmt: skip
def test_what_is_no_index_is_an_integrity_error_and_nothing_of_it_is_noted(fields: Any) -> None:
    index = BlobIndex()
    with pytest.raises(IntegrityError, match="index/ab is no index"):
        index.take(fields, where="index/ab")
    assert len(index) == 0


def test_an_index_without_packs_and_a_pack_without_blobs_are_empty() -> None:
    index = BlobIndex()
    index.take({"packs": None}, where="")  # as Go writes an empty list that was never made
    index.take({"packs": [{"id": PACK, "blobs": None}]}, where="")
    assert len(index) == 0


def test_a_blob_takes_no_more_than_100_bytes_of_memory() -> None:
    # In a process of its own, because the table is not in the heap that Python knows of.
    script = """
import os, random
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.packs import PackedBlob

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def fill(index, packs):
    for _ in range(packs):
        ids = (random.randbytes(32) for _ in range(20))
        index.add(random.randbytes(32).hex(), [PackedBlob(id, False, 0, 800_000, 900_000) for id in ids])

fill(BlobIndex(), 1)
before = resident()
index = BlobIndex()
fill(index, 15_000)
print((resident() - before) / len(index))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert 48 < float(done.stdout) <= 100


@pytest.mark.interop
def test_the_index_that_restic_wrote_has_all_its_blobs(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    (tmp_path / "file").write_bytes(b"content")
    restic.must("backup", tmp_path / "file")
    index = BlobIndex()
    for id, _ in repository.objects.list("index"):
        index.take(repository.objects.load("index", id, repository.sealer), where=id)
    place = index.find(bytes.fromhex(storage_id(b"content")))
    assert place is not None
    assert repository.objects.read_range(place.pack, place.offset, place.length)
    assert len([*index.packs()]) == len([*repository.objects.list("data")])
