"""Comparing, looking for paths and measuring: in a tree of all that is odd, as restic does it, and beyond."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backupkit import (
    BackupNotFoundError,
    Backups,
    IntegrityError,
    Passphrase,
    Restic,
    WrongPassphraseError,
    open_repository,
)
from backupkit._looking import versions_of
from backupkit.formats.restic import looking
from backupkit.formats.restic.comparing import without_common_nodes
from backupkit.formats.restic.fetching import Fetching
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.model import Backup, Difference, Entry
from backupkit.testing.destinations import MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, spoil_tree, written
from tests.restics import PASSWORD, client
from tests.restics import Restic as Stock

SIGNS = {"added": "+", "removed": "-", "content": "M", "metadata": "U", "type": "T"}
NOT_UTF8 = os.fsdecode(b"\xff\xfe")


@dataclass(frozen=True)
class Odd:
    """A repository that restic has made: three snapshots, of which the last two are of the same tree."""

    stock: Stock
    tree: Path
    backups: Backups
    snapshots: Sequence[Backup]

    def path(self, name: str) -> str:
        return f"{self.tree}/{name}".removeprefix("/")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    folder = tmp_path_factory.mktemp("odd")
    tree = folder / "tree"
    stock = client("installed").at(folder / "repository", folder / "cache")
    stock.plant()
    make(tree)
    stock.backup(tree)
    change(tree)
    for _ in range(2):
        stock.backup(tree)
    backups = open_repository(folder / "repository", Passphrase(PASSWORD))
    return Odd(stock, tree, backups, backups.list().backups[::-1])


def make(tree: Path) -> None:
    for name in ("sub/deep", "gone/inner", "same", "becomes-file"):
        (tree / name).mkdir(parents=True)
    names = ("touched", "mode", "content", "removed", "becomes-folder", "ünï", "back\\slash", "new\nline")
    for name in (*names, "gone/inner/x", "gone/y", "same/a", "becomes-file/lost", "sub.x", NOT_UTF8):
        (tree / name).write_text(name.encode("utf-8", "replace").decode() * 10)
    (tree / "link").symlink_to("same")
    (tree / "hard").hardlink_to(tree / "content")
    os.mkfifo(tree / "fifo")
    (tree / "sub/deep/large").write_bytes(Random(1).randbytes(3_000_000))  # of several blobs
    os.setxattr(tree / "same/a", "user.one", b"1")
    os.setxattr(tree / "same/a", "user.two", b"2")


def change(tree: Path) -> None:
    os.utime(tree / "touched", (1, 1))
    (tree / "mode").chmod(0o600)
    for name in (
        "content",
        "new\nline",
        NOT_UTF8,
        "added/x/file",
        "becomes-folder/in",
        "sub/new",
        "becomes-file",
    ):
        path = tree / name
        if path.is_dir():
            shutil.rmtree(path)
        for parent in reversed(path.relative_to(tree).parents):
            if (tree / parent).is_file():
                (tree / parent).unlink()
            (tree / parent).mkdir(exist_ok=True)
        path.write_text("other")
    shutil.rmtree(tree / "gone")
    for name in ("link", "fifo", "removed"):
        (tree / name).unlink()
    (tree / "link").symlink_to("sub")
    (tree / "sub/new-link").symlink_to("deep")
    os.setxattr(tree / "same/a", "user.two", b"3")
    with (tree / "sub/deep/large").open("r+b") as large:
        large.write(b"other")


def shown(differences: Iterator[Difference] | Sequence[Difference]) -> set[tuple[str, str]]:
    return {(SIGNS[one.change], one.path) for one in differences}


def test_two_snapshots_differ_where_restic_says_so(odd: Odd) -> None:
    first, second, _ = odd.snapshots
    comparison = odd.backups.diff(first, second)
    ours = [*comparison]
    said = [*map(json.loads, odd.stock.run("diff", "--json", "--metadata", first.id, second.id).splitlines())]
    theirs = {
        (one["modifier"].replace("TU", "T"), one["path"].strip("/"))
        for one in said
        if one["message_type"] == "change"
    }
    # restic says nothing of what was in a folder that is a file now, or is in one that was a file ...
    inside = {("-", odd.path("becomes-file/lost")), ("+", odd.path("becomes-folder/in"))}
    # ... and calls a folder changed of which only the time is another, or something inside.
    folders = {("U", one) for sign, one in theirs if sign == "U" and (Path("/") / one).is_dir()}
    folders -= {("U", odd.path("link"))}
    # Names that are no UTF-8 stand otherwise in its JSON.
    escaped = {(sign, path.replace(NOT_UTF8, "��")) for sign, path in shown(ours)}
    assert escaped == (theirs - folders) | inside
    assert [one.path for one in ours] == sorted(
        (one.path for one in ours), key=lambda path: [os.fsencode(name) for name in path.split("/")]
    )
    (sums,) = (one for one in said if one["message_type"] == "statistics")
    found = comparison.so_far
    assert found.files == sums["changed_files"]
    for tally, other, more in ((found.added, sums["added"], 1), (found.removed, sums["removed"], 1)):
        assert (tally.files - more, tally.folders, tally.others) == (
            other["files"],
            other["dirs"],
            other["others"],
        )
    # What is inside, with its tree, or the other way round.
    assert found.added.size is not None
    assert 0 <= found.added.size - sums["added"]["bytes"] < 1000


def test_of_equal_snapshots_no_folder_is_read(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    _, second, third = odd.snapshots
    read: list[bytes] = []
    load = Trees.load

    def counted(self: Trees, id: bytes, following: Iterator[bytes]) -> bytes:
        read.append(id)
        return load(self, id, following)

    monkeypatch.setattr(Trees, "load", counted)
    comparison = odd.backups.diff(second, third)
    assert [*comparison] == []
    assert not comparison.so_far.any
    # Only folders above the tree, of which something else on this machine has changed the time.
    assert len(read) <= 2 * len(odd.tree.parents)


def test_a_folder_is_compared_by_itself_and_metadata_left_out(odd: Odd) -> None:
    first, second, _ = odd.snapshots
    sub = shown([*odd.backups.diff(first, second, folder=odd.path("sub"))])
    assert sub == {
        ("M", odd.path("sub/deep/large")),
        ("+", odd.path("sub/new")),
        ("+", odd.path("sub/new-link")),
    }
    gone = shown([*odd.backups.diff(first, second, folder=odd.path("gone/"))])
    assert gone == {("-", odd.path(name)) for name in ("gone/inner", "gone/inner/x", "gone/y")}
    assert "U" not in {sign for sign, _ in shown([*odd.backups.diff(first, second, metadata=False)])}
    for no_folder in ("nowhere", odd.path("touched"), odd.path("touched/below")):
        with pytest.raises(BackupNotFoundError, match="Neither"):
            [*odd.backups.diff(first, second, folder=no_folder)]


def test_the_content_of_both_sides_can_be_pulled(odd: Odd) -> None:
    first, second, _ = odd.snapshots
    found = {
        one.path: (b"".join(one.before.chunks()), b"".join(one.after.chunks()))
        for one in odd.backups.diff(first, second)
        if one.before is not None and one.after is not None and one.change == "content"
    }
    assert found[odd.path("content")] == (b"content" * 10, b"other")
    large = found[odd.path("sub/deep/large")]
    assert large[1] == (odd.tree / "sub/deep/large").read_bytes()
    assert large[0][5:] == large[1][5:]
    assert large[0] != large[1]


@pytest.mark.parametrize(
    ("patterns", "options"),
    [
        (["deep", "x"], []),
        (["*n*"], []),
        (["CONTENT", "*.X"], ["--ignore-case"]),
    ],
)
def test_what_restic_finds_is_found(odd: Odd, patterns: list[str], options: list[str]) -> None:
    said = json.loads(odd.stock.run("find", "--json", *options, *patterns))
    theirs = {
        (match["path"].strip("/"), snapshot["snapshot"][:8])
        for snapshot in said
        for match in snapshot["matches"]
    }
    found = [*odd.backups.find(*patterns, ignore_case=bool(options))]
    ours = {(one.entry.path.replace(NOT_UTF8, "��"), one.backup.id) for one in found}
    assert ours <= theirs
    # restic also says what is in a folder that was found.
    assert all(any((str(above), id) in ours for above in Path(path).parents) for path, id in theirs - ours)
    ids = [one.backup.id for one in found]
    newest_first = [one.id for one in odd.snapshots[::-1] if one.id in ids]
    assert list(dict.fromkeys(ids)) == newest_first


def test_statistics_are_restics(odd: Odd) -> None:
    (ours,) = odd.backups.statistics()
    restored = json.loads(odd.stock.run("stats", "--json", "--mode", "restore-size"))
    raw = json.loads(odd.stock.run("stats", "--json", "--mode", "raw-data"))
    assert (ours.restored, ours.entries) == (restored["total_size"], restored["total_file_count"])
    assert (ours.stored, ours.blobs) == (raw["total_size"], raw["total_blob_count"])
    assert [one.backup.id for one in ours.growth] == [one.id for one in odd.snapshots]
    first, second, third = ours.growth
    assert first.added > 3_000_000 > second.added > 0
    assert third.stored < 5000, "the folders above the tree at most"
    assert ours.compression is not None
    assert ours.deduplication is not None
    assert ours.deduplication > 2 > ours.compression


@pytest.fixture
def place() -> MemoryDestination:
    return MemoryDestination("memory://one")


def of(place: MemoryDestination) -> Backups:
    return Backups("shop", place, encryptor=SECRET, format=Restic(cache=False))


def folder(path: str) -> Entry:
    return Entry(path=path, kind="directory", modified_ns=1, mode=0o755)


def test_snapshots_of_different_repositories_are_compared_by_their_trees(place: MemoryDestination) -> None:
    other = MemoryDestination("memory://other")
    large = os.urandom(2_000_000)  # of several blobs, which the repositories cut differently
    same = [folder("a"), file("a/same", b"1"), file("large", large)]
    one = written(place, [*same, file("x", b"old")])
    two = written(other, [*same, file("x", b"new")], minutes=1)
    found = [*of(place).diff(one, two, other=of(other))]
    assert shown(found) == {("M", "x")}
    assert found[0].after is not None
    assert b"".join(found[0].after.chunks()) == b"new"


def test_a_damaged_folder_hides_no_other_and_is_raised_at_the_end(place: MemoryDestination) -> None:
    one, two = (
        written(
            place,
            [folder("a"), file("a/x", b"a" + it), folder("b"), file("b/x", b"b" + it), file("z", it)],
            minutes=minutes,
        )
        for minutes, it in enumerate((b"1", b"2"))
    )
    spoil_tree(place, one, "a")
    backups = of(place)
    found: list[Difference] = []
    with pytest.raises(IntegrityError, match="'a'"):
        found.extend(backups.diff(one, two))
    assert shown(found) == {("M", "b/x"), ("M", "z")}
    matches: list[tuple[str, str]] = []
    with pytest.raises(IntegrityError, match="'a'"):
        matches.extend((it.entry.path, it.backup.id) for it in backups.find("x"))
    assert matches == [("a/x", two.id), ("b/x", two.id), ("b/x", one.id)]
    with pytest.raises(IntegrityError):
        backups.statistics()


def test_a_folder_that_many_snapshots_share_is_looked_through_once(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes in range(4):
        same = [folder("a"), folder("a/b"), file("a/b/x", b"1"), folder("c"), file("c/y", b"1")]
        written(place, [*same, file("z", str(minutes).encode())], minutes=minutes)
    read: list[bytes] = []
    load = Trees.load

    def counted(self: Trees, id: bytes, following: Iterator[bytes]) -> bytes:
        read.append(id)
        return load(self, id, following)

    monkeypatch.setattr(Trees, "load", counted)
    versions = versions_of(of(place).find("/a/**/x", "z"))
    assert len(read) == 4 + 3
    assert {path: [len(one.backups) for one in each] for path, each in versions.items()} == {
        "a/b/x": [4],
        "z": [1, 1, 1, 1],
    }
    read.clear()
    assert [one.entry.path for one in of(place).find("/c/y")] == ["c/y"] * 4
    assert len(read) == 4 + 1, "no other folder can hold it"


def test_the_same_folder_at_another_path_is_another(place: MemoryDestination) -> None:
    inside = [("x", b"1")]
    entries = [folder("a"), *(file(f"a/{name}", one) for name, one in inside)]
    entries += [folder("b"), *(file(f"b/{name}", one) for name, one in inside)]
    written(place, entries)
    assert [one.entry.path for one in of(place).find("/b/x")] == ["b/x"]
    assert [one.entry.path for one in of(place).find("x")] == ["a/x", "b/x"]


def test_what_was_found_beyond_what_is_remembered_is_found_again(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_REMEMBERED", 2)
    read: list[bytes] = []
    load, note = Trees.load, looking._Level.note

    def counted(self: Trees, id: bytes, following: Iterator[bytes]) -> bytes:
        read.append(id)
        return load(self, id, following)

    def noted(self: looking._Level, entries: Sequence[Entry] | None) -> None:
        note(self, entries)
        assert self.found is None or len(self.found) <= 2

    monkeypatch.setattr(Trees, "load", counted)
    monkeypatch.setattr(looking._Level, "note", noted)
    same = [folder("a"), *(file(f"a/{number}", b"1") for number in range(5))]
    same += [entry for name in "cde" for entry in (folder(name), file(f"{name}/0", name.encode()))]
    for minutes in range(2):
        written(place, [*same, file("z", str(minutes).encode())], minutes=minutes)
    paths = [one.entry.path for one in of(place).find("[0-9]")]
    assert paths == [*(f"a/{number}" for number in range(5)), "c/0", "d/0", "e/0"] * 2
    assert len(read) == (1 + 4) + (1 + 2), "of the second one, what is in c and d is remembered"


def test_what_is_remembered_of_a_folder_is_all_that_was_found_in_it(place: MemoryDestination) -> None:
    """Of three snapshots: a/b is the same in all, a in the two that are looked through last."""
    for minutes, it in enumerate((b"1", b"1", b"2")):
        entries = [folder("a"), folder("a/b"), file("a/b/x", b"x"), file("a/y", it)]
        written(place, [*entries, file("z", str(minutes).encode())], minutes=minutes)
    found = [one.entry.path for one in of(place).find("x", "y")]
    assert found == ["a/b/x", "a/y"] * 3


def test_a_pattern_for_folders_finds_folders(place: MemoryDestination) -> None:
    written(place, [folder("a"), folder("a/x"), file("a/y", b"1"), file("x", b"1")])
    assert [one.entry.path for one in of(place).find("x/", "a/y/")] == ["a/x"]


def test_only_backups_of_the_time_are_looked_through(place: MemoryDestination) -> None:
    made = [written(place, [file("x", b"1")], minutes=minutes) for minutes in range(3)]
    found = [*of(place).find("x", since=made[1].time, until=made[1].time)]
    assert [one.backup.id for one in found] == [made[1].id]


def test_growth_counts_what_no_older_backup_has(place: MemoryDestination) -> None:
    common = os.urandom(10_000)
    written(place, [file("x", common), file("y", common)])
    written(place, [file("x", common), file("z", os.urandom(5_000))], minutes=1)
    (statistics,) = of(place).statistics()
    first, second = statistics.growth
    assert (first.restored, second.restored) == (20_000, 15_000)
    assert (first.entries, second.entries) == (2, 2)
    assert 10_000 < first.added < 12_000, "and its tree"
    assert 5_000 < second.added < 7_000
    assert statistics.deduplicated == first.added + second.added


def test_links_to_one_file_count_once_in_each_snapshot(tmp_path: Path) -> None:
    """Also where the folders that hold them are the same as in the snapshot before."""
    stock = client("installed").at(tmp_path / "repository", tmp_path / "cache")
    stock.plant()
    for name in ("tree/a", "tree/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tree/a/x").write_bytes(b"x" * 1000)
    (tmp_path / "tree/b/x").hardlink_to(tmp_path / "tree/a/x")
    stock.backup(tmp_path / "tree")
    (tmp_path / "tree/c").write_bytes(b"c")
    stock.backup(tmp_path / "tree")
    (statistics,) = open_repository(tmp_path / "repository", PASSWORD).statistics()
    assert [one.restored for one in statistics.growth] == [1000, 1001]


def tree(*names: str, **other: str) -> bytes:
    nodes = [f'{{"name":"{name}","type":"file","x":"{other.get(name, "")}"}}' for name in names]
    return ('{"nodes":[' + ",".join(nodes) + "]}\n").encode()


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        (tree("a", "b", "c"), tree("a", "b", "c", b="2"), ({"b"}, {"b"})),
        (tree("a", "b", "c"), tree("a", "b", "c", a="2"), ({"a"}, {"a"})),
        (tree("a", "b", "c"), tree("a", "b", "c", c="2"), ({"c"}, {"c"})),
        (tree("a", "c"), tree("a", "b", "c"), ({"c"}, {"b", "c"})),
        (tree("a", "b"), tree("a", "b", "c"), ({"b"}, {"b", "c"})),
        (tree("b", "c"), tree("a", "b", "c"), ({"b"}, {"a", "b"})),
        (tree(), tree("a"), (set(), {"a"})),
        (tree("a"), tree(), ({"a"}, set())),
        (tree("aa", "ab"), tree("aa", "ac"), ({"ab"}, {"ac"})),
        (tree("a", "b", a="1", b="1"), tree("a", "b", a="2", b="2"), ({"a", "b"}, {"a", "b"})),
        (b'{"nodes":null}\n', tree("a"), (set(), {"a"})),
    ],
)
def test_of_two_trees_what_differs_is_left(old: bytes, new: bytes, left: tuple[set[str], set[str]]) -> None:
    for trees, names in (((old, new), left), ((new, old), left[::-1])):
        parsed = [
            {node["name"]: node for node in parse_tree(one, where="it")}
            for one in without_common_nodes(*trees)
        ]
        whole = [{node["name"]: node for node in parse_tree(one, where="it")} for one in trees]
        for some, every in zip(parsed, whole, strict=True):
            assert some.items() <= every.items()
        differ = [
            name for name in whole[0].keys() | whole[1].keys() if whole[0].get(name) != whole[1].get(name)
        ]
        for name in differ:
            assert [one.get(name) for one in parsed] == [one.get(name) for one in whole]
        assert max(len(one) for one in parsed) <= max(len(one) for one in names)


def test_an_extended_attribute_is_not_taken_for_a_node() -> None:
    attributes = '"extended_attributes":[{{"name":"user.a","value":"{0}"}},{{"name":"user.b","value":"{1}"}}]'
    node = '{{"name":"a","type":"file",' + attributes + "}}"
    trees = [
        f'{{"nodes":[{node.format(*values)}]}}\n'.encode() for values in (("MQ==", "MQ=="), ("MQ==", "Mg=="))
    ]
    for one, other in (trees, trees[::-1]):
        assert [len(parse_tree(each, where="it")) for each in without_common_nodes(one, other)] == [1, 1]
    trees = [
        f'{{"nodes":[{node.format(*values)}]}}\n'.encode() for values in (("MQ==", "MQ=="), ("Mg==", "MQ=="))
    ]
    assert [len(parse_tree(each, where="it")) for each in without_common_nodes(*trees)] == [1, 1]


def test_of_snapshots_with_one_tree_not_even_the_index_is_read(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (written(place, [file("x", b"1")], minutes=minutes) for minutes in range(2))
    monkeypatch.setattr(OpenedRepository, "load_index", lambda self: pytest.fail("it is read"))
    assert shown([*of(place).diff(one, two)]) == set()


def test_two_snapshots_of_one_place_are_compared_by_one_index(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (written(place, [file("x", it)], minutes=minutes) for minutes, it in enumerate((b"1", b"2")))
    calls = 0
    load = OpenedRepository.load_index

    def counted(self: OpenedRepository) -> None:
        nonlocal calls
        calls += 1
        load(self)

    monkeypatch.setattr(OpenedRepository, "load_index", counted)
    assert shown([*of(place).diff(one, two)]) == {("M", "x")}
    assert calls == 1


@pytest.mark.parametrize("above", [["b"], ["b", "b/c"]])
def test_a_damaged_folder_is_a_problem_of_each_backup_that_has_it(
    place: MemoryDestination, above: list[str]
) -> None:
    spoilt = f"{above[-1]}/a"
    folders = [*map(folder, above), folder(spoilt)]
    one, _ = (
        written(place, [*folders, file(f"{spoilt}/x", b"a"), file("z", it)], minutes=minutes)
        for minutes, it in enumerate((b"1", b"2"))
    )
    spoil_tree(place, one, spoilt)
    with pytest.raises(ExceptionGroup) as caught:
        [*of(place).find("x")]
    assert len(caught.value.exceptions) == 2


def test_a_snapshot_that_cannot_be_read_hides_no_other(place: MemoryDestination) -> None:
    for minutes in range(2):
        written(place, [file("x", b"1")], minutes=minutes)
    name = next(one.name for one in place.list("snapshots/"))
    place.delete(name)
    place.write(name, [bytes(200)])
    found: list[str] = []
    with pytest.raises(IntegrityError, match=name.removeprefix("snapshots/")):
        found.extend(one.entry.path for one in of(place).find("x"))
    assert found == ["x"]


def test_the_digest_is_that_of_the_content_where_a_file_is_one_blob(place: MemoryDestination) -> None:
    written(place, [file("empty"), file("small", b"1")])
    digests = {one.path: one.digest for one in of(place).entries()}
    assert digests == {
        name: f"sha256:{hashlib.sha256(content).hexdigest()}"
        for name, content in (("empty", b""), ("small", b"1"))
    }


def test_another_mode_owner_or_attribute_is_metadata(place: MemoryDestination) -> None:
    entry = file("x", b"1")
    one = written(place, [entry])
    for minutes, changed in enumerate(
        (replace(entry, mode=0o600), replace(entry, modified_ns=5), replace(entry, xattrs={"user.a": b"1"})),
        1,
    ):
        other = written(place, [changed], minutes=minutes)
        assert shown([*of(place).diff(one, other)]) == {("U", "x")}


def test_a_folder_that_no_source_has_described_differs_from_none(place: MemoryDestination) -> None:
    one = written(place, [file("a/x", b"1")])
    described = replace(folder("a"), mode=0o700)
    two = written(place, [described, file("a/x", b"1")], minutes=1)
    assert shown([*of(place).diff(one, two)]) == shown([*of(place).diff(two, one)]) == set()


def test_no_folder_is_fetched_twice_nor_from_where_it_is_not(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = sorted([*"abc", *(f"{a}/{b}" for a in "abc" for b in "xyz")])

    def tree_of(content: bytes) -> list[Entry]:
        return [it for path in folders for it in (folder(path), file(f"{path}/f", content + path.encode()))]

    other = MemoryDestination("memory://other")
    one = written(place, tree_of(b"1"))
    written(place, [folder("0"), file("0/f", b"1"), *tree_of(b"2")], minutes=1)
    two = written(place, tree_of(b"2"), minutes=2)
    written(other, tree_of(b"1"))  # what the other side has is there, too
    there = written(other, tree_of(b"3"), minutes=3)
    fetched: list[bytes] = []
    load = OpenedRepository.load

    def loaded(self: OpenedRepository, id: bytes, *, tree: bool = False) -> bytes:
        fetched.append(id)
        return load(self, id, tree=tree)

    def begun(repository: OpenedRepository, wanted: dict[bytes, int], **options: Any) -> Any:
        fetched.extend(wanted)
        assert all(repository.index.find(id, tree=True) for id in wanted)
        return Fetching(repository, wanted, **options)

    monkeypatch.setattr(OpenedRepository, "load", loaded)
    monkeypatch.setattr("backupkit.formats.restic.loading.Fetching", begun)
    whole = 1 + len(folders)
    for look, trees in (
        (lambda: of(place).diff(one, two), 2 * whole),
        (lambda: of(place).diff(one, there, other=of(other)), 2 * whole),
        (lambda: of(place).find("f"), 2 * whole + 2),
    ):
        fetched.clear()
        assert [*look()]
        assert len(fetched) == len(set(fetched)) == trees


def test_a_large_file_of_the_same_size_and_time_with_other_content_differs(place: MemoryDestination) -> None:
    one, two = (
        written(place, [file("large", Random(number).randbytes(3 << 20))], minutes=number)
        for number in range(2)
    )
    assert shown([*of(place).diff(one, two)]) == {("M", "large")}


def test_statistics_of_what_does_not_open_say_why(place: MemoryDestination) -> None:
    written(place, [file("x", b"1")])
    with pytest.raises(WrongPassphraseError):
        Backups(None, place, encryptor=Passphrase("another"), format=Restic(cache=False)).statistics()
