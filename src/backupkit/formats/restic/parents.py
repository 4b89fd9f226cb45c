"""What the snapshot before knows of files, so that those which are unchanged need not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from backupkit.errors import IntegrityError
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.formats.restic.times import ns_text, text_ns
from backupkit.model import Entry

Node = Mapping[str, Any]

# What a store of objects says of a version, where there is no inode: the source of such objects keeps it here.
_TAG = "user.backupkit.etag"


def parent_of(snapshots: Iterable[Snapshot], *, name: str, root: str) -> Snapshot | None:
    """The newest that has this path among those given: the pipeline's own, or else one that restic made.

    restic asks for the same paths in all. Here each is looked for by itself, so that a source which is new to a
    pipeline does not make it read all others again.
    """
    same = [one for one in snapshots if root in one.paths]
    own = [one for one in same if one.name == name]
    foreign = [one for one in same if one.name is None]
    return max(own or foreign, key=lambda one: (one.time_ns, one.id), default=None)


class Parent:
    """The folders of the snapshot before, loaded as far as they are asked for; an empty one if there is none.

    `damaged` hears of each tree that could not be read.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        tree: str | None,
        *,
        damaged: Callable[[str, IntegrityError], None],
    ) -> None:
        self._repository = repository
        self._root = tree
        self._damaged = damaged
        self._held: dict[str, Mapping[str, Node]] = {}

    def nodes_in(self, folder: str) -> Mapping[str, Node]:
        """The nodes of a folder by name; those of the folders above it stay loaded meanwhile, and no others."""
        if (known := self._held.get(folder)) is not None:
            return known
        if folder == "/":
            tree = self._root
        else:
            above, _, name = folder.rpartition("/")
            node = self.nodes_in(above or "/").get(name)
            tree = node.get("subtree") if node is not None and node["type"] == "dir" else None
        nodes: Mapping[str, Node] = {} if tree is None else self.nodes_of(tree)
        self._held = {path: held for path, held in self._held.items() if _is_above(path, folder)}
        self._held[folder] = nodes
        return nodes

    def nodes_of(self, tree: str) -> Mapping[str, Node]:
        """The nodes of the folder that has this tree."""
        content = self.content_of(tree)
        return self.parsed(tree, content) if content else {}

    def content_of(self, tree: str) -> bytes:
        """The plain bytes of this tree; none if it cannot be read."""
        try:
            return self._repository.load(bytes.fromhex(tree), tree=True)
        except IntegrityError as error:
            self._damaged(tree, error)
            return b""

    def parsed(self, tree: str, content: bytes) -> Mapping[str, Node]:
        """The nodes by name that are the content of this tree; none if it is not one."""
        try:
            where = f"tree {tree} at {self._repository.location}"
            return {node["name"]: node for node in parse_tree(content, where=where)}
        except IntegrityError as error:
            self._damaged(tree, error)
            return {}


def is_unchanged(entry: Entry, node: Node) -> bool:
    """Whether a file is what it was when the node was written: same size, times and inode, as restic has it.

    A file that is not of this machine must have the same tag of its store instead.
    """
    if node["type"] != "file" or int(node.get("size", 0)) != (entry.size or 0) or entry.modified_ns is None:
        return False
    if not _is_same_time(node["mtime"], entry.modified_ns):
        return False
    origin = entry.origin
    if origin is not None:
        return node.get("inode") == origin.inode and _is_same_time(node["ctime"], origin.changed_ns)
    tag = entry.xattrs.get(_TAG)
    return tag is not None and tag in _tags_of(node)


def _tags_of(node: Node) -> Sequence[bytes]:
    from base64 import b64decode

    attributes = node.get("extended_attributes") or ()
    return [b64decode(one["value"]) for one in attributes if one["name"] == _TAG]


def _is_same_time(said: str, ns: int) -> bool:
    # Only restic writes the same time in several ways, in the zone of the machine.
    return said == ns_text(ns) or (not said.endswith("Z") and text_ns(said) == ns)


def _is_above(path: str, folder: str) -> bool:
    return path == "/" or folder.startswith(f"{path}/")
