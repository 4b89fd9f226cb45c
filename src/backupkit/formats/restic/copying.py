"""Copying snapshots from one repository into another, blob by blob: the trees stay as they are, with their ids."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

from backupkit.errors import IntegrityError
from backupkit.formats.restic.fetching import Fetching
from backupkit.formats.restic.loading import Trees
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import subtree_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Passed, no_word
from backupkit.protocols import Chunks, Compressor

_BATCH = 8 << 20  # plain bytes that are fetched together …
_BLOBS = 2048  # … or so many blobs
_AHEAD = 4  # batches that are fetched before they are stored
_FETCHERS = 4  # ranges that are fetched at the same time, by threads of their own: they wait for networks
_UNSAVED = 256 << 20  # bytes that are stored, or …
_LATE = 60  # … seconds, after which the snapshots whose contents are stored are stored too

_Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of a snapshot: a `copy`, an `error`, or neither where the other repository has it as `there`.

    `stored` are the bytes that were stored since the one before was told.
    """

    of: Snapshot
    copy: Snapshot | None = None
    error: IntegrityError | None = None
    stored: int = 0
    there: Snapshot | None = None


def copy_snapshots(
    source: OpenedRepository,
    snapshots: Iterable[Snapshot],
    other: OpenedRepository,
    *,
    compressor: Compressor,
    executor: Executor | None,
    each: Callable[[Chunks], Chunks] = iter,
    passed: Callable[[Passed], None] = no_word,
) -> Iterator[Copied]:
    """Store what the other repository lacks, then the snapshots, and tell of each of them.

    Several snapshots may share their packs: they are stored when a few hundred megabytes were, or a minute has
    passed. A snapshot of which something cannot be read is not copied. All that is read passes through `each`, and
    is told to `passed`, which may raise to end it.
    """
    # One that cannot be read must not keep others from being copied.
    there = {_key(one): one for one in other.snapshots(damaged={})}
    other.load_index()
    writer = RepositoryWriter(other, compressor, executor)
    unsaved: list[Snapshot] = []
    stored, begun = 0, time.monotonic()

    def saved() -> Iterator[Copied]:
        nonlocal stored, begun
        writer.flush()
        for snapshot in unsaved:
            fields = _copied_fields(snapshot)
            id = other.save_snapshot(fields)
            copy = Snapshot.parse(fields, id, where=other.objects.where("snapshots", id))
            yield Copied(of=snapshot, copy=copy, stored=writer.added_packed - stored)
            stored = writer.added_packed
        unsaved.clear()
        begun = time.monotonic()

    with ExitStack() as stack:
        stack.callback(writer.close)
        fetchers = None if executor is None else stack.enter_context(ThreadPoolExecutor(_FETCHERS))
        copier = _Copier(source, writer, fetchers, each, passed)
        stack.callback(copier.drop)
        try:
            for snapshot in snapshots:
                if (one := there.get(_key(snapshot))) is not None:
                    yield Copied(of=snapshot, there=one)
                    continue
                try:
                    copier.copy(snapshot)
                except IntegrityError as error:
                    copier.forget()
                    yield Copied(of=snapshot, error=error)
                    continue
                unsaved.append(snapshot)
                if writer.added_packed - stored >= _UNSAVED or time.monotonic() - begun >= _LATE:
                    yield from saved()
            yield from saved()
        except BaseException:
            writer.salvage()
            raise


def copy_snapshot(
    source: OpenedRepository,
    snapshot: Snapshot,
    other: OpenedRepository,
    *,
    compressor: Compressor,
    executor: Executor | None,
    each: Callable[[Chunks], Chunks] = iter,
) -> None:
    """The same of one; IntegrityError if something of it cannot be read."""
    for one in copy_snapshots(source, [snapshot], other, compressor=compressor, executor=executor, each=each):
        if one.error is not None:
            raise one.error


class _Copier:
    """Stores what a writer's repository lacks of one snapshot after the other. Used by one thread."""

    def __init__(
        self,
        source: OpenedRepository,
        writer: RepositoryWriter,
        fetchers: Executor | None,
        each: Callable[[Chunks], Chunks],
        passed: Callable[[Passed], None],
    ) -> None:
        self._source = source
        self._writer = writer
        self._fetchers = fetchers
        self._each = each
        self._passed = passed
        self._trees = Trees(source, fetchers)
        self._done: set[bytes] = set()  # trees of which all is stored, or about to be
        self._new: list[bytes] = []  # those of this snapshot
        self._coming: set[bytes] = set()  # blobs that are fetched, or will be
        self._batch: dict[bytes, int] = {}
        self._size = 0
        self._ahead: deque[tuple[Sequence[bytes], Fetching]] = deque()
        self._path = ""

    def copy(self, snapshot: Snapshot) -> None:
        """Store all of it, but the snapshot; IntegrityError for what cannot be read. To be flushed."""
        self._new = []
        # Also what is in trees that are there: what broke off may have left them without it.
        folders = [*self._unseen([(bytes.fromhex(snapshot.tree), "")])]
        while folders:
            id, self._path = folders.pop()
            content = self._trees.load(id, (one for one, _ in reversed(folders)))
            nodes = parse_tree(content, where=f"tree {id.hex()} at {self._source.location}")
            inner: list[tuple[bytes, str]] = []
            for node in nodes:
                if node["type"] == "dir":
                    path = f"{self._path}/{node['name']}" if self._path else node["name"]
                    inner.append((bytes.fromhex(subtree_of(node, path)), path))
                for blob in node.get("content") or ():
                    self._want(bytes.fromhex(blob))
            folders += reversed([*self._unseen(inner)])
            self._store(id, content, tree=True)
            self._passed(Passed(self._path, len(nodes), 0))
        self._send()
        while self._ahead:
            self._store_batch()

    def forget(self) -> None:
        """Not all of the snapshot that was begun could be read: what it shares with others is looked at again."""
        self.drop()
        self._done.difference_update(self._new)
        self._trees = Trees(self._source, self._fetchers)

    def drop(self) -> None:
        """Nothing of what is on its way is wanted."""
        for _, fetching in self._ahead:
            fetching.drop()
        self._ahead.clear()
        self._coming.clear()
        self._batch, self._size = {}, 0

    def _unseen(self, folders: Iterable[tuple[bytes, str]]) -> Iterator[tuple[bytes, str]]:
        for id, path in folders:
            if id not in self._done:
                self._done.add(id)
                self._new.append(id)
                yield id, path

    def _want(self, id: bytes) -> None:
        if id in self._coming or self._writer.holds(id):
            return
        self._coming.add(id)
        self._batch[id] = 1
        self._size += self._source.size_of(id)
        if self._size >= _BATCH or len(self._batch) >= _BLOBS:
            self._send()

    def _send(self) -> None:
        if self._batch:
            fetching = Fetching(self._source, self._batch, executor=self._fetchers)
            self._ahead.append(([*self._batch], fetching))
            self._batch, self._size = {}, 0
        while len(self._ahead) > (0 if self._fetchers is None else _AHEAD):
            self._store_batch()

    def _store_batch(self) -> None:
        ids, fetching = self._ahead.popleft()
        for id in ids:
            blob = fetching.take(id)
            blob = self._source.load(id) if blob is None else blob
            self._store(id, blob, tree=False)
            self._coming.discard(id)
            self._passed(Passed(self._path, 0, len(blob)))

    def _store(self, id: bytes, blob: bytes, *, tree: bool) -> None:
        passing: Iterable[bytes] = self._each([blob])
        self._writer.add(id, b"".join(passing), tree=tree)


def _key(snapshot: Snapshot) -> _Key:
    """What is the same of a snapshot and its copies: all that restic compares, when it looks for those."""
    fields = snapshot.fields
    return (
        snapshot.time_ns,
        snapshot.tree,
        snapshot.host,
        str(fields.get("username") or ""),
        str(fields.get("uid") or 0),
        str(fields.get("gid") or 0),
        tuple(sorted(snapshot.paths)),
        tuple(sorted(snapshot.tags)),
        repr(fields.get("excludes") or []),
    )


def _copied_fields(snapshot: Snapshot) -> dict[str, Any]:
    """What `restic copy` stores: without the parent, which may not be there, and with the id of the original."""
    fields = {name: value for name, value in snapshot.fields.items() if name != "parent"}
    return fields | {"original": snapshot.original or snapshot.id}
