"""Trees that no program writes, though their hashes are right: whoever looks at them ends, and is not misled."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import pytest

from backupkit import Backups, IntegrityError, OperationCancelledError, Restic
from backupkit.compression import Store
from backupkit.formats.restic.blobs import seal_blob
from backupkit.formats.restic.index import index_document, pack_text
from backupkit.formats.restic.measuring import Measurer
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import Pack
from backupkit.testing.destinations import MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, written

TIME = "2026-05-04T12:00:00Z"
LATER = "2026-05-05T12:00:00Z"


class MadeUp:
    """A repository into which trees are put as they are, and a snapshot of the last one."""

    def __init__(self) -> None:
        self.place = MemoryDestination()
        written(self.place, [file("x", b"x")])
        with Restic().open(self.place, name=None, encryptor=SECRET) as repository:
            self.opened: OpenedRepository = repository._open()
        (self.snapshot,) = (id for id, _ in self.opened.objects.list("snapshots"))
        self.backups = Backups("shop", self.place, encryptor=SECRET, format=Restic(cache=False))

    def put(self, *trees: list[dict[str, Any]]) -> str:
        """The id of the last one; each may refer to those before it as the subtree "0", "1", …"""
        pack = Pack(tree=True)
        ids: list[str] = []
        for nodes in trees:
            nodes = [
                one | ({"subtree": ids[int(one["subtree"])]} if "subtree" in one else {}) for one in nodes
            ]
            plain = json.dumps({"nodes": nodes}, separators=(",", ":")).encode()  # as those that are written
            id = hashlib.sha256(plain)
            pack.add(id.digest(), *seal_blob(plain, Store(), self.opened.sealer))
            ids.append(id.hexdigest())
        finished = pack.finished(self.opened.sealer)
        self.opened.objects.write("data", finished.content, finished.id)
        document = index_document([pack_text(finished.id, finished.blobs)])
        self.opened.objects.save("index", document, self.opened.sealer)
        self.opened.load_index()
        fields = self.opened.objects.load("snapshots", self.snapshot, self.opened.sealer)
        self.opened.objects.delete("snapshots", self.snapshot)
        self.snapshot = self.opened.objects.save("snapshots", fields | {"tree": ids[-1]}, self.opened.sealer)
        return ids[-1]

    def again(self) -> None:
        """Another snapshot of the same tree, a day later."""
        fields = self.opened.objects.load("snapshots", self.snapshot, self.opened.sealer)
        self.opened.objects.save("snapshots", fields | {"time": LATER}, self.opened.sealer)


def node(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "file", "mtime": TIME, "content": None} | fields


def folder(name: str, tree: int, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "dir", "mtime": TIME, "subtree": str(tree)} | fields


def bomb(*leaves: dict[str, Any], levels: int) -> list[list[dict[str, Any]]]:
    """Folders each of which holds the one below it twice."""
    return [[*leaves], *([folder("a", at), folder("b", at)] for at in range(levels))]


def differences(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """How two folders differ, each in a repository of its own."""
    one, other = MadeUp(), MadeUp()
    one.put(old)
    other.put(new)
    return [(it.change, it.path) for it in one.backups.diff("latest", other=other.backups)]


def test_what_is_wrong_with_a_folder_puts_those_after_it_not_out_of_step() -> None:
    made = MadeUp()
    made.put(
        [node("in-a")],
        [node("in-b")],
        [node("in-c")],
        [folder("a", 0, mtime="no time"), folder("b", 1), folder("c", 2)],
    )
    found: list[str] = []
    with pytest.raises(IntegrityError, match="'a'"):
        found.extend(one.entry.path for one in made.backups.find("*"))
    assert found == ["a/in-a", "b", "b/in-b", "c", "c/in-c"]


@pytest.mark.parametrize("damaged", [node("a", mtime="no time"), node("a", type="dir")])
def test_what_is_damaged_is_told_of_each_snapshot_that_has_it(damaged: dict[str, Any]) -> None:
    made = MadeUp()
    made.put([damaged, node("b")], [folder("f", 0)])
    made.again()
    found: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        found.extend(one.entry.path for one in made.backups.find("a", "b"))
    assert len(caught.value.exceptions) == 2
    assert [path for path in found if path != "f/a"] == ["f/b"] * 2


def test_folders_that_hold_one_folder_twice_are_measured_once() -> None:
    made = MadeUp()
    linked = node("linked", links=2, inode=5, size=7)
    made.put(*bomb(linked, node("x", size=1), levels=50))
    (statistics,) = made.backups.statistics()
    assert statistics.growth[0].entries == 2**52 - 2
    assert statistics.restored == 2**50 + 7


@pytest.mark.parametrize(
    "nodes",
    [bomb(node("x", size=1), levels=70), [[node("x", size=1 << 80)]], [[node("x", size=1 << 63)]]],
)
def test_more_than_can_be_counted_is_damage(nodes: list[list[dict[str, Any]]]) -> None:
    made = MadeUp()
    made.put(*nodes)
    with pytest.raises(IntegrityError, match=r"more than can be counted|cannot be \d+ bytes long"):
        made.backups.statistics()


def test_an_inode_that_is_none_keeps_nobody_from_measuring() -> None:
    made = MadeUp()
    made.put([node("x", size=3, inode=[1]), node("y", size=3, inode=[1])])
    (statistics,) = made.backups.statistics()
    assert statistics.restored == 3


def test_what_is_measured_keeps_to_one_index() -> None:
    """Read without a lock, beside a prune: blobs have other numbers in the index that is loaded then."""
    made = MadeUp()
    deep = made.put([node("x", size=1)], [folder("a", 0), node("y", size=2)])
    sound = Measurer(made.opened, None).measure(deep)
    measurer = Measurer(made.opened, None)
    objects, sealer = made.opened.objects, made.opened.sealer
    calls = 0

    def reversed_index() -> None:
        nonlocal calls
        calls += 1
        old = [id for id, _ in objects.list("index")]
        packs = [pack for id in old for pack in objects.load("index", id, sealer)["packs"]]
        for pack in packs:
            pack["blobs"].reverse()
        objects.save("index", {"packs": packs[::-1]}, sealer)
        for id in old:
            objects.delete("index", id)
        made.opened._load_index_anew(made.opened.index)

    assert measurer.measure(deep, between=reversed_index) == sound
    assert calls


def test_a_folder_a_thousand_folders_down_is_looked_into() -> None:
    made = MadeUp()
    levels = 1200
    made.put([node("x")], *([folder("d", at)] for at in range(levels)))
    fs = made.backups.file_system()
    assert fs.ls("latest" + "/d" * levels, detail=False) == ["latest" + "/d" * levels + "/x"]


def test_what_is_no_folder_is_not_looked_into_and_what_is_no_entry_not_shown() -> None:
    made = MadeUp()
    made.put([node("in")], [node("socket", type="socket"), node("x", subtree="0")])
    with Restic(cache=False).open(made.place, name=None, encryptor=SECRET) as repository:
        looked = repository.browser(made.backups.get())
    assert [one.path for one in looked.children("")] == ["x"]
    with pytest.raises(NotADirectoryError):
        looked.children("x")


def test_looking_for_what_is_nowhere_can_be_cancelled() -> None:
    made = MadeUp()
    made.put(*bomb(levels=40))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(OperationCancelledError):
        [*made.backups.find("nowhere", cancel=cancel)]


def test_comparing_what_does_not_differ_can_be_cancelled() -> None:
    one, other = MadeUp(), MadeUp()
    one.put([node("x", inode=1)], [folder("a", 0)])
    other.put([node("x", inode=2)], [folder("a", 0)])
    cancel = threading.Event()
    comparison = one.backups.diff("latest", other=other.backups, cancel=cancel)
    cancel.set()
    with pytest.raises(OperationCancelledError):
        next(iter(comparison))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (node("x", uid=1), node("x", uid=2)),
        (node("x", gid=1), node("x", gid=2)),
        (node("x", user="a"), node("x", user="b")),
        (node("x", group="a"), node("x", group="b")),
        (node("x", type="symlink", linktarget="a"), node("x", type="symlink", linktarget="b")),
        (
            node("x", type="symlink", linktarget="a", linktarget_raw="/w=="),
            node("x", type="symlink", linktarget="a", linktarget_raw="/g=="),
        ),
        (node("x", type="dev", device=1), node("x", type="dev", device=2)),
    ],
)
def test_whatever_else_is_restored_is_metadata(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert differences([old], [new]) == [("metadata", "x")]


@pytest.mark.parametrize(
    "other",
    [
        {"inode": 7},
        {"links": 2},
        {"ctime": "2020-01-01T00:00:00Z"},
        {"mtime": "2026-05-04T14:00:00+02:00"},  # the same moment
    ],
)
def test_what_is_not_restored_is_no_difference(other: dict[str, Any]) -> None:
    assert differences([node("x")], [node("x", **other)]) == []


def test_what_cannot_be_restored_is_not_there() -> None:
    one, other = node("x", type="socket", inode=1), node("x", type="socket", inode=2)
    assert differences([one, node("y", type="socket")], [other]) == []
    assert differences([one], [node("x")]) == [("added", "x")]
    assert differences([node("x")], [one]) == [("removed", "x")]


@pytest.mark.parametrize(
    ("size", "time", "expected"),
    [(2, TIME, []), (3, TIME, [("content", "x")]), (2, "2020-01-01T00:00:00Z", [("content", "x")])],
)
def test_where_files_are_cut_in_other_ways_size_and_time_tell(
    size: int, time: str, expected: list[tuple[str, str]]
) -> None:
    old = node("x", size=2, content=["1" * 64, "2" * 64])
    new = node("x", size=size, content=["3" * 64, "4" * 64], mtime=time)
    assert differences([old], [new]) == expected


def test_a_damaged_node_hides_no_other_difference() -> None:
    one, other = MadeUp(), MadeUp()
    one.put([node("a"), node("b")])
    other.put([node("a", mtime="no time"), node("b", mode=0o600)])
    found: list[str] = []
    with pytest.raises(IntegrityError, match="'a'"):
        found.extend(it.path for it in one.backups.diff("latest", other=other.backups))
    assert found == ["b"]


def test_an_attribute_that_looks_like_a_node_hides_no_difference() -> None:
    attributes = [{"name": "user.a", "value": "MQ=="}, {"name": "user.b", "type": "x", "value": "Mg=="}]
    old, new = (node("x", extended_attributes=attributes, uid=uid) for uid in (1, 2))
    assert differences([old], [new]) == [("metadata", "x")]
