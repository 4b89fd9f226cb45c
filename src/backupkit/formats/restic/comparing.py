"""Where two snapshots differ: both are walked at once, and folders that are the same in both are not entered."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeAlias

from borghash import HashTable

from backupkit.errors import BackupNotFoundError, IntegrityError
from backupkit.formats.restic.loading import Loader, Trees
from backupkit.formats.restic.nodes import is_restorable, parse_tree, sort_key
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import nodes_of, single_entry_of, subtree_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.formats.restic.times import text_ns
from backupkit.model import Change, Difference, Entry, Problem

_Node: TypeAlias = Mapping[str, Any]
_Pair: TypeAlias = tuple[_Node | None, _Node | None]
_Trees: TypeAlias = tuple[str | None, str | None]

# What is restored of an entry, beside its content and its time. The other fields say where it was on a disk.
_METADATA = (
    *("mode", "uid", "gid", "user", "group", "linktarget", "linktarget_raw", "device", "extended_attributes"),
)
_HEAD = b'{"nodes":['
_BETWEEN = b'},{"name":"'  # two nodes, or two extended attributes; in a text the marks would have backslashes
_NODE = re.compile(rb'\{"name":"(?:[^"\\]|\\.)*","type":"')
_BEFORE, _AFTER = 1, 2  # who refers to a blob


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two snapshots, and the folder in it that is compared."""

    repository: OpenedRepository
    snapshot: Snapshot
    folder: str = ""

    def root(self) -> str | None:
        """The tree of the folder; None if the snapshot does not have it."""
        tree = self.snapshot.tree
        for name in filter(None, self.folder.split("/")):
            nodes = (node for node in nodes_of(self.repository, tree) if node["name"] == name)
            node = next(nodes, None)
            if node is None or node["type"] != "dir":
                return None
            tree = subtree_of(node, self.folder)
        return tree


class SnapshotComparison:
    """Compares two snapshots; used once, by one thread.

    They may be in different repositories: what has the same id is the same everywhere, and what has not is
    different, unless it is a file of several blobs and the repositories cut files differently. Of these, size
    and time decide.
    """

    def __init__(self, before: Side, after: Side, *, executor: Executor | None) -> None:
        self._before = before
        self._after = after
        self._cut_alike = before.repository.config.polynomial == after.repository.config.polynomial
        self._loader = Loader(before.repository, executor), Loader(after.repository, executor)
        same = before.repository is after.repository
        trees = Trees(before.repository, executor)
        self._trees = trees, trees if same else Trees(after.repository, executor)
        self._levels: list[_Level] = []
        # The blobs of what differs, and whose they are: as large as the table of all of them, if all differs.
        self._blobs = HashTable(key_size=33, value_size=1)

    def differences(
        self, *, metadata: bool, between: Callable[[], None]
    ) -> Iterator[Difference | Problem | tuple[int, int]]:
        """See `ComparesBackups`."""
        for path, pair in self._walk():
            between()
            if isinstance(pair, Problem):
                yield pair
                continue
            old, new = (one if one is None or is_restorable(one) else None for one in pair)
            change = self._change(old, new)
            if change is None or (change == "metadata" and not metadata):
                continue
            try:
                before = None if old is None else self._entry(_BEFORE, old, path)
                after = None if new is None else self._entry(_AFTER, new, path)
            except IntegrityError as error:
                yield self._problem(error, path)
                continue
            if change != "metadata" or _described(before, after):
                yield Difference(path=path, change=change, before=before, after=after)
        yield self._only(_AFTER, self._after.repository), self._only(_BEFORE, self._before.repository)

    def _walk(self) -> Iterator[tuple[str, _Pair | Problem]]:
        """The pairs of nodes that are not the same in every respect, in the order of paths."""
        folder, other = self._before.folder, self._after.folder
        roots = self._before.root(), self._after.root()
        if roots == (None, None):
            named = " or ".join(dict.fromkeys(map(repr, (folder, other))))
            raise BackupNotFoundError(f"Neither of the two backups has a folder {named}: look into them.")
        if roots[0] == roots[1]:
            return
        self._note(*({"subtree": root} for root in roots))
        levels = self._levels
        levels.append(self._loaded(roots, folder if folder == other else ""))
        while levels:
            level = levels[-1]
            found = next(level.pairs, None)
            if found is None:
                levels.pop()
                continue
            name, pair = found
            path = level.prefix + name
            self._note(*pair)
            yield path, pair
            trees = _subtrees(pair)
            if trees[0] == trees[1]:
                continue
            level.folders.popleft()
            try:
                levels.append(self._loaded(trees, path))
            except IntegrityError as error:
                yield path, self._problem(error, path)

    def _loaded(self, trees: _Trees, path: str) -> _Level:
        old, new = (
            b"" if id is None else loader.load(bytes.fromhex(id), self._following(trees, loader))
            for id, loader in zip(trees, self._trees, strict=True)
        )
        try:
            return _Level(path, *map(self._nodes, trees, without_common_nodes(old, new)))
        except IntegrityError:  # not written as anybody writes it; or else what is wrong is told now
            return _Level(path, *map(self._nodes, trees, (old, new)))

    def _nodes(self, id: str | None, content: bytes) -> Sequence[_Node]:
        where = f"tree {id} at {self._after.repository.location}"
        return () if id is None else parse_tree(content, where=where)

    def _following(self, trees: _Trees, loader: Trees) -> Iterator[bytes]:
        """What will be asked of this one soon."""
        for pair in (trees, *(one for level in reversed(self._levels) for one in level.folders)):
            for id, other in zip(pair, self._trees, strict=True):
                if id is not None and other is loader:
                    yield bytes.fromhex(id)

    def _change(self, old: _Node | None, new: _Node | None) -> Change | None:
        if old is None or new is None:
            return None if old is new else "added" if old is None else "removed"
        if old["type"] != new["type"]:
            return "type"
        if old["type"] == "file" and not self._same_content(old, new):
            return "content"
        if any(old.get(field) != new.get(field) for field in _METADATA):
            return "metadata"
        return "metadata" if old["type"] != "dir" and not _same_time(old, new) else None

    def _same_content(self, old: _Node, new: _Node) -> bool:
        ids, others = old.get("content") or (), new.get("content") or ()
        if ids == others:
            return True
        if self._cut_alike or max(len(ids), len(others)) < 2:
            return False
        return bool(old.get("size") == new.get("size")) and _same_time(old, new)

    def _entry(self, side: int, node: _Node, path: str) -> Entry | None:
        one = self._before if side == _BEFORE else self._after
        if self._before.folder != self._after.folder:  # paths are within them
            path = f"{one.folder}/{path}" if one.folder else path
        return single_entry_of(one.repository, one.snapshot, node, path, self._loader[side - 1])

    def _note(self, *pair: _Node | None) -> None:
        """Remember which blobs these two nodes refer to."""
        blobs = self._blobs
        for side, node in zip((_BEFORE, _AFTER), pair, strict=True):
            if node is None:
                continue
            ids = [b"\0" + bytes.fromhex(id) for id in node.get("content") or ()]
            if subtree := node.get("subtree"):
                ids.append(b"\1" + bytes.fromhex(subtree))
            for id in ids:
                blobs[id] = bytes((blobs.get(id, b"\0")[0] | side,))

    def _only(self, side: int, repository: OpenedRepository) -> int:
        """The plain bytes of the blobs to which nothing on the other side refers, of what differs."""
        if not len(self._blobs):
            return 0
        repository.need_index()
        find = repository.index.find
        places = (find(id[1:], tree=id[0] == 1) for id, sides in self._blobs.items() if sides[0] == side)
        return sum(place.size for place in places if place is not None)

    def _problem(self, error: IntegrityError, path: str) -> Problem:
        return Problem(
            message=f"What differs at {path!r} cannot be told: {error}",
            path=path,
            destination=self._after.repository.location,
        )


class _Level:
    """A folder that is being walked through: what is left of it, and the trees of those that are folders."""

    def __init__(self, path: str, old: Iterable[_Node], new: Iterable[_Node]) -> None:
        self.prefix = f"{path}/" if path else ""
        ours, theirs = ({node["name"]: node for node in nodes} for nodes in (old, new))
        differ = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
        differ.sort(key=sort_key)
        found: list[tuple[str, _Pair]] = [(name, (ours.get(name), theirs.get(name))) for name in differ]
        self.pairs = iter(found)
        self.folders = deque(trees for _, pair in found if (trees := _subtrees(pair))[0] != trees[1])


def _subtrees(pair: _Pair) -> _Trees:
    """The trees of two nodes that are folders."""
    old, new = (None if node is None or node["type"] != "dir" else node.get("subtree") for node in pair)
    return old, new


def without_common_nodes(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """Two trees without most of what is the same at their beginnings, and at their ends.

    Of a folder in which one file has changed, one node is left to be parsed: that takes a third off a comparison.
    """
    if not (old.startswith(_HEAD) and new.startswith(_HEAD)):
        return old, new
    same = _common(old, new)
    start = old.rfind(_BETWEEN, 0, same)
    while start > 0 and not _NODE.match(old, start + 2):
        start = old.rfind(_BETWEEN, 0, start + 1)
    start = start + 2 if start > 0 else len(_HEAD)
    old, new = old[start:], new[start:]
    same = _common(old[::-1], new[::-1])
    end = old.find(_BETWEEN, len(old) - same)
    while end >= 0 and not _NODE.match(old, end + 2):
        end = old.find(_BETWEEN, end + 1)
    if end < 0:
        return _HEAD + old, _HEAD + new
    left = len(old) - end - 1  # bytes that both have after the last node that is left
    return _HEAD + old[:-left] + b"]}", _HEAD + new[:-left] + b"]}"


def _common(one: bytes, other: bytes) -> int:
    """With how many bytes both begin."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _described(before: Entry | None, after: Entry | None) -> bool:
    """Whether both are more than the folders that a run made for what its sources gave it."""
    return all(one is not None and one.mode is not None for one in (before, after))


def _same_time(old: _Node, new: _Node) -> bool:
    one, other = old.get("mtime"), new.get("mtime")
    if one == other:
        return True
    try:  # written by hosts in different zones
        return text_ns(str(one)) == text_ns(str(other))
    except ValueError:
        return False
