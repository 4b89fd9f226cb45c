"""Reading a snapshot: its trees become entries again, whose content is fetched when it is asked for."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from backupkit.errors import IntegrityError
from backupkit.formats.restic.loading import BATCHES_AHEAD, Batch, Loader, Trees
from backupkit.formats.restic.nodes import UNDESCRIBED, entry_of, parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Entry, Problem

_AHEAD = (
    4096  # entries that are known before they are given out, so that their contents can be fetched together
)
_COMPARED = 16  # blobs of a file in place that are compared before those that differ are fetched

_File: TypeAlias = tuple[int, int, bytes]  # a device, an inode, and what is in it


def everywhere(folder: str) -> bool:
    """Goes into every folder."""
    return True


def everything(entry: Entry) -> bool:
    """Leaves nothing out."""
    return True


def entries_of(
    repository: OpenedRepository,
    snapshot: Snapshot,
    *,
    executor: Executor | None,
    enters: Callable[[str], bool] = everywhere,
    wants: Callable[[Entry], bool] = everything,
    lost: Callable[[Problem], None] | None = None,
) -> Iterator[Entry]:
    """The entries of a snapshot, a folder before what is in it, siblings in order of their names.

    What is in a folder that is not entered, and what is not wanted, is left out, and not loaded.
    IntegrityError where a tree is not what was written, unless that is told to `lost` (see `ReadsWithin`); what is
    wrong with the content of a file is raised by its chunks. Of several links to one file, the later ones are
    hard links to the first.

    A folder that no source described, such as the one of all dumps, has no mode, time or owner, so that restoring
    leaves alone those of the one in its place: in the repository it has the run's time, and no inode.
    """
    loader = Loader(repository, executor)
    linked: dict[_File, str] = {}
    ahead: deque[tuple[Entry, int]] = deque()
    batch = Batch()
    batches = files = 0
    where = f"a tree at {repository.location}"
    for path, node in walk(repository, snapshot.tree, executor=executor, enters=enters, lost=lost):
        content = first = None
        try:
            if node["type"] == "file":
                ids = [*map(bytes.fromhex, node.get("content") or ())]
                content = FileContent(loader, repository, files, path, size_of(node, path), ids)
                first = _first_link(path, node, linked, content)
            entry = entry_of(node, path, where=where, content=content, first=first)
        except IntegrityError as error:
            if lost is None:
                raise
            lost(Problem(message=str(error), path=path, destination=repository.location))
            continue
        if entry is None:
            continue
        entry = as_described(entry, node, snapshot)
        if not wants(entry):
            continue
        if content is not None:
            files += 1
            each = content.size // max(1, len(content.ids))
            for id in content.ids:
                if batch.closed:
                    batch.following = batch = Batch()
                    batches += 1
                batch.add(id, each)
                content.batches.append(batch)
        ahead.append((entry, batches))
        while ahead and (batches - ahead[0][1] > BATCHES_AHEAD or len(ahead) > _AHEAD):
            yield ahead.popleft()[0]
    while ahead:
        yield ahead.popleft()[0]


def single_entry_of(
    repository: OpenedRepository, snapshot: Snapshot, node: Mapping[str, Any], path: str, loader: Loader
) -> Entry | None:
    """The entry of one node by itself, None for what is none; a further link to a file is a file."""
    content = None
    if node["type"] == "file":
        ids = [*map(bytes.fromhex, node.get("content") or ())]
        content = FileContent(loader, repository, None, path, size_of(node, path), ids)
    entry = entry_of(node, path, where=f"a tree at {repository.location}", content=content)
    return None if entry is None else as_described(entry, node, snapshot)


def as_described(entry: Entry, node: Mapping[str, Any], snapshot: Snapshot) -> Entry:
    """The entry of a node; a folder that no source described has no mode, time or owner (see `entries_of`)."""
    if (
        entry.kind == "directory"
        and entry.modified_ns == snapshot.time_ns
        and entry.mode == UNDESCRIBED
        and not node.get("inode")
    ):
        return replace(entry, mode=None, modified_ns=None, owner=None)
    return entry


@dataclass(frozen=True, slots=True)
class SnapshotReader:
    """See `protocols.BackupReader`."""

    repository: OpenedRepository = field(repr=False)
    snapshot: Snapshot

    def read_within(
        self,
        *,
        enters: Callable[[str], bool],
        wants: Callable[[Entry], bool],
        executor: Executor | None,
        lost: Callable[[Problem], None] | None = None,
    ) -> Iterator[Entry]:
        return entries_of(
            self.repository, self.snapshot, executor=executor, enters=enters, wants=wants, lost=lost
        )


class FileContent:
    """The content of one file of a pass, the `number`th; `batches` are those of its blobs, one by one.

    Without a number it belongs to no pass, and what comes after it is never fetched with it.
    """

    __slots__ = ("_ends", "_loader", "_number", "_path", "_pulled", "_repository", "batches", "ids", "size")

    def __init__(
        self,
        loader: Loader,
        repository: OpenedRepository,
        number: int | None,
        path: str,
        size: int,
        ids: Sequence[bytes],
    ) -> None:
        self._loader = loader
        self._repository = repository
        self._number = number
        self._path = path
        self._pulled = False
        self._ends: Sequence[int] = ()  # where each blob ends, of as many as somebody wanted to know
        self.size = size
        self.ids = ids
        self.batches: list[Batch] = []

    @property
    def digest(self) -> str:
        """See `Entry.digest`: the id of a blob is the hash of what is in it.

        Several of them tell the content only where files are cut alike, as in one repository.
        """
        if len(self.ids) == 1:
            return f"sha256:{self.ids[0].hex()}"
        digest = hashlib.sha256(b"".join(self.ids)).hexdigest()  # of nothing, for an empty file
        return f"blobs-{self._repository.config.id[:16]}:{digest}" if self.ids else f"sha256:{digest}"

    def chunks(self) -> Iterator[bytes]:
        """See `Entry.chunks`; IntegrityError if it is not as long as it was."""
        return self._checked(self._blobs())

    def reusing(self, descriptor: int) -> Iterator[bytes]:
        """See `Entry.reusing`: a blob is taken from the file if its bytes there have the hash that is its id."""
        return self._checked(self._mixed(descriptor))

    def within(self, start: int, stop: int) -> Iterator[bytes]:
        """See `Entry.within`: fetches the blobs that these bytes are in, and no others."""
        stop = min(stop, self.size)
        ends = self._ends_until(stop)
        if stop == self.size and (ends[-1] if ends else 0) != self.size:
            raise self._other_size(ends[-1] if ends else 0)
        if start >= stop:
            return
        first, last = bisect_right(ends, start), bisect_left(ends, stop)
        position = ends[first - 1] if first else 0
        blobs = self._loader.alone(self.ids[first : last + 1], ends[last] - position)
        for end, blob in zip(ends[first : last + 1], blobs, strict=True):
            if len(blob) != end - position:
                raise IntegrityError(
                    f"The index at {self._repository.location} says another length of a blob of {self._path!r}.",
                    where=self._path,
                )
            yield blob[max(0, start - position) : stop - position]
            position = end

    def _ends_until(self, stop: int) -> Sequence[int]:
        """Where each blob ends, up to the one that has the byte before `stop`; of all if that is the file's end."""
        ends = self._ends
        position = ends[-1] if ends else 0
        if len(ends) < len(self.ids) and (position < stop or stop == self.size):
            more = [*ends]
            for id in self.ids[len(ends) :]:
                # One that no index has is looked for, and what is wrong is said.
                position += self._repository.size_of(id) or len(self._repository.load(id))
                more.append(position)
                if position >= stop and stop < self.size:
                    break
            self._ends = ends = more
        return ends

    def _blobs(self) -> Iterator[bytes]:
        again, self._pulled = self._pulled, True
        if self._number is not None and self._loader.is_in_order(self._number) and not again:
            return self._loader.together(zip(self.ids, self.batches, strict=True))
        return self._loader.alone(self.ids, self.size)

    def _mixed(self, descriptor: int) -> Iterator[bytes]:
        position = 0
        for at in range(0, len(self.ids), _COMPARED):
            ids = self.ids[at : at + _COMPARED]
            there: list[bytes | None] = []
            for id in ids:
                size = self._repository.size_of(id)
                there.append(_piece(descriptor, position, size, id))
                position += size
            lacking = [id for id, piece in zip(ids, there, strict=True) if piece is None]
            if len(lacking) == len(self.ids):  # quite another file
                yield from self._blobs()
                return
            fetched = self._loader.alone(lacking, sum(map(self._repository.size_of, lacking)))
            for piece in there:
                yield next(fetched) if piece is None else piece

    def _checked(self, blobs: Iterator[bytes]) -> Iterator[bytes]:
        count = 0
        for blob in blobs:
            count += len(blob)
            yield blob
        if count != self.size:
            raise self._other_size(count)

    def _other_size(self, count: int) -> IntegrityError:
        return IntegrityError(
            f"{self._path!r} holds {count} bytes in the snapshot, which says that it has {self.size}.",
            where=self._path,
        )


class _Level:
    """A folder that is being walked through: the nodes that are left, and the trees of those that are folders."""

    def __init__(self, path: str, nodes: Sequence[Mapping[str, Any]], enters: Callable[[str], bool]) -> None:
        self.prefix = f"{path}/" if path else ""
        self.nodes = iter(nodes)
        self.folders = deque(
            bytes.fromhex(node["subtree"])
            for node in nodes
            if node["type"] == "dir" and node.get("subtree") and enters(self.prefix + node["name"])
        )


def walk(
    repository: OpenedRepository,
    tree: str,
    *,
    executor: Executor | None,
    enters: Callable[[str], bool] = everywhere,
    lost: Callable[[Problem], None] | None = None,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each node with its path, in the order of `entries_of`; `lost` hears of a folder that cannot be read."""
    trees = Trees(repository, executor)
    levels: list[_Level] = []

    def loaded(id: str, path: str) -> _Level:
        content = trees.load(bytes.fromhex(id), following())
        return _Level(path, parse_tree(content, where=_tree(repository, id)), enters)

    def following() -> Iterator[bytes]:
        for level in reversed(levels):
            yield from level.folders

    levels.append(loaded(tree, ""))
    while levels:
        level = levels[-1]
        node = next(level.nodes, None)
        if node is None:
            levels.pop()
            continue
        path = level.prefix + node["name"]
        yield path, node
        if node["type"] == "dir" and enters(path):
            if node.get("subtree"):
                level.folders.popleft()
            try:
                levels.append(loaded(subtree_of(node, path), path))
            except IntegrityError as error:
                message = f"The folder {path!r} cannot be read: {error}"
                if lost is None:
                    raise IntegrityError(message, where=path) from error
                lost(Problem(message=message, path=path, destination=repository.location))


def nodes_of(repository: OpenedRepository, tree: str) -> Sequence[Mapping[str, Any]]:
    """The nodes in the folder that has this tree."""
    return parse_tree(repository.load(bytes.fromhex(tree), tree=True), where=_tree(repository, tree))


def subtree_of(node: Mapping[str, Any], path: str) -> str:
    """The id of the tree of a folder, whose path this is; IntegrityError if the snapshot does not have it."""
    tree: str | None = node.get("subtree")
    if tree is None:
        raise IntegrityError(f"The snapshot does not say what is in the folder {path!r}.", where=path)
    return tree


def _tree(repository: OpenedRepository, id: str) -> str:
    return f"tree {id} at {repository.location}"


def _first_link(
    path: str, node: Mapping[str, Any], linked: dict[_File, str], content: FileContent
) -> str | None:
    """The earlier path of the same file, if this is another link to one.

    What differs in content is no such link, whatever its inode: it was changed while it was read, or its file
    system gives the same number to several files.
    """
    if (node.get("links") or 0) < 2 or not (inode := node.get("inode")):
        return None
    ids = hashlib.sha256(b"".join(content.ids)).digest()
    first = linked.setdefault((node.get("device_id") or 0, inode, ids), path)
    return None if first == path else first


def size_of(node: Mapping[str, Any], path: str) -> int:
    """How many bytes the node of a file says that it has."""
    size = node.get("size", 0)
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise IntegrityError(f"{path!r} cannot be {size!r:.80} bytes long.", where=path)
    return size


def _piece(descriptor: int, position: int, size: int, id: bytes) -> bytes | None:
    """The bytes of a file at a place, if their hash is the id."""
    try:
        piece = os.pread(descriptor, size, position)
    except OSError:  # a disk that cannot read what is to be replaced
        return None
    return piece if len(piece) == size and hashlib.sha256(piece).digest() == id else None
