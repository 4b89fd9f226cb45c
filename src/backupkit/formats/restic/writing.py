"""Storing blobs in one repository: what it does not hold yet is sealed, put into packs, and noted in indexes."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar

from backupkit.errors import BackupKitError
from backupkit.formats.restic.blobs import seal_blob
from backupkit.formats.restic.index import FULL, index_fields
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import FinishedPack, Pack, PackedBlob
from backupkit.protocols import Compressor

T = TypeVar("T")

PACK_SIZE = 16 << 20  # bytes at which a pack is stored, as restic has it
_OPEN_PACKS = 2  # among which blobs are spread
_INLINE = 16 << 10  # bytes; below, handing a blob to another thread costs as much as sealing it
_AHEAD = 24 << 20  # plain bytes that wait for being sealed
_UPLOADS = 2  # packs that are stored at the same time, and as many that wait for it


class Packing:
    """Fills packs of one type. Blobs are spread at random over several, as restic has done since 0.18.

    Who can watch sizes would otherwise learn the sizes of neighbouring blobs, and from those of a known file the
    secret parameter by which files are cut (Alexeev, Percival and Zhang, IACR ePrint 2025/532).
    """

    def __init__(self, *, tree: bool) -> None:
        self._tree = tree
        self._open: list[Pack | None] = [None] * _OPEN_PACKS

    def add(self, id: bytes, sealed: bytes, uncompressed: int) -> Pack | None:
        """Put a blob into a pack; the pack, if it is full now."""
        if len(sealed) >= PACK_SIZE:
            number, pack = -1, Pack(tree=self._tree)
        else:
            number = secrets.randbelow(_OPEN_PACKS)
            pack = self._open[number] or Pack(tree=self._tree)
        pack.add(id, sealed, uncompressed)
        full = pack.size >= PACK_SIZE or pack.full
        if number >= 0:
            self._open[number] = None if full else pack
        return pack if full else None

    def rest(self) -> Sequence[Pack]:
        """What is left in the end, in as few packs as it fits into, so that two do not give away two blobs."""
        left: list[Pack] = []
        for pack in filter(None, self._open):
            if (
                left
                and left[-1].size + pack.size < PACK_SIZE
                and len(left[-1].blobs) + len(pack.blobs) < FULL
            ):
                left[-1].take(pack)
            else:
                left.append(pack)
        self._open = [None] * _OPEN_PACKS
        return left


class RepositoryWriter:
    """Takes blobs for one repository. Used by one thread; sealing and storing happen on the executor's.

    Nothing that is stored is referred to before `flush` has returned, so that whatever fails on the way leaves no
    more than packs that nobody needs.
    """

    def __init__(
        self, repository: OpenedRepository, compressor: Compressor, executor: Executor | None
    ) -> None:
        self.repository = repository
        self.data_blobs = self.tree_blobs = self.added = self.added_packed = 0
        self._compressor = compressor
        self._executor = executor
        self._pending: tuple[set[bytes], set[bytes]] = (set(), set())
        self._distrusted: set[tuple[bool, bytes]] = set()
        self._packings = (Packing(tree=False), Packing(tree=True))
        self._sealing: deque[tuple[bytes, bool, int, Future[tuple[bytes, int]]]] = deque()
        self._ahead = 0
        self._storing: deque[Future[FinishedPack]] = deque()
        self._unindexed: list[tuple[str, Sequence[PackedBlob]]] = []

    def holds(self, id: bytes, *, tree: bool = False) -> bool:
        """Whether the repository has this blob, or will have it when all is flushed."""
        if id in self._pending[tree]:
            return True
        if self._distrusted and (tree, id) in self._distrusted:
            return False
        return self.repository.index.holds(id, tree=tree)

    def expect(self, id: bytes, *, tree: bool = False) -> bool:
        """Whether the blob is new; it then counts as held, because whoever asked will store it."""
        if self.holds(id, tree=tree):
            return False
        self._pending[tree].add(id)
        return True

    def distrust(self, id: bytes, *, tree: bool = False) -> None:
        """What the repository has of this blob is damaged: it counts as new, once."""
        if id not in self._pending[tree]:
            self._distrusted.add((tree, id))

    def add(self, id: bytes, plain: bytes, *, tree: bool = False) -> None:
        """Store a blob if it is new."""
        if not self.expect(id, tree=tree):
            return
        if self._executor is None or len(plain) < _INLINE:
            self._pack(id, tree, len(plain), self._seal(plain))
            return
        self._ahead += len(plain)
        self._sealing.append((id, tree, len(plain), self._executor.submit(self._seal, plain)))
        while self._sealing and (self._ahead > _AHEAD or self._sealing[0][-1].done()):
            self._take_sealed()

    def note(self, pack: str, blobs: Sequence[PackedBlob], *, plain: int, size: int) -> None:
        """A pack was stored by another process: index what is in it."""
        self._count(blobs, plain)
        self.added_packed += size
        self._unindexed.append((pack, blobs))
        self._write_full_index()

    def flush(self) -> None:
        """Have everything stored and indexed, in this order; only then may a snapshot refer to it."""
        while self._sealing:
            self._take_sealed()
        for packing in self._packings:
            for pack in packing.rest():
                self._store(pack)
        while self._storing:
            self._take_stored()
        if self._unindexed:
            self._write_index()

    def salvage(self) -> None:
        """Index what is stored already, if that can be done now, so that the next run need not store it again."""
        self.close()
        if self._unindexed:
            with suppress(BackupKitError):
                self._write_index()

    def close(self) -> None:
        """Wait for what is under way, whatever came of it."""
        for _, _, _, sealing in self._sealing:
            sealing.cancel()
        for storing in self._storing:
            storing.cancel()
        for _, _, _, sealing in self._sealing:
            if not sealing.cancelled():
                sealing.exception()
        for storing in self._storing:
            if not storing.cancelled() and storing.exception() is None:
                finished = storing.result()
                self._unindexed.append((finished.id, finished.blobs))
        self._sealing.clear()
        self._storing.clear()

    def _seal(self, plain: bytes) -> tuple[bytes, int]:
        return seal_blob(plain, self._compressor, self.repository.sealer)

    def _take_sealed(self) -> None:
        id, tree, length, future = self._sealing.popleft()
        self._ahead -= length
        self._pack(id, tree, length, future.result())

    def _pack(self, id: bytes, tree: bool, length: int, sealed: tuple[bytes, int]) -> None:
        self.added += length
        if tree:
            self.tree_blobs += 1
        else:
            self.data_blobs += 1
        if (full := self._packings[tree].add(id, *sealed)) is not None:
            self._store(full)

    def _store(self, pack: Pack) -> None:
        while len(self._storing) >= 2 * _UPLOADS or (self._storing and self._storing[0].done()):
            self._take_stored()
        self._storing.append(_submitted(self._executor, self._finish_and_store, pack))

    def _finish_and_store(self, pack: Pack) -> FinishedPack:
        finished = pack.finished(self.repository.sealer)
        self.repository.objects.write("data", finished.content, finished.id)
        return FinishedPack(finished.id, (), finished.blobs, finished.size)

    def _take_stored(self) -> None:
        finished = self._storing.popleft().result()
        self.added_packed += finished.size
        self._unindexed.append((finished.id, finished.blobs))
        self._write_full_index()

    def _count(self, blobs: Sequence[PackedBlob], plain: int) -> None:
        self.added += plain
        trees = sum(blob.tree for blob in blobs)
        self.tree_blobs += trees
        self.data_blobs += len(blobs) - trees

    def _write_full_index(self) -> None:
        if sum(len(blobs) for _, blobs in self._unindexed) >= FULL:
            self._write_index()

    def _write_index(self) -> None:
        fields = index_fields(self._unindexed)
        self.repository.objects.save("index", fields, self.repository.sealer)
        for pack, blobs in self._unindexed:
            self.repository.index.add(pack, blobs)
            for blob in blobs:
                self._pending[blob.tree].discard(blob.id)
                self._distrusted.discard((blob.tree, blob.id))
        self._unindexed.clear()


def _submitted(executor: Executor | None, call: Callable[..., T], *arguments: Any) -> Future[T]:
    if executor is not None:
        return executor.submit(call, *arguments)
    done: Future[T] = Future()
    done.set_result(call(*arguments))
    return done
