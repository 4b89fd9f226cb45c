"""Saving folders that a source hands over unread: their files, their trees, and theirs in turn."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar
from zlib import crc32

from backupkit.errors import BackupKitError
from backupkit.formats.restic.nodes import node_text, sort_key, tree_of
from backupkit.formats.restic.parents import Node, is_unchanged
from backupkit.formats.restic.storing import Content, ContentReader, Living, Receiver, odd_names
from backupkit.formats.restic.unchanged import Same, same
from backupkit.model import Entry, Owner, Part, Passed, Problem

_AT_ONCE = 512  # entries of a folder of which it is asked at once whether they are unchanged
_WHOLE = 4096  # entries of a folder, below which it is compared with its tree of before as a whole
_MANY = 8000  # unchanged files, of which one that is read counts as five, after which a folder may be shared
_OFTEN, _MUCH = 200, 8 << 20  # entries, or bytes, after which it is told how far a part is

# By the numbers of repositories: the ids of the trees that a folder had before. Empty where it was something else;
# where there was nothing, it is missing.
Before: TypeAlias = Mapping[int, bytes]

# What all names of a file have in common: device, inode, times, size.
Link: TypeAlias = tuple[int, int, int, int | None, int | None]


class Share(NamedTuple):
    """One of `shares` of what comes in a folder after a name, for folders of many files."""

    number: int
    shares: int
    after: bytes

    def of(self, part: Part) -> Iterator[Entry | Problem | Part]:
        """What of the folder is in this share: each child is in one.

        Some problems may have been told before, which a report tells once: those of the folder itself, which
        perhaps can no longer be read, and of the last child before, which come behind it.
        """
        folder = part.entry.path
        for one in part.read():
            path = one.entry.path if isinstance(one, Part) else one.path
            if path is None or path == folder:
                yield one
                continue
            name = sort_key(path.rpartition("/")[2])
            if name < self.after or (name == self.after and not isinstance(one, Problem)):
                continue
            if crc32(name) % self.shares == self.number:
                yield one


@dataclass(slots=True)
class Counts:
    """Of files and folders: those that the snapshot before had not, those that are others now, the others."""

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    size: int = 0

    def add(self, other: Counts) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Folders(Receiver, Protocol):
    """A repository as far as folders are saved into it."""

    counts: Counts

    def content_of(self, tree: bytes) -> bytes:
        """The plain bytes of a tree of before; none if it cannot be read."""
        ...

    def parsed(self, tree: bytes, content: bytes) -> Mapping[str, Node]:
        """The nodes of that tree by name; none if this is not the content of one."""
        ...

    def holds_all(self, data: Sequence[bytes], trees: Sequence[bytes]) -> bool:
        """Whether all these blobs are there, of which the trees are those of folders that come next."""
        ...

    def held(self, nodes: Mapping[str, Node], files: Mapping[str, Node]) -> Mapping[str, Node]:
        """Those of these files of which all content is there. `nodes` are the folder's, whose trees come next."""
        ...


@dataclass(slots=True)
class OpenFolder:
    """A folder that is being saved: the nodes in it, and what of it is left to do."""

    part: Part
    path: str
    before: Before
    nodes: dict[int, dict[str, str]]
    files: list[tuple[Entry, frozenset[int]]] = field(default_factory=list)  # and which had it before
    unread: list[tuple[Part, Before]] = field(default_factory=list)
    open: list[OpenFolder] = field(default_factory=list)  # folders that were begun
    after: bytes | None = None  # the name after which all is left to do
    same: bool = False  # the tree is that of before, in every repository

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def done(self) -> bool:
        """Whether nothing in it is left to do."""
        return not (self.files or self.unread or self.open) and self.after is None

    @property
    def wanted(self) -> bool:
        return self.part.wanted or any(self.nodes.values())


F = TypeVar("F", bound=Folders)


def unfinished(root: OpenFolder) -> list[tuple[OpenFolder, int]]:
    """A folder and all that were begun in it, each with the place in this list of the one that it is in.

    They are taken apart: nested as deep as folders can be, nobody could send them to another process.
    """
    found = [(root, -1)]
    for place, (folder, _) in enumerate(found):
        found += [(inner, place) for inner in folder.open]
        folder.open = []
    return found


class FolderSaver(Generic[F]):
    """Saves folders into all repositories that are left. A file is read if any of them needs it, and once."""

    def __init__(
        self,
        living: Living[F],
        reader: ContentReader,
        passed: Callable[[Passed], None],
        *,
        owner: Owner,
        now_ns: int,
        largest: int | None = None,
    ) -> None:
        """`owner` and `now_ns` are for what has no owner or time of its own.

        Files that have to be read and are larger than `largest` bytes are left to do.
        """
        self.problems: list[Problem] = []
        self.entries = 0
        self._owner = owner
        self._now_ns = now_ns
        self._living = living
        self._reader = reader
        self._passed = passed
        self._linked: dict[Link, Mapping[int, Content]] = {}
        self._told = (0, reader.read)
        self._path = ""
        self._effort = 0
        self._largest = largest

    @property
    def reads_much(self) -> bool:
        """Whether of the entries so far more than one of a few dozen had to be read."""
        return self._effort > 1.1 * self.entries

    def save(
        self, part: Part, before: Before, *, most: int | None = None, share: Share | None = None
    ) -> OpenFolder:
        """Read a folder, or a share, until there were `most` entries; what is left is said in what returns.

        A folder is closed, so that its tree is stored, once nothing in it is left. The one given stays open.
        """
        end = None if most is None else self.entries + most
        root = self._begun(part, before, end, share)
        levels = [root]
        while True:
            level = levels[-1]
            if level.unread and (end is None or self.entries < end):
                levels.append(self._begun(*level.unread.pop(), end))
                continue
            if len(levels) == 1:
                return root
            levels.pop()
            above = levels[-1]
            if level.done:
                self.close(level, above.nodes)
            else:
                above.open.append(level)

    def close(self, folder: OpenFolder, above: Mapping[int, dict[str, str]]) -> None:
        """Store the tree of a folder in which nothing is left to do, and put its node into those above."""
        if not folder.wanted:
            return
        entry, name = folder.part.entry, folder.name
        for number, receiver in [*self._living.receivers.items()]:
            if folder.same:
                receiver.counts.dirs_unmodified += 1
                id = folder.before[number]
                above[number][name] = node_text(
                    entry, name, owner=self._owner, now_ns=self._now_ns, subtree=id
                )
                continue
            id, content = tree_of(folder.nodes[number])
            before = folder.before.get(number)
            if before is None:
                receiver.counts.dirs_new += 1
            elif before == id:
                receiver.counts.dirs_unmodified += 1
            else:
                receiver.counts.dirs_changed += 1
            try:
                receiver.add(id, content, tree=True)
            except BackupKitError as error:
                self._living.fail(number, error)
                continue
            above[number][name] = node_text(entry, name, owner=self._owner, now_ns=self._now_ns, subtree=id)
        self.entries += 1
        if entry.xattrs:
            self.problems += odd_names(entry)

    def meanwhile(self) -> None:
        """To be called while a large file is read."""
        if self._reader.read - self._told[1] >= _MUCH:
            self.tell(self._path)

    def tell(self, path: str) -> None:
        """Say how much was done since it was last said."""
        entries, read = self._told
        self._told = self.entries, self._reader.read
        self._passed(Passed(path, self.entries - entries, self._reader.read - read))

    def _begun(self, part: Part, before: Before, end: int | None, share: Share | None = None) -> OpenFolder:
        """The folder, with all that is in it but folders, or as much as there may be."""
        path = place_of(part.entry)
        receivers = self._living.receivers
        folder = OpenFolder(part, path, before, {number: {} for number in receivers})
        contents: dict[int, bytes] = {}
        for number, receiver in [*receivers.items()]:
            try:
                contents[number] = receiver.content_of(before[number]) if before.get(number) else b""
            except BackupKitError as error:
                self._living.fail(number, error)
        effort = self._effort
        children = part.read() if share is None else share.of(part)
        if share is None and all(contents.values()):
            first = [*islice(children, _WHOLE)]
            if 0 < len(first) < _WHOLE and self._is_same(folder, first, contents):
                return folder
            children = chain(first, children)
        known: dict[int, Mapping[str, Node]] = {}
        for number, content in contents.items():
            if (known_to := receivers.get(number)) is not None:
                try:
                    known[number] = known_to.parsed(before[number], content) if content else {}
                except BackupKitError as error:
                    self._living.fail(number, error)
        while batch := [*islice(children, _AT_ONCE)]:
            unchanged = self._unchanged(batch, known)
            for one in batch:
                if isinstance(one, Problem):
                    self.problems.append(one)
                elif isinstance(one, Part):
                    name = one.entry.path.rpartition("/")[2]
                    trees = {
                        number: tree_before(nodes[name]) for number, nodes in known.items() if name in nodes
                    }
                    folder.unread.append((one, trees))
                else:
                    self._take(one, folder, known, unchanged)
                    if self.entries - self._told[0] >= _OFTEN or self._reader.read - self._told[1] >= _MUCH:
                        self.tell(one.path)
            many = self._effort - effort >= _MANY
            if many and end is not None and self.entries >= end and share is None:
                last = _last_name(batch, part.entry.path)
                if last is not None and next(children, None) is not None:
                    folder.after = last
                    break
        folder.unread.reverse()  # they are taken from the end
        return folder

    def _is_same(
        self, folder: OpenFolder, children: Sequence[Entry | Problem | Part], contents: Mapping[int, bytes]
    ) -> bool:
        """Whether all in a folder is what it was, in every repository; then it is as good as saved."""
        found: dict[int, Same] = {}
        for number, receiver in [*self._living.receivers.items()]:
            content = contents[number]
            one = same(content, children, owner=self._owner, now_ns=self._now_ns) if content else None
            try:
                if one is None or not receiver.holds_all(one.data, one.trees):
                    return False
            except BackupKitError as error:
                self._living.fail(number, error)
                continue
            found[number] = one
        parts = [one for one in children if isinstance(one, Part)]
        folder.same = not parts
        for place, part in enumerate(parts):
            folder.unread.append((part, {number: one.trees[place] for number, one in found.items()}))
        folder.unread.reverse()  # they are taken from the end
        entries = len(children) - len(parts)
        for number, one in found.items():
            folder.nodes[number].update(one.nodes)
            counts = self._living.receivers[number].counts
            counts.size += one.size
            counts.files_unmodified += one.files
            counts.files_changed += entries - one.files  # as restic counts what is no file
        self.entries += entries
        self._effort += entries
        for child in children:
            if isinstance(child, Entry) and child.xattrs:
                self.problems += odd_names(child)
        if self.entries - self._told[0] >= _OFTEN:
            self.tell(folder.part.entry.path)
        return True

    def _unchanged(
        self, batch: list[Entry | Problem | Part], known: Mapping[int, Mapping[str, Node]]
    ) -> Mapping[int, Mapping[str, Node]]:
        """By repository, the nodes of files that are what they were, and of which all content is held."""
        found = {}
        for number, nodes in known.items():
            if nodes and (receiver := self._living.receivers.get(number)) is not None:
                files = {}
                for one in batch:
                    if isinstance(one, Entry) and one.kind in ("file", "hardlink"):
                        name = one.path.rpartition("/")[2]
                        node = nodes.get(name)
                        if node is not None and is_unchanged(one, node):
                            files[name] = node
                try:
                    found[number] = receiver.held(nodes, files)
                except BackupKitError as error:
                    self._living.fail(number, error)
        return found

    def _take(
        self,
        entry: Entry,
        folder: OpenFolder,
        known: Mapping[int, Mapping[str, Node]],
        unchanged: Mapping[int, Mapping[str, Node]],
    ) -> None:
        name = entry.path.rpartition("/")[2]
        self._effort += 1
        if entry.kind in ("file", "hardlink"):
            contents, missing = self._known_contents(entry, name, unchanged)
            if missing:
                if self._largest is not None and (entry.size or 0) > self._largest:
                    had = frozenset(number for number, nodes in known.items() if name in nodes)
                    folder.files.append((entry, had))
                    return
                self._path = entry.path
                self._effort += 4
                stored = self._reader.stored(entry, missing, self.problems)
                if stored is None:
                    return
                contents = {**contents, **stored} if contents else stored
            if (link := link_of(entry)) is not None:
                self._linked[link] = contents
        else:
            contents = {}
        for number, receiver in self._living.receivers.items():
            content = contents.get(number)
            counts = receiver.counts
            if name not in known[number]:
                counts.files_new += 1
            elif number in unchanged and name in unchanged[number]:
                counts.files_unmodified += 1
            else:
                counts.files_changed += 1
            self._put(entry, name, content, receiver, folder.nodes[number])
        self.entries += 1
        if entry.xattrs:
            self.problems += odd_names(entry)

    def take_file(self, folder: OpenFolder, entry: Entry, had: Container[int]) -> None:
        """Read one that was left to do, and put its node into its folder."""
        self._path = entry.path
        contents = self._reader.stored(entry, [*self._living.receivers], self.problems)
        if contents is None:
            return
        name = entry.path.rpartition("/")[2]
        for number, receiver in self._living.receivers.items():
            if number in had:
                receiver.counts.files_changed += 1
            else:
                receiver.counts.files_new += 1
            self._put(entry, name, contents[number], receiver, folder.nodes[number])
        self.entries += 1
        self.problems += odd_names(entry)

    def _put(
        self, entry: Entry, name: str, content: Content | None, receiver: F, nodes: dict[str, str]
    ) -> None:
        size, ids = (content.size, content.ids) if content is not None else (0, None)
        receiver.counts.size += size
        nodes[name] = node_text(entry, name, owner=self._owner, now_ns=self._now_ns, size=size, content=ids)

    def _known_contents(
        self, entry: Entry, name: str, unchanged: Mapping[int, Mapping[str, Node]]
    ) -> tuple[Mapping[int, Content], Sequence[int]]:
        """What is known without reading, by repository, and the numbers of those for which nothing is."""
        contents: dict[int, Content] = {}
        if (link := link_of(entry)) is not None:
            contents.update(self._linked.get(link, ()))
        for number, nodes in unchanged.items():
            if number not in contents and name in nodes:
                contents[number] = content_of(nodes[name])
        return contents, [number for number in self._living.receivers if number not in contents]


def place_of(entry: Entry) -> str:
    """Where an entry stands in a snapshot: where it is on this machine, or below the root."""
    return entry.origin.path if entry.origin is not None else f"/{entry.path}"


def content_of(node: Node) -> Content:
    """What a node of before says of its file."""
    return Content([bytes.fromhex(id) for id in node.get("content") or ()], int(node.get("size", 0)))


def tree_before(node: Node) -> bytes:
    """The id of the tree of a folder of before; empty if it was none."""
    return bytes.fromhex(node.get("subtree") or "") if node["type"] == "dir" else b""


def _last_name(batch: Sequence[Entry | Problem | Part], folder: str) -> bytes | None:
    """The name of the last of these children of a folder; None if none of them has one."""
    for one in reversed(batch):
        path = one.entry.path if isinstance(one, Part) else one.path
        if path is not None and path != folder:
            return sort_key(path.rpartition("/")[2])
    return None


def link_of(entry: Entry) -> Link | None:
    """What all names of a file have in common, if it has several, until it is changed.

    What was changed after it was read under one name has to be read under the next one: the node will have the new
    times, by which the next run takes its content for unchanged.
    """
    origin = entry.origin
    if origin is None or origin.links < 2:
        return None
    return origin.device, origin.inode, origin.changed_ns, entry.modified_ns, entry.size
