"""What snapshots hold and what each has added: every tree is read once, whoever else has it too."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from backupkit.errors import IntegrityError
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import size_of, subtree_of
from backupkit.protocols import nothing


class Measured(NamedTuple):
    """What one snapshot holds, and what it added: see `model.Growth`."""

    entries: int
    restored: int
    added: int
    stored: int
    blobs: int


class Measurer:
    """Measures one snapshot after the other; used by one thread.

    For each blob in the index it takes a byte of memory, and for each tree another 17: how many entries are in it,
    how large they are, and whether there are files with several links, which count once in a snapshot. Where there
    are, and only there, what was read before is read again.
    """

    def __init__(self, repository: OpenedRepository, executor: Executor | None) -> None:
        repository.need_index()
        self._repository = repository
        self._trees = Trees(repository, executor)
        # This one to the end: who reads without a lock may load another, in which blobs have other numbers.
        self._index = index = repository.index
        count = index.count(tree=True)
        self._known = bytearray(index.count(tree=False)), bytearray(count)
        self._entries = array("Q", bytes(8 * count))
        self._sizes = array("Q", bytes(8 * count))  # without files that have several links
        self._linked = bytearray(count)
        self._added = self._stored = self._blobs = 0

    def measure(self, tree: str, *, between: Callable[[], None] = nothing) -> Measured:
        """Of the snapshot that has this tree; IntegrityError if anything of it is in no index or cannot be read."""
        root = bytes.fromhex(tree)
        added, stored, blobs = self._added, self._stored, self._blobs
        try:
            self._read(root, between)
        except (
            OverflowError
        ) as error:  # such as folders that hold one folder twice, and so on a hundred times
            where = f"tree {tree} at {self._repository.location}"
            raise IntegrityError(f"{where} holds more than can be counted.", where=where) from error
        at = self._note(root, True)
        restored = self._sizes[at] + self._linked_in(root, between)
        return Measured(
            self._entries[at], restored, self._added - added, self._stored - stored, self._blobs - blobs
        )

    def _read(self, root: bytes, between: Callable[[], None]) -> None:
        """Read what is not known yet: each tree is done after those in it."""
        levels: list[_Level] = []

        def following() -> Iterator[bytes]:
            for level in reversed(levels):
                yield from level.folders

        if self._is_known(root):
            return
        levels.append(self._begun(root, following()))
        while levels:
            level = levels[-1]
            if level.folders:
                id = level.folders.popleft()
                if not self._is_known(id):
                    between()
                    levels.append(self._begun(id, following()))
                continue
            levels.pop()
            at = self._note(level.id, True)
            inside = [self._note(id, True) for id in level.inside]
            self._entries[at] = level.entries + sum(self._entries[one] for one in inside)
            self._sizes[at] = level.size + sum(self._sizes[one] for one in inside)
            self._linked[at] = level.linked or any(self._linked[one] for one in inside)

    def _begun(self, id: bytes, following: Iterator[bytes]) -> _Level:
        level = _Level(id)
        self._note(id, True)
        for node in self._nodes(id, following):
            level.take(node)
            for blob in node.get("content") or ():
                self._note(bytes.fromhex(blob), False)
        return level

    def _linked_in(self, root: bytes, between: Callable[[], None]) -> int:
        """The bytes of files with several links, each file once, as they are restored."""
        found: set[tuple[str, str]] = set()
        size = 0
        folders = [root]
        seen: set[bytes] = set()  # what is in such a tree once more are the same files
        while folders:
            id = folders.pop()
            if id in seen or not self._linked[self._note(id, True)]:
                continue
            seen.add(id)
            between()
            for node in self._nodes(
                id,
                (one for one in reversed(folders) if one not in seen and self._linked[self._note(one, True)]),
            ):
                if node["type"] == "dir":
                    folders.append(bytes.fromhex(subtree_of(node, node["name"])))
                elif (
                    _has_links(node)
                    and (file := (str(node.get("device_id")), str(node["inode"]))) not in found
                ):
                    found.add(file)
                    size += size_of(node, node["name"])
        return size

    def _nodes(self, id: bytes, following: Iterator[bytes]) -> Sequence[Mapping[str, Any]]:
        content = self._trees.load(id, following)
        return parse_tree(content, where=f"tree {id.hex()} at {self._repository.location}")

    def _is_known(self, tree: bytes) -> bool:
        at = self._index.number(tree, tree=True)
        return at is not None and at < len(self._known[True]) and self._known[True][at] != 0

    def _note(self, id: bytes, tree: bool) -> int:
        """The number of a blob in the index; it is counted the first time."""
        index = self._index
        at, known = index.number(id, tree=tree), self._known[tree]
        place = None if at is None or (at < len(known) and known[at]) else index.find(id, tree=tree)
        if at is None or at >= len(known):
            where = f"blob {id.hex()} at {self._repository.location}"
            raise IntegrityError(f"The {where} is in no index: it is lost. Verify the backups.", where=where)
        if place is not None:
            known[at] = 1
            self._added += place.size
            self._stored += place.length
            self._blobs += 1
        return at


class _Level:
    """A tree that is being read: what is in it by itself, the folders in it, and those of them that are left."""

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.entries = self.size = 0
        self.linked = False
        self.inside: list[bytes] = []
        self.folders: deque[bytes] = deque()

    def take(self, node: Mapping[str, Any]) -> None:
        self.entries += 1
        if _has_links(node):
            self.linked = True
        else:
            self.size += size_of(node, node["name"])
        if node["type"] == "dir":
            id = bytes.fromhex(subtree_of(node, node["name"]))
            self.inside.append(id)
            self.folders.append(id)


def _has_links(node: Mapping[str, Any]) -> bool:
    """Whether it may be one of several links to a file, which restic counts once."""
    links, inode, size = node.get("links"), node.get("inode"), node.get("size")
    return bool(links != 1 and inode and size and node["type"] != "dir")
