"""Writing snapshots: entries become nodes and trees, in several repositories at once, each by itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from backupkit._chunks import closing_iterator
from backupkit._flattening import flattened
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    HookError,
    IntegrityError,
    OperationCancelledError,
    SourceError,
    told,
)
from backupkit.formats.restic.chunking import Chunker
from backupkit.formats.restic.nodes import node_text
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.parents import Node, Parent, is_unchanged, parent_of
from backupkit.formats.restic.snapshots import Snapshot, Summary, new_fields
from backupkit.formats.restic.times import ns_of, utc_now
from backupkit.formats.restic.tree_building import TreeBuilder, owner_of
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Contents, Entry, Part, Passed, Problem
from backupkit.retrying import Retry, is_retryable

_OFTEN, _MUCH = 200, 8 << 20  # entries, or bytes, after which it is told how far a part is
_PATIENCE = (
    20  # entries that are tried again; where more fail, the disk does, and waiting for each would take days
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run says of the backup that it makes."""

    name: str
    time: datetime
    contents: frozenset[Contents]
    tags: Sequence[str]
    host: str
    program: str


@dataclass(slots=True)
class _Counts:
    """Of files and folders: those that the snapshot before had not, those that are others now, the others."""

    new: int = 0
    changed: int = 0
    unmodified: int = 0


@dataclass(slots=True)
class Content:
    """What a file's node says of its content: the ids of its blobs, and its size."""

    ids: list[bytes] = field(default_factory=list)
    size: int = 0


class Sink:
    """One repository into which a snapshot is being written. What it raises is its own failure."""

    def __init__(self, writer: RepositoryWriter, run: Run, snapshots: Sequence[Snapshot]) -> None:
        self.writer = writer
        self.repository: OpenedRepository = writer.repository
        self.run = run
        self.problems: list[Problem] = []
        self.size = 0
        self._begun = utc_now()
        self._owner = owner_of(os.geteuid(), os.getegid())
        self._files, self._folders = _Counts(), _Counts()
        self._trees = TreeBuilder(self._store_folder)
        self.known = snapshots
        self._snapshots = [
            one for one in snapshots if one.host == run.host and one.time_ns <= ns_of(run.time)
        ]
        self._parents: dict[str, Parent] = {}  # by the id of the snapshot
        self._before: list[Snapshot] = []
        self._parent: Parent | None = None
        self._root = b""

    def begin_root(self, root: str) -> None:
        """What follows stands at or below this path: it is compared with the newest snapshot that has it."""
        before = parent_of(self._snapshots, name=self.run.name, root=root)
        self._parent = None
        if before is not None:
            self._before.append(before)
            if before.id not in self._parents:
                self._parents[before.id] = Parent(self.repository, before.tree, damaged=self._note_damage)
            self._parent = self._parents[before.id]

    def node_before(self, path: str) -> Node | None:
        above, _, name = path.rpartition("/")
        return self._parent.nodes_in(above or "/").get(name) if self._parent else None

    def unchanged_content(self, entry: Entry, path: str) -> Content | None:
        """The content of a file that is what it was, if all of it is in the repository."""
        node = self.node_before(path)
        if node is None or not is_unchanged(entry, node):
            return None
        ids = [bytes.fromhex(id) for id in node.get("content") or ()]
        return Content(ids, entry.size or 0) if all(map(self.writer.holds, ids)) else None

    def put(self, entry: Entry, path: str, content: Content | None, *, unchanged: bool = False) -> None:
        """Note an entry that is no folder; `content` is that of a file."""
        before = self.node_before(path)
        if before is None:
            self._files.new += 1
        elif unchanged:
            self._files.unmodified += 1
        else:
            self._files.changed += 1
        size = content.size if content is not None else 0
        self.size += size
        node = node_text(
            entry,
            path.rpartition("/")[2],
            owner=self._owner,
            now_ns=ns_of(self.run.time),
            size=size,
            content=None if content is None else content.ids,
        )
        self._trees.add(path, node, real=entry.origin is not None)

    def put_folder(self, entry: Entry, path: str) -> None:
        self._trees.open(path, entry)

    def flush(self) -> None:
        """Store all that is open, then what finds it; only the snapshot is missing then."""
        self._root, content = self._trees.finish()
        self.writer.add(self._root, content, tree=True)
        self.writer.flush()

    def known_now(self) -> Sequence[Snapshot]:
        """Those that were there before, and what others have added meanwhile."""
        known = {snapshot.id for snapshot in self.known}
        added = self.repository.snapshots(without=known, damaged={})
        self.known = [*self.known, *added]
        return self.known

    def finish(self, *, paths: Sequence[str], complete: bool) -> Snapshot:
        """Store the snapshot, after all that it refers to was flushed."""
        writer, files, folders = self.writer, self._files, self._folders
        fields = new_fields(
            name=self.run.name,
            time=self.run.time,
            contents=self.run.contents,
            complete=complete,
            tree=self._root.hex(),
            parent=max(self._before, key=lambda one: one.time_ns).id if self._before else None,
            paths=paths,
            host=self.run.host,
            tags=self.run.tags,
            program=self.run.program,
            summary=Summary(
                begun=self._begun,
                ended=utc_now(),
                files_new=files.new,
                files_changed=files.changed,
                files_unmodified=files.unmodified,
                dirs_new=folders.new,
                dirs_changed=folders.changed,
                dirs_unmodified=folders.unmodified,
                data_blobs=writer.data_blobs,
                tree_blobs=writer.tree_blobs,
                added=writer.added,
                added_packed=writer.added_packed,
                size=self.size,
            ),
        )
        repository = self.repository
        id = repository.save_snapshot(fields)
        return Snapshot.parse(fields, id, where=repository.objects.where("snapshots", id))

    def _store_folder(self, path: str, entry: Entry, id: bytes, content: bytes) -> str:
        before = self.node_before(path)
        if before is None:
            self._folders.new += 1
        elif before.get("subtree") == id.hex():
            self._folders.unmodified += 1
        else:
            self._folders.changed += 1
        self.writer.add(id, content, tree=True)
        return node_text(
            entry, path.rpartition("/")[2], owner=self._owner, now_ns=ns_of(self.run.time), subtree=id
        )

    def _note_damage(self, tree: str, error: IntegrityError) -> None:
        # It must not count as held: what is written now would be as unreadable.
        self.writer.distrust(bytes.fromhex(tree), tree=True)
        self.problems.append(
            Problem(
                message=f"Of the snapshot before, a folder cannot be read, and all in it is read anew: {error}",
                severity="warning",
                destination=self.repository.location,
            )
        )


class SnapshotWriter:
    """Writes the entries of a run to several repositories. One that fails is dropped, and told in `failures`.

    A file is read if any of them needs it, and once. `sinks` are those that are left, by their number.
    """

    def __init__(self, sinks: Mapping[int, Sink], retry: Retry) -> None:
        self.sinks = dict(sinks)
        self.failures: dict[int, BackupKitError] = {}
        self.problems: list[Problem] = []
        self.entries = 0
        self.read = 0
        self._retry = retry
        self._given_up = 0
        self._roots: list[str] = []
        self._chunkers: dict[int, Chunker] = {}
        self._linked: dict[tuple[int, int], Mapping[int, Content]] = {}

    @property
    def complete(self) -> bool:
        """Whether nothing was lost so far."""
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def paths(self) -> Sequence[str]:
        """What was backed up, as a snapshot says it."""
        return sorted(set(self._roots))

    def write(self, entries: Iterable[Entry | Problem | Part]) -> None:
        """Take in all of them. An exception of `entries` itself passes through."""
        for entry in entries:
            if isinstance(entry, Part):
                self._take_part(entry)
            else:
                self._take(entry)

    def each(self, call: Callable[[Sink], None]) -> None:
        """Do it with every repository; NobodyLeft if all have failed."""
        for number in [*self.sinks]:
            self._with(number, call)

    def each_numbered(self, call: Callable[[int, Sink], None]) -> None:
        """The same, for what must know which one it is."""
        for number in [*self.sinks]:
            self._with(number, partial(call, number))

    def _with(self, number: int, call: Callable[[Sink], None]) -> None:
        """Do it with one of them, if it has not failed."""
        sink = self.sinks.get(number)
        if sink is None:
            return
        try:
            call(sink)
        except (OperationCancelledError, ConfigurationError):  # what two sources both hold fails everywhere
            raise
        except BackupKitError as error:
            self.failures[number] = error
            del self.sinks[number]
            sink.writer.close()
            if not self.sinks:
                raise NobodyLeft from error

    def _take_part(self, part: Part) -> None:
        entries, read = self.entries, self.read
        for inner in flattened(iter([part])):
            self._take(inner)
            if self.entries - entries >= _OFTEN or self.read - read >= _MUCH:
                path = inner.path or part.entry.path
                part.passed(Passed(path, self.entries - entries, self.read - read))
                entries, read = self.entries, self.read
        part.passed(Passed(part.entry.path, self.entries - entries, self.read - read))

    def _take(self, entry: Entry | Problem) -> None:
        if isinstance(entry, Problem):
            self.problems.append(entry)
            return
        path = place_of(entry)
        self._note_root(entry, path)
        if entry.kind == "directory":
            self.each(lambda sink: sink.put_folder(entry, path))
        elif entry.kind in ("file", "hardlink"):
            if not self._take_file(entry, path):
                return
        else:
            self.each(lambda sink: sink.put(entry, path, None))
        self.problems += _odd_names(entry)
        self.entries += 1

    def _note_root(self, entry: Entry, path: str) -> None:
        if self._roots and _is_at_or_below(path, self._roots[-1]):
            return
        root = path if entry.origin is not None else "/" + path.split("/")[1]
        self._roots.append(root)
        self.each(lambda sink: sink.begin_root(root))

    def _take_file(self, entry: Entry, path: str) -> bool:
        origin = entry.origin
        link = (origin.device, origin.inode) if origin is not None and origin.links > 1 else None
        contents: dict[int, Content] = dict(self._linked.get(link, {})) if link else {}
        unchanged: set[int] = set()

        def recall(number: int, sink: Sink) -> None:
            if (content := sink.unchanged_content(entry, path)) is not None:
                contents[number] = content
                unchanged.add(number)

        for number in [*self.sinks]:
            if number not in contents:
                self._with(number, partial(recall, number))
        if missing := [number for number in self.sinks if number not in contents]:
            read = self._read(entry, missing)
            if read is None:
                return False
            contents |= read
        if link is not None:
            self._linked[link] = contents

        def put(number: int, sink: Sink) -> None:
            sink.put(entry, path, contents[number], unchanged=number in unchanged)

        self.each_numbered(put)
        return True

    def _read(self, entry: Entry, numbers: Sequence[int]) -> Mapping[int, Content] | None:
        """Store the content in these repositories; None if it could not be read, which is a problem."""
        retry = self._retry if self._given_up < _PATIENCE else replace(self._retry, tries=1)
        try:
            for attempt in retry.attempts():
                with attempt:
                    contents = self._read_once(entry, numbers)
        except (OperationCancelledError, HookError, NobodyLeft):
            raise
        except Exception as error:
            self._given_up += is_retryable(error)
            self.problems.append(_lost(entry, error))
            return None
        self.problems += entry.warnings
        return contents

    def _read_once(self, entry: Entry, numbers: Sequence[int]) -> Mapping[int, Content]:
        entry.warnings.clear()
        entry.rows.clear()
        groups: dict[int, list[int]] = {}
        for number in numbers:
            if number in self.sinks:
                groups.setdefault(self.sinks[number].repository.config.polynomial, []).append(number)
        contents = {polynomial: Content() for polynomial in groups}
        for polynomial in groups:
            self._chunkers.setdefault(polynomial, Chunker(polynomial)).begin()

        def store(polynomial: int, blobs: Iterator[bytes]) -> None:
            content = contents[polynomial]
            for blob in blobs:
                id = hashlib.sha256(blob).digest()
                content.ids.append(id)
                content.size += len(blob)
                for number in groups[polynomial]:
                    self._with(number, lambda sink: sink.writer.add(id, blob))  # noqa: B023  # called at once

        with closing_iterator(entry.chunks()) as chunks:
            for chunk in chunks:
                self.read += len(chunk)
                for polynomial in groups:
                    store(polynomial, self._chunkers[polynomial].add(chunk))
        for polynomial in groups:
            store(polynomial, self._chunkers[polynomial].rest())
        return {number: contents[polynomial] for polynomial, own in groups.items() for number in own}


class NobodyLeft(Exception):  # noqa: N818  # what it ends with is raised by who has all errors
    """Every repository has failed."""


def place_of(entry: Entry) -> str:
    """Where an entry stands in a snapshot: where it is on this machine, or below the root."""
    return entry.origin.path if entry.origin is not None else f"/{entry.path}"


def _is_at_or_below(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(f"{root}/")


def _odd_names(entry: Entry) -> Iterator[Problem]:
    """Names of extended attributes are texts in a tree, so that others would come back as something else."""
    for name in entry.xattrs:
        try:
            name.encode()
        except UnicodeEncodeError:
            yield Problem(
                message=f"The extended attribute {name!r} of {entry.path!r} cannot be kept under its name, which "
                "is not UTF-8.",
                severity="warning",
                path=entry.path,
            )


def _lost(entry: Entry, error: Exception) -> Problem:
    if isinstance(error, SourceError):
        return Problem(message=str(error), severity=error.severity, path=entry.path)
    return Problem(message=f"{entry.path} could not be read: {told(error)}", path=entry.path)
