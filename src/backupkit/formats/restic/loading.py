"""Contents of files and folders, fetched before they are asked for by whoever reads in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from backupkit.formats.restic.fetching import Fetching

if TYPE_CHECKING:
    from backupkit.formats.restic.opened import OpenedRepository

BATCH = 4 << 20  # plain bytes that are fetched together …
BLOBS = 512  # … or so many blobs
BATCHES_AHEAD = 4  # that are fetched before they are asked for
_KEPT = 10  # batches of which something may wait for being asked for
_NEAR = 8  # files that may be passed over, and it still counts as reading in order
_ROW = (
    4  # files that are read in order before others are fetched with them; as many more for each batch ahead
)
_TREES = 256  # folders that are fetched together
_TREE_BYTES = 16 << 20  # plain bytes of folders that wait for their turn


class Batch:
    """Blobs that follow each other in a snapshot, and are fetched together if they are read in order."""

    __slots__ = ("blobs", "fetching", "following", "size", "wanted")

    def __init__(self) -> None:
        self.wanted: dict[bytes, int] = {}
        self.blobs = self.size = 0
        self.fetching: Fetching | None = None
        self.following: Batch | None = None

    @property
    def closed(self) -> bool:
        return self.size >= BATCH or self.blobs >= BLOBS or self.fetching is not None

    def add(self, id: bytes, size: int) -> None:
        self.wanted[id] = self.wanted.get(id, 0) + 1
        self.blobs += 1
        self.size += size


class Loader:
    """Fetches the blobs of one pass through a snapshot; safe to use on several threads.

    Who pulls contents in the order of the snapshot gets them from batches that are fetched and unsealed on the
    executor's threads, ahead. Who pulls a few here and there has fetched for him what he pulls, and nothing else.
    """

    def __init__(self, repository: OpenedRepository, executor: Executor | None) -> None:
        self._repository = repository
        self._executor = executor
        self._last = -_NEAR  # the number of the file that was read last
        self._row = 0  # files that were read in order
        self._current: Batch | None = None
        self._kept: deque[Batch] = deque()
        self._lock = threading.Lock()

    def is_in_order(self, number: int) -> bool:
        """Whether the file of this number is the next one, or almost, and so were some before it."""
        with self._lock:
            near = abs(number - self._last) <= _NEAR
            self._last = number
            self._row = self._row + 1 if near else 0
            return self._row >= _ROW

    def together(self, blobs: Iterable[tuple[bytes, Batch]]) -> Iterator[bytes]:
        """Blobs that are in these batches, which are fetched as a whole, and so are those that follow them."""
        for id, batch in blobs:
            with self._lock:
                if batch is not self._current:
                    self._current = batch
                    self._prepare(batch)
                fetching = batch.fetching
                blob = None if fetching is None else fetching.take(id)
            yield self._repository.load(id) if blob is None else blob

    def alone(self, ids: Sequence[bytes], size: int) -> Iterator[bytes]:
        """The blobs of one file of this size."""
        if len(ids) == 1:
            yield self._repository.load(ids[0])
            return
        count = max(1, min(BLOBS, BATCH * len(ids) // max(size, 1)))
        ahead: deque[tuple[Sequence[bytes], Fetching]] = deque()
        try:
            for at in range(0, len(ids), count):
                ahead.append(self._begun(ids[at : at + count]))
                if self._executor is None or len(ahead) >= BATCHES_AHEAD:
                    yield from self._each(*ahead[0])
                    ahead.popleft()
            while ahead:
                yield from self._each(*ahead[0])
                ahead.popleft()
        finally:
            for _, fetching in ahead:
                fetching.drop()

    def _begun(self, ids: Sequence[bytes]) -> tuple[Sequence[bytes], Fetching]:
        wanted: dict[bytes, int] = {}
        for id in ids:
            wanted[id] = wanted.get(id, 0) + 1
        return ids, Fetching(self._repository, wanted, executor=self._executor)

    def _each(self, ids: Sequence[bytes], fetching: Fetching) -> Iterator[bytes]:
        for id in ids:
            blob = fetching.take(id)
            yield self._repository.load(id) if blob is None else blob

    def _prepare(self, batch: Batch) -> None:
        following: Batch | None = batch
        ahead = 0 if self._executor is None else min(BATCHES_AHEAD, self._row // _ROW)
        for _ in range(1 + ahead):
            if following is None:
                break
            if following.fetching is None:
                following.fetching = Fetching(self._repository, following.wanted, executor=self._executor)
                self._kept.append(following)
            following = following.following
        while len(self._kept) > _KEPT:  # what was passed over must not fill the memory
            passed = self._kept.popleft().fetching
            if passed is not None:
                passed.drop()


class Trees:
    """Fetches the trees of one pass, in its order; used by one thread at a time."""

    def __init__(self, repository: OpenedRepository, executor: Executor | None) -> None:
        self._repository = repository
        self._executor = executor
        self._coming: dict[bytes, tuple[Fetching, int]] = {}
        self._size = 0

    def load(self, id: bytes, following: Iterable[bytes]) -> bytes:
        """The plain bytes of a tree; `following` are those that will be asked for soon."""
        if id not in self._coming:
            self._fetch(id, following)
        fetching, size = self._coming.pop(id, (None, 0))
        self._size -= size
        content = None if fetching is None else fetching.take(id)
        return self._repository.load(id, tree=True) if content is None else content

    def _fetch(self, id: bytes, following: Iterable[bytes]) -> None:
        self._repository.need_index()
        # Half of the room that is left: whoever goes down a level needs some there too.
        room = (_TREE_BYTES - self._size) // 2
        sizes: dict[bytes, int] = {}
        for one in (id, *following):
            if one in self._coming or one in sizes:
                continue
            place = self._repository.index.find(one, tree=True)
            if place is None:
                continue
            size = place.size
            room -= size
            if sizes and (room < 0 or len(sizes) >= _TREES):
                break
            sizes[one] = size
        if len(sizes) < 2:
            return  # by itself, and from wherever it is
        fetching = Fetching(self._repository, dict.fromkeys(sizes, 1), tree=True, executor=self._executor)
        self._coming.update((one, (fetching, size)) for one, size in sizes.items())
        self._size += sum(sizes.values())
