"""Writing snapshots: entries become nodes and trees, in several repositories at once, each by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from backupkit.errors import BackupKitError, IntegrityError
from backupkit.formats.restic.exchange import WorkerDiedError
from backupkit.formats.restic.folders import Counts, Link, content_of, link_of, place_of, tree_before
from backupkit.formats.restic.nodes import node_text
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.parents import Node, Parent, is_unchanged, parent_of
from backupkit.formats.restic.snapshots import Snapshot, Summary, new_fields
from backupkit.formats.restic.spreading import Spreading
from backupkit.formats.restic.storing import Content, ContentReader, Living, odd_names
from backupkit.formats.restic.times import ns_of, utc_now
from backupkit.formats.restic.tree_building import TreeBuilder, owner_of
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Contents, Entry, Part, Passed, Problem
from backupkit.retrying import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run says of the backup that it makes."""

    name: str
    time: datetime
    contents: frozenset[Contents]
    tags: Sequence[str]
    host: str
    program: str
    workers: int | None = None  # processes that read folders; None: one for each usable processor


class Sink:
    """One repository into which a snapshot is being written. What it raises is its own failure."""

    def __init__(self, writer: RepositoryWriter, run: Run, snapshots: Sequence[Snapshot]) -> None:
        self.writer = writer
        self.repository: OpenedRepository = writer.repository
        self.run = run
        self.problems: list[Problem] = []
        self.counts = Counts()
        self._owner = owner_of(os.geteuid(), os.getegid())
        self._begun = utc_now()
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

    @property
    def polynomial(self) -> int:
        return self.repository.config.polynomial

    def add(self, id: bytes, plain: bytes, *, tree: bool = False) -> None:
        self.writer.add(id, plain, tree=tree)

    def close(self) -> None:
        self.writer.close()

    def content_of(self, tree: bytes) -> bytes:
        return self._parent.content_of(tree.hex()) if self._parent is not None else b""

    def parsed(self, tree: bytes, content: bytes) -> Mapping[str, Node]:
        return self._parent.parsed(tree.hex(), content) if self._parent is not None else {}

    def tree_content(self, tree: bytes) -> bytes | None:
        """The plain bytes of a tree of before, if it can be read."""
        content = self.content_of(tree)
        return content if content and self.parsed(tree, content) else None

    def holds_all(self, data: Sequence[bytes], trees: Sequence[bytes]) -> bool:
        return self.writer.holds_all(data)

    def held(self, nodes: Mapping[str, Node], files: Mapping[str, Node]) -> Mapping[str, Node]:
        return {name: node for name, node in files.items() if self._holds_content(node)}

    def unchanged_content(self, entry: Entry, path: str) -> Content | None:
        """The content of a file that is what it was, if all of it is in the repository."""
        node = self.node_before(path)
        if node is None or not is_unchanged(entry, node):
            return None
        return content_of(node) if self._holds_content(node) else None

    def _holds_content(self, node: Node) -> bool:
        return all(self.writer.holds(bytes.fromhex(id)) for id in node.get("content") or ())

    def put(self, entry: Entry, path: str, content: Content | None, *, unchanged: bool = False) -> None:
        """Note an entry that is no folder; `content` is that of a file."""
        before = self.node_before(path)
        if before is None:
            self.counts.files_new += 1
        elif unchanged:
            self.counts.files_unmodified += 1
        else:
            self.counts.files_changed += 1
        size = content.size if content is not None else 0
        self.counts.size += size
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

    def put_part(self, entry: Entry, path: str, nodes: Mapping[str, str]) -> None:
        """A folder with all that is in it; `nodes` by their names."""
        self._trees.open(path, entry)
        above = "/" if path == "/" else f"{path}/"
        for name, node in nodes.items():
            self._trees.add(above + name, node, real=entry.origin is not None)

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
        writer, counts = self.writer, self.counts
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
                files_new=counts.files_new,
                files_changed=counts.files_changed,
                files_unmodified=counts.files_unmodified,
                dirs_new=counts.dirs_new,
                dirs_changed=counts.dirs_changed,
                dirs_unmodified=counts.dirs_unmodified,
                data_blobs=writer.data_blobs,
                tree_blobs=writer.tree_blobs,
                added=writer.added,
                added_packed=writer.added_packed,
                size=counts.size,
            ),
        )
        repository = self.repository
        id = repository.save_snapshot(fields)
        return Snapshot.parse(fields, id, where=repository.objects.where("snapshots", id))

    def _store_folder(self, path: str, entry: Entry, id: bytes, content: bytes) -> str:
        before = self.node_before(path)
        if before is None:
            self.counts.dirs_new += 1
        elif before.get("subtree") == id.hex():
            self.counts.dirs_unmodified += 1
        else:
            self.counts.dirs_changed += 1
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
        self.problems: list[Problem] = []
        self._entries = 0
        self._living = Living(sinks)
        self._reader = ContentReader(self._living, retry)
        run = next(iter(sinks.values())).run
        self._spreading = Spreading(
            self._living,
            self._reader,
            retry,
            owner=owner_of(os.geteuid(), os.getegid()),
            now_ns=ns_of(run.time),
            count=run.workers,
        )
        self._spreading.problems = self.problems
        self._roots: list[str] = []
        self._linked: dict[Link, Mapping[int, Content]] = {}

    @property
    def sinks(self) -> Mapping[int, Sink]:
        return self._living.receivers

    @property
    def failures(self) -> Mapping[int, BackupKitError]:
        return self._living.failures

    @property
    def read(self) -> int:
        """Bytes of content."""
        return self._reader.read + self._spreading.read

    @property
    def entries(self) -> int:
        """How many were taken in."""
        return self._entries + self._spreading.entries

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
        try:
            for one in entries:
                if isinstance(one, Problem):
                    self.problems.append(one)
                elif isinstance(one, Part):
                    self._take_part(one)
                else:
                    self._take(one)
            self._spreading.finish()
        except WorkerDiedError as error:
            raise BackupKitError(str(error)) from error
        finally:
            self._spreading.close()

    def each(self, call: Callable[[Sink], None]) -> None:
        """Do it with every repository; NobodyLeft if all have failed."""
        self._living.each(lambda _, sink: call(sink))

    def each_numbered(self, call: Callable[[int, Sink], None]) -> None:
        """The same, for what must know which one it is."""
        self._living.each(call)

    def _take_part(self, part: Part) -> None:
        path = place_of(part.entry)
        self._note_root(part.entry, path)
        if any(root != path and _is_at_or_below(root, path) for root in self._roots):
            self._take_around(part)
            return
        before: dict[int, bytes] = {}

        def look(number: int, sink: Sink) -> None:
            if (node := sink.node_before(path)) is not None:
                before[number] = tree_before(node)

        self._living.each(look)
        folder = self._spreading.save(part, before)
        if part.wanted or any(folder.values()):
            self._living.each(lambda number, sink: sink.put_part(part.entry, path, folder[number]))
            self._entries += 1
            part.passed(Passed(part.entry.path, 1, 0))

    def _take_around(self, part: Part) -> None:
        """A folder in which the folder of a source before lies: not as a whole, so that it goes around that one."""

        def take(entry: Entry) -> None:
            entries, read = self._entries, self._reader.read
            self._take(entry)
            part.passed(Passed(entry.path, self._entries - entries, self._reader.read - read))

        if part.wanted:
            take(part.entry)
        for one in part.read():
            if isinstance(one, Problem):
                self.problems.append(one)
            elif isinstance(one, Part):
                self._take_part(replace(one, passed=part.passed))
            else:
                take(one)

    def _take(self, entry: Entry) -> None:
        path = place_of(entry)
        self._note_root(entry, path)
        if entry.kind == "directory":
            self._living.each(lambda _, sink: sink.put_folder(entry, path))
        elif entry.kind in ("file", "hardlink"):
            if not self._take_file(entry, path):
                return
        else:
            self._living.each(lambda _, sink: sink.put(entry, path, None))
        self.problems += odd_names(entry)
        self._entries += 1

    def _note_root(self, entry: Entry, path: str) -> None:
        if self._roots and _is_at_or_below(path, self._roots[-1]):
            return
        root = path if entry.origin is not None else "/" + path.split("/")[1]
        self._roots.append(root)
        self._living.each(lambda _, sink: sink.begin_root(root))

    def _take_file(self, entry: Entry, path: str) -> bool:
        link = link_of(entry)
        contents: dict[int, Content] = dict(self._linked.get(link, {})) if link else {}
        unchanged: set[int] = set()

        def recall(number: int, sink: Sink) -> None:
            if number not in contents and (content := sink.unchanged_content(entry, path)) is not None:
                contents[number] = content
                unchanged.add(number)

        self._living.each(recall)
        if missing := [number for number in self.sinks if number not in contents]:
            stored = self._reader.stored(entry, missing, self.problems)
            if stored is None:
                return False
            contents |= stored
        if link is not None:
            self._linked[link] = contents
        self._living.each(
            lambda number, sink: sink.put(entry, path, contents[number], unchanged=number in unchanged)
        )
        return True


def _is_at_or_below(path: str, root: str) -> bool:
    return path == root or root == "/" or path.startswith(f"{root}/")
