"""Snapshots without what is lost: trees are made anew where a file or a folder cannot be read any more."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from backupkit.errors import IntegrityError
from backupkit.formats.restic import go_json
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import parse_tree, tree_of
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.snapshots import INCOMPLETE, REPAIRED, Snapshot
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.protocols import nothing

_EMPTY, _EMPTY_CONTENT = tree_of({})


class Lost(NamedTuple):
    """A path, and what is lost there, in a sentence."""

    path: str
    message: str


class Totals(NamedTuple):
    """How many files and folders are below a folder, and how many bytes those files have."""

    files: int = 0
    folders: int = 0
    size: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals(*map(sum, zip(self, other, strict=True)))


NOTHING = Totals()


@dataclass(slots=True)
class _Folder:
    """One that is being looked through; `changes` are those of its nodes, by their number: None leaves it out."""

    id: bytes
    path: str
    content: bytes
    nodes: Sequence[Mapping[str, Any]]
    subtrees: deque[bytes]
    number: int = 0  # of the next node
    totals: Totals = NOTHING
    changes: dict[int, Mapping[str, Any] | None] = field(default_factory=dict)

    def path_of(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


class SnapshotRepairer:
    """Looks through one snapshot after the other, and at what several have in common once; used by one thread.

    What is in no index is lost: the index must not have what is not there.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        executor: Executor | None,
        *,
        between: Callable[[], None] = nothing,
    ) -> None:
        self._repository = repository
        self._trees = Trees(repository, executor)
        self._between = between
        self._intact: dict[bytes, Totals] = {}  # trees in which, and below which, nothing is lost
        self._unreadable: set[bytes] = set()

    def tree_of(
        self, snapshot: Snapshot, *, lost: list[Lost], writer: RepositoryWriter | None = None
    ) -> tuple[str, Totals] | None:
        """The id of a tree without what is lost, and what it holds; None if the root itself is lost.

        What is lost is put into `lost`; if nothing is, the tree is that of the snapshot. Trees that are made anew
        are given to the writer, if there is one.
        """
        root = self._entered(bytes.fromhex(snapshot.tree), "", (), lost)
        if root is None:
            return None
        folders = [root]
        while True:
            folder = folders[-1]
            if folder.number < len(folder.nodes):
                inner = self._next(folder, folders, lost, writer)
                if inner is not None:
                    folders.append(inner)
                continue
            id = self._made_anew(folder, writer) if folder.changes else folder.id
            if not folder.changes:
                self._intact[id] = folder.totals
            folders.pop()
            if not folders:
                return id.hex(), folder.totals
            self._closed(folders[-1], folder, id)

    def _next(
        self, folder: _Folder, folders: Sequence[_Folder], lost: list[Lost], writer: RepositoryWriter | None
    ) -> _Folder | None:
        """Look at the next node; if that is a folder that has to be looked through, return it."""
        self._between()
        number, node = folder.number, folder.nodes[folder.number]
        path = folder.path_of(node["name"])
        if node["type"] == "file":
            self._look_at_file(folder, number, node, path, lost)
        if node["type"] == "dir":
            subtree = bytes.fromhex(node.get("subtree") or "")
            if subtree:
                folder.subtrees.popleft()
            known = self._intact.get(subtree)
            if known is None:
                inner = self._entered(subtree, path, folders, lost)
                if inner is not None:
                    return inner  # its number is counted when it is closed
                folder.changes[number] = {"subtree": _EMPTY.hex()}
                self._store(_EMPTY, _EMPTY_CONTENT, writer)
            folder.totals = folder.totals.plus(known or NOTHING).plus(Totals(folders=1))
        folder.number += 1
        return None

    def _closed(self, above: _Folder, folder: _Folder, id: bytes) -> None:
        if id != folder.id:
            above.changes[above.number] = {"subtree": id.hex()}
        above.totals = above.totals.plus(folder.totals).plus(Totals(folders=1))
        above.number += 1

    def _look_at_file(
        self, folder: _Folder, number: int, node: Mapping[str, Any], path: str, lost: list[Lost]
    ) -> None:
        find = self._repository.index.find
        size = 0
        for one in node.get("content") or ():
            place = find(bytes.fromhex(one))
            if place is None:
                folder.changes[number] = None
                lost.append(Lost(path, f"The file {path!r} is lost: its blob {one} cannot be read."))
                return
            size += place.size
        said = node.get("size") or 0
        if said != size:  # or nobody could restore it
            folder.changes[number] = {"size": size}
            message = f"The file {path!r} has {size} bytes, and not {said!r:.40} as the snapshot says."
            lost.append(Lost(path, message))
        folder.totals = folder.totals.plus(Totals(files=1, size=size))

    def _entered(self, id: bytes, path: str, folders: Sequence[_Folder], lost: list[Lost]) -> _Folder | None:
        """The folder of this tree; None, and told, if it cannot be read."""
        if id and id not in self._unreadable:
            try:
                content = self._trees.load(id, self._following(folders))
                nodes = parse_tree(content, where=f"tree {id.hex()} at {self._repository.location}")
            except IntegrityError:
                self._unreadable.add(id)
            else:
                subtrees = deque(
                    bytes.fromhex(node["subtree"])
                    for node in nodes
                    if node["type"] == "dir" and node.get("subtree")
                )
                return _Folder(id, path, content, nodes, subtrees)
        why = f"its tree {id.hex()} cannot be read" if id else "the snapshot does not say what it was"
        lost.append(Lost(path, f"What was in the folder {path or '/'!r} is lost: {why}."))
        return None

    def _following(self, folders: Sequence[_Folder]) -> Iterator[bytes]:
        for folder in reversed(folders):
            for id in folder.subtrees:
                if id not in self._intact:
                    yield id

    def _made_anew(self, folder: _Folder, writer: RepositoryWriter | None) -> bytes:
        """Its tree with the changes; everything else as it stands there, what we do not know included."""
        document = json.loads(folder.content)
        nodes = []
        for number, node in enumerate(document["nodes"]):
            change = folder.changes.get(number, {})
            if change is not None:
                nodes.append({**node, **change})
        content = go_json.dumps({**document, "nodes": nodes}) + b"\n"
        id = sha256(content).digest()
        self._store(id, content, writer)
        return id

    def _store(self, id: bytes, content: bytes, writer: RepositoryWriter | None) -> None:
        if writer is None:
            return
        if id in self._unreadable:  # the index has it all the same
            writer.distrust(id, tree=True)
        writer.add(id, content, tree=True)


def repaired_fields(snapshot: Snapshot, tree: str, totals: Totals) -> dict[str, Any]:
    """The object of a snapshot that is what is left of this one."""
    tags = [tag for tag in snapshot.tags if tag not in (INCOMPLETE, REPAIRED)] + [REPAIRED]
    if snapshot.name is not None:
        tags.append(INCOMPLETE)
    fields = {**snapshot.fields, "tree": tree, "tags": tags, "original": snapshot.id}
    if summary := fields.get("summary"):
        # All of it was there before.
        counts = {name: 0 for name, count in summary.items() if type(count) is int}
        fields["summary"] = {
            **summary,
            **counts,
            "files_unmodified": totals.files,
            "dirs_unmodified": totals.folders,
            "total_files_processed": totals.files,
            "total_bytes_processed": totals.size,
        }
    return fields
