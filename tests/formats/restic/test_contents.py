"""Nothing of our own is in a repository: every object, field and byte is one that restic would have written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, Command, Directory, Passphrase
from backupkit.formats.restic import go_json, packing
from backupkit.formats.restic.documents import decode
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, open_existing
from backupkit.formats.restic.packs import PackedBlob
from backupkit.model import Entry
from backupkit.protocols import Source
from backupkit.retrying import Retry
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.entries import with_content
from tests.interop.odd_tree import make

MiB = 1 << 20
PASSPHRASE = Passphrase("five words are long enough")
_ID = "[0-9a-f]{64}"
RESTICS_OWN = re.compile(rf"config|(keys|locks|snapshots|index)/{_ID}|data/([0-9a-f]{{2}})/\2[0-9a-f]{{62}}")

# The fields of the structs that restic encodes, in their order (restic/restic, internal/data and others).
CONFIG = ["version", "id", "chunker_polynomial"]
KEY = ["created", "username", "hostname", "kdf", "N", "r", "p", "salt", "data"]
SNAPSHOT = [
    *("time", "parent", "tree", "paths", "hostname", "username", "uid", "gid", "excludes", "tags"),
    *("original", "program_version", "summary"),
]
SUMMARY = [
    *("backup_start", "backup_end", "files_new", "files_changed", "files_unmodified"),
    *("dirs_new", "dirs_changed", "dirs_unmodified", "data_blobs", "tree_blobs"),
    *("data_added", "data_added_packed", "total_files_processed", "total_bytes_processed"),
]
NODE = [
    *("name", "type", "mode", "mtime", "atime", "ctime", "uid", "gid", "user", "group", "inode", "device_id"),
    *("size", "links", "linktarget", "linktarget_raw", "extended_attributes", "generic_attributes", "device"),
    *("content", "subtree", "error"),
]
ALWAYS = {"name", "type", "mtime", "atime", "ctime", "uid", "gid", "content"}


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def full(destination: MemoryDestination, tmp_path: Path) -> OpenedRepository:
    """A repository of a pipeline that has done all that pipelines do to one."""
    make(tmp_path / "tree")
    sources: list[Source] = [Directory(tmp_path / "tree"), Command(["seq", "1000"], name="numbers")]
    pipeline = BackupPipeline(
        "shop",
        sources,
        destination,
        encryptor=PASSPHRASE,
        format=Restic(cache=False),
        checks=(),
        retry=Retry(tries=1),
    )
    pipeline.run(tags=["before upgrade"])
    (tmp_path / "tree" / "contents" / "large").write_bytes(os.urandom(MiB))
    pipeline.run()
    newest, _ = pipeline.list().backups
    assert pipeline.verify().outcome == "succeeded"
    pipeline.pin(newest.id, reason="fiscal year")
    return open_existing(Objects(destination), PASSPHRASE)


def documents(opened: OpenedRepository, kind: Any) -> Iterator[Any]:
    for id, _ in opened.objects.list(kind):
        yield opened.objects.load(kind, id, opened.sealer)


def trees(opened: OpenedRepository) -> Iterator[bytes]:
    opened.load_index()
    for blobs in opened.index.blobs_by_pack().values():
        for blob in blobs:
            if blob.tree:
                yield opened.load(blob.id, tree=True)


def in_order(fields: dict[str, Any], known: list[str]) -> bool:
    """Whether there are no others, and these in their order."""
    return [*fields] == [name for name in known if name in fields]


def test_every_object_is_one_that_restic_knows_and_our_marks_lie_beside(
    full: OpenedRepository, destination: MemoryDestination
) -> None:
    others = [name for name in destination.objects if not RESTICS_OWN.fullmatch(name)]
    assert others
    assert all(name.startswith("backupkit/shop/") for name in others)


def test_documents_have_only_the_fields_of_restic_in_its_order(
    full: OpenedRepository, destination: MemoryDestination
) -> None:
    config = decode(destination.objects["config"], full.sealer, where="config")
    assert [*config] == CONFIG
    (key,) = (content for name, content in destination.objects.items() if name.startswith("keys/"))
    assert [*json.loads(key)] == KEY
    snapshots = [*documents(full, "snapshots")]
    assert len(snapshots) == 2
    for snapshot in snapshots:
        assert in_order(snapshot, SNAPSHOT)
        assert [*snapshot["summary"]] == SUMMARY
        assert all(tag.startswith("backupkit:") or tag == "before upgrade" for tag in snapshot["tags"])
    for index in documents(full, "index"):
        assert [*index] == ["packs"]
        for pack in index["packs"]:
            assert [*pack] == ["id", "blobs"]
            for blob in pack["blobs"]:
                assert in_order(blob, ["id", "type", "offset", "length", "uncompressed_length"])


def test_nodes_have_only_the_fields_of_restic_in_its_order(full: OpenedRepository) -> None:
    kinds = set()
    for tree in trees(full):
        document = json.loads(tree)
        assert [*document] == ["nodes"]
        for node in document["nodes"]:
            kinds.add(node["type"])
            assert in_order(node, NODE)
            assert {*node} >= ALWAYS
            assert all([*one] == ["name", "value"] for one in node.get("extended_attributes", ()))
    assert kinds >= {"file", "dir", "symlink", "fifo"}


def test_what_was_read_of_a_tree_is_written_as_the_same_bytes(full: OpenedRepository) -> None:
    count = 0
    for tree in trees(full):
        # Go writes a character for bytes that are not UTF-8 in one way, and that very character in another.
        plain = tree.replace(rb"\ufffd", "\ufffd".encode())
        assert go_json.dumps(json.loads(tree)) + b"\n" == plain
        names = [node["name"] for node in json.loads(tree)["nodes"]]
        assert len({*names}) == len(names)
        count += 1
    assert count > 10


def stored(destination: MemoryDestination, *entries: Entry) -> dict[str, list[PackedBlob]]:
    """The blobs of each pack after a run."""
    with Restic(cache=False).open(destination, name="shop", encryptor=PASSPHRASE) as repository:
        repository.write(entries, time=datetime.now(UTC), contents=frozenset({"files"}), retry=Retry(tries=1))
    opened = open_existing(Objects(destination), PASSPHRASE)
    opened.load_index()
    return {pack: [*blobs] for pack, blobs in opened.index.blobs_by_pack().items()}


def test_packs_are_of_one_type_and_of_16_mib_or_more_but_the_last_of_each(
    destination: MemoryDestination,
) -> None:
    noise = os.urandom(70 * MiB)
    packs = stored(destination, with_content(Entry(path="large"), noise))
    sizes = []
    for pack, blobs in packs.items():
        assert len({blob.tree for blob in blobs}) == 1
        if not blobs[0].tree:
            sizes.append(len(destination.objects[f"data/{pack[:2]}/{pack}"]))
    assert len(sizes) >= 3
    small = [size for size in sizes if size < 16 * MiB]
    assert len(small) <= 1 or (len(small) == 2 and sum(small) >= 16 * MiB)
    assert max(sizes) < (16 + 8 + 1) * MiB


def test_neighbouring_blobs_are_spread_over_packs(
    destination: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that from sizes in a pack nobody learns those of neighbours in a file."""
    monkeypatch.setattr(packing, "PACK_SIZE", 100_000)
    entries = [with_content(Entry(path=f"{number:03}"), os.urandom(5000)) for number in range(100)]
    packs = stored(destination, *entries)
    where = {blob.id: pack for pack, blobs in packs.items() for blob in blobs}
    opened = open_existing(Objects(destination), PASSPHRASE)
    (snapshot,) = opened.snapshots()
    nodes = json.loads(opened.load(bytes.fromhex(snapshot.tree), tree=True))["nodes"]
    order = [where[bytes.fromhex(node["content"][0])] for node in nodes]
    apart = sum(one != other for one, other in pairwise(order))
    # Of each pair, half: fewer than a quarter come by chance once in a hundred million runs.
    assert 25 < apart < 75 + len(packs)
