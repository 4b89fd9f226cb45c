"""Sealing blobs, spreading them over packs, and storing those: what any process of a run does by itself."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

from backupkit.errors import OperationCancelledError
from backupkit.formats.restic.blobs import seal_blob
from backupkit.formats.restic.index import FULL
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.packs import FinishedPack, Pack, PackedBlob
from backupkit.formats.restic.sealing import Sealer
from backupkit.protocols import Compressor

PACK_SIZE = 16 << 20  # bytes at which a pack is stored, as restic has it
_OPEN_PACKS = 2  # among which blobs are spread
_INLINE = 64 << 10  # bytes; below, handing a blob to another thread costs more than sealing it
_AHEAD = 24 << 20  # plain bytes that wait for being sealed
_UPLOADS = 2  # packs that are stored at the same time
_STEP = 0.5  # seconds between two looks whether a pack is to be tried again

# Hears of a pack that is stored: its id, what is in it, its size.
Stored = Callable[[str, Sequence[PackedBlob], int], None]


class Packing:
    """Fills packs of one type. Blobs are spread at random over several, as restic has done since 0.18.

    Who can watch sizes would otherwise learn the sizes of neighbouring blobs, and from those of a known file the
    secret parameter by which files are cut (Alexeev, Percival and Zhang, IACR ePrint 2025/532).
    """

    def __init__(self, *, tree: bool) -> None:
        self._tree = tree
        self._open: list[Pack | None] = [None] * _OPEN_PACKS
        self._choices = _choices()

    def add(self, id: bytes, sealed: bytes, uncompressed: int) -> Pack | None:
        """Put a blob into a pack; the pack, if it is full now."""
        if len(sealed) >= PACK_SIZE:
            number, pack = -1, Pack(tree=self._tree)
        else:
            number = next(self._choices)
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


class PackWriter:
    """Stores blobs that are known to be new, and tells `stored` of each pack, in the thread that uses this.

    Large blobs are sealed on the executor's threads, packs are stored by threads of its own: those wait for disks
    and networks, and would keep the processors from sealing.
    """

    def __init__(
        self,
        objects: Objects,
        sealer: Sealer,
        compressor: Compressor,
        executor: Executor | None,
        stored: Stored,
    ) -> None:
        self._closing = threading.Event()
        self._sleep = objects.retry.sleep
        self._objects = Objects(objects.destination, retry=replace(objects.retry, sleep=self._wait))
        self._sealer = sealer
        self._compressor = compressor
        self._executor = executor
        self._stored = stored
        self._packings = (Packing(tree=False), Packing(tree=True))
        self._sealing: deque[tuple[bytes, bool, int, Future[tuple[bytes, int]]]] = deque()
        self._ahead = 0
        self._uploads: ThreadPoolExecutor | None = None
        self._storing: deque[Future[FinishedPack]] = deque()

    def add(self, id: bytes, plain: bytes, *, tree: bool = False) -> None:
        if self._executor is None or len(plain) < _INLINE:
            self._pack(id, tree, seal_blob(plain, self._compressor, self._sealer))
            return
        self._ahead += len(plain)
        future = self._executor.submit(seal_blob, plain, self._compressor, self._sealer)
        self._sealing.append((id, tree, len(plain), future))
        while self._sealing and (self._ahead > _AHEAD or self._sealing[0][-1].done()):
            self._take_sealed()

    def add_sealed(self, blob: PackedBlob, sealed: bytes) -> None:
        """Store one that stands in another pack, as it is there."""
        self._pack(blob.id, blob.tree, (sealed, blob.uncompressed))

    def flush(self) -> None:
        """Have everything stored."""
        while self._sealing:
            self._take_sealed()
        for packing in self._packings:
            for pack in packing.rest():
                self._store(pack)
        while self._storing:
            self._take_stored()

    def close(self) -> None:
        """Wait for what is under way, whatever came of it; what was stored is told all the same.

        Nothing is tried again: a destination may hang, and who waits for this have been interrupted by hand.
        """
        self._closing.set()
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
                self._stored(finished.id, finished.blobs, finished.size)
        self._sealing.clear()
        self._storing.clear()
        if self._uploads is not None:
            self._uploads.shutdown()
            self._uploads = None

    def _wait(self, seconds: float) -> None:
        """Before a pack is tried again."""
        while not self._closing.is_set():
            self._sleep(min(seconds, _STEP))
            if (seconds := seconds - _STEP) <= 0:
                return
        raise OperationCancelledError("Nothing more is stored here.")

    def _take_sealed(self) -> None:
        id, tree, length, future = self._sealing.popleft()
        self._ahead -= length
        self._pack(id, tree, future.result())

    def _pack(self, id: bytes, tree: bool, sealed: tuple[bytes, int]) -> None:
        if (full := self._packings[tree].add(id, *sealed)) is not None:
            self._store(full)

    def _store(self, pack: Pack) -> None:
        while len(self._storing) >= _UPLOADS or (self._storing and self._storing[0].done()):
            self._take_stored()
        if self._uploads is None:
            self._uploads = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="backupkit upload")
        self._storing.append(self._uploads.submit(self._finish_and_store, pack))

    def _finish_and_store(self, pack: Pack) -> FinishedPack:
        finished = pack.finished(self._sealer)
        self._objects.write("data", finished.content, finished.id)
        return FinishedPack(finished.id, (), finished.blobs, finished.size)

    def _take_stored(self) -> None:
        finished = self._storing.popleft().result()
        self._stored(finished.id, finished.blobs, finished.size)


def _choices() -> Iterator[int]:
    """Numbers of open packs, that nobody can foretell."""
    while True:
        for byte in os.urandom(256):
            yield byte % _OPEN_PACKS
