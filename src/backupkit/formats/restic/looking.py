"""Looking for paths in many snapshots: what they have in common is looked through once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from borghash import HashTable

from backupkit.errors import IntegrityError
from backupkit.formats.restic.loading import Loader, Trees
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import single_entry_of, subtree_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Entry, Problem

_REMEMBERED = 50_000  # entries that were found, some 1 kB each; beyond that they are looked for again
_NOTHING = b"\0"


class _Folder(NamedTuple):
    """A folder of a snapshot. What is found in it depends on its tree and its path, and on nothing else."""

    tree: bytes
    path: str
    key: bytes


class Searcher:
    """Looks for the same paths in one snapshot after the other; used by one thread.

    A folder in which there was nothing is known again by its tree and its path, which takes some 70 bytes of
    memory, and not entered. So is one in which something was found, as far as there is room for that.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        *,
        enters: Callable[[str], bool],
        matches: Callable[[str], bool],
        executor: Executor | None,
    ) -> None:
        self._repository = repository
        self._enters = enters
        self._matches = matches
        self._trees = Trees(repository, executor)
        self._loader = Loader(repository, executor)
        self._empty = HashTable(key_size=32, value_size=1)
        self._found: dict[bytes, Sequence[Entry]] = {}
        self._room = _REMEMBERED
        self._levels: list[_Level] = []

    def find(self, snapshot: Snapshot) -> Iterator[Entry | Problem]:
        """The entries whose paths match, in the order of paths; what cannot be read is a problem in its place."""
        levels = self._levels = []
        yield from self._enter(_folder(bytes.fromhex(snapshot.tree), ""))
        while levels:
            level = levels[-1]
            node = next(level.nodes, None)
            if node is None:
                self._leave(levels.pop())
                continue
            path = level.prefix + node["name"]
            is_folder = node["type"] == "dir"
            if self._matches(f"{path}/" if is_folder else path):
                try:
                    entry = single_entry_of(self._repository, snapshot, node, path, self._loader)
                except IntegrityError as error:
                    level.damaged = True
                    yield self._problem(error, path)
                else:
                    if entry is not None:
                        level.note([entry])
                        yield entry
            if not is_folder or not self._enters(path):
                continue
            try:
                subtree_of(node, path)
            except IntegrityError as error:
                level.damaged = True
                yield self._problem(error, path)
            else:  # whatever is wrong with the folder itself: those that are left must not get out of step
                yield from self._enter(level.folders.popleft())

    def _enter(self, folder: _Folder) -> Iterator[Entry | Problem]:
        """Go into a folder next; or, if it is known what is in it, tell that."""
        if (known := self._known(folder)) is not None:
            for level in self._levels[-1:]:
                level.note(known)
            yield from known
            return
        try:
            content = self._trees.load(folder.tree, self._following())
            nodes = parse_tree(content, where=f"tree {folder.tree.hex()} at {self._repository.location}")
        except IntegrityError as error:
            for level in self._levels[-1:]:
                level.damaged = True
            yield self._problem(error, folder.path)
            return
        self._levels.append(_Level(folder, nodes, self._enters))

    def _known(self, folder: _Folder) -> Sequence[Entry] | None:
        return () if folder.key in self._empty else self._found.get(folder.key)

    def _following(self) -> Iterator[bytes]:
        for level in reversed(self._levels):
            for folder in level.folders:
                if self._known(folder) is None:
                    yield folder.tree

    def _leave(self, level: _Level) -> None:
        """Remember what is in it, unless nobody knows."""
        outer = self._levels[-1] if self._levels else None
        if outer is not None:
            outer.damaged = outer.damaged or level.damaged
            outer.note(level.found)
        if level.damaged or level.found is None:
            return
        if not level.found:
            self._empty[level.folder.key] = _NOTHING
        elif len(level.found) <= self._room:
            self._room -= len(level.found)
            self._found[level.folder.key] = level.found

    def _problem(self, error: IntegrityError, path: str) -> Problem:
        message = f"The folder {path or '/'!r} cannot be looked through: {error}"
        return Problem(message=message, path=path or None, destination=self._repository.location)


class _Level:
    """A folder that is being looked through; `found` is None if it is too much to be remembered."""

    def __init__(
        self, folder: _Folder, nodes: Sequence[Mapping[str, Any]], enters: Callable[[str], bool]
    ) -> None:
        self.folder = folder
        self.prefix = prefix = f"{folder.path}/" if folder.path else ""
        self.nodes = iter(nodes)
        self.damaged = False
        self.found: list[Entry] | None = []
        self.folders = deque(
            _folder(bytes.fromhex(node["subtree"]), path)
            for node in nodes
            if node["type"] == "dir" and node.get("subtree") and enters(path := prefix + node["name"])
        )

    def note(self, entries: Sequence[Entry] | None) -> None:
        if self.found is None:
            return
        if entries is None or len(self.found) + len(entries) > _REMEMBERED:
            self.found = None
        else:
            self.found += entries


def _folder(tree: bytes, path: str) -> _Folder:
    key = hashlib.sha256(tree + path.encode("utf-8", "surrogateescape")).digest()
    return _Folder(tree, path, key)
