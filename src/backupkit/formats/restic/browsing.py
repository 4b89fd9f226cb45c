"""A snapshot that is looked into here and there: one folder at a time, a few bytes of a file."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backupkit.errors import IntegrityError
from backupkit.formats.restic.loading import Loader
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import nodes_of, single_entry_of, subtree_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Entry

_KEPT = 32 << 20  # plain bytes of blobs that were read lately: whoever reads a piece often reads the next one
_FEW = 2  # blobs; more of them at once are somebody's who reads on, and would push out all others
_FOLDERS = 100_000  # of which it is remembered where their trees stand: some 30 MB


class SnapshotBrowser:
    """See `protocols.Browser`. Loads the tree of a folder, and those on the way to it that it does not know yet.

    Links to one file are files here: which of them is the first, only a pass through the whole snapshot can tell.
    """

    def __init__(self, repository: OpenedRepository, snapshot: Snapshot) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._loader = _Recent(repository)
        self._trees: OrderedDict[str, str] = OrderedDict()

    def children(self, folder: str) -> Sequence[Entry]:
        tree = self._tree_of(folder)
        try:
            nodes = self._nodes_of(tree, folder)
        except IntegrityError as error:
            raise IntegrityError(f"The folder {folder!r} cannot be read: {error}", where=folder) from error
        prefix = f"{folder}/" if folder else ""
        entries = (
            single_entry_of(self._repository, self._snapshot, node, prefix + node["name"], self._loader)
            for node in nodes
        )
        return [entry for entry in entries if entry is not None]

    def _tree_of(self, folder: str) -> str:
        """The id of the tree of a folder."""
        tree = self._snapshot.tree
        known, below = folder, list[str]()  # the nearest folder that is known, and the names from there
        while known:
            if (remembered := self._trees.get(known)) is not None:
                tree = remembered
                break
            known, _, name = known.rpartition("/")
            below.append(name)
        for name in reversed(below):
            path = f"{known}/{name}" if known else name
            node = next((node for node in self._nodes_of(tree, known) if node["name"] == name), None)
            if node is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
            if node["type"] != "dir":
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
            known, tree = path, subtree_of(node, path)
        return tree

    def _nodes_of(self, tree: str, folder: str) -> Sequence[Mapping[str, Any]]:
        """Those in a folder, of whose own folders the trees are remembered."""
        nodes = nodes_of(self._repository, tree)
        prefix = f"{folder}/" if folder else ""
        for node in nodes:
            if node["type"] == "dir" and node.get("subtree"):
                self._trees[prefix + node["name"]] = node["subtree"]
        while len(self._trees) > _FOLDERS:
            self._trees.popitem(last=False)
        return nodes


class _Recent(Loader):
    """Loads blobs when they are asked for, and keeps the last ones."""

    def __init__(self, repository: OpenedRepository) -> None:
        super().__init__(repository, None)
        self._blobs: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._changing = threading.Lock()

    def alone(self, ids: Sequence[bytes], size: int) -> Iterator[bytes]:
        if len(ids) > _FEW:
            yield from super().alone(ids, size)
            return
        for id in ids:
            blob = self._blobs.get(id)
            if blob is None:
                blob = self._repository.load(id)
                self._keep(id, blob)
            yield blob

    def _keep(self, id: bytes, blob: bytes) -> None:
        with self._changing:
            if id not in self._blobs:
                self._blobs[id] = blob
                self._size += len(blob)
            while self._size > _KEPT:
                _, passed = self._blobs.popitem(last=False)
                self._size -= len(passed)
