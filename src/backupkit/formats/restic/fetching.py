"""Fetching several blobs at once: those that stand near each other come with one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from backupkit.errors import BackupKitError, IntegrityError
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.index import Location

if TYPE_CHECKING:
    from backupkit.formats.restic.opened import OpenedRepository

_GAP = 256 << 10  # bytes nobody asked for that are read all the same: a request costs more, even of a disk
_RANGE = 8 << 20  # bytes that are read with one request at most, unless a single blob is larger


class Range(NamedTuple):
    """A piece of one pack, and the blobs in it that are wanted."""

    pack: str
    start: int
    end: int
    blobs: Sequence[tuple[bytes, Location]]


def ranges_of(places: Iterable[tuple[bytes, Location]]) -> Sequence[Range]:
    """As few ranges as it takes to read all these blobs, in the order in which their first blobs were given."""
    by_pack: dict[str, list[tuple[bytes, Location]]] = {}
    for blob in places:
        by_pack.setdefault(blob[1].pack, []).append(blob)
    ranges = []
    for pack, blobs in by_pack.items():
        blobs.sort(key=_offset)
        taken: list[tuple[bytes, Location]] = []
        start = end = 0
        for blob in blobs:
            place = blob[1]
            if taken and (place.offset - end > _GAP or place.offset + place.length - start > _RANGE):
                ranges.append(Range(pack, start, end, taken))
                taken = []
            if not taken:
                start = end = place.offset
            taken.append(blob)
            end = max(end, place.offset + place.length)
        ranges.append(Range(pack, start, end, taken))
    return ranges


def fetch(repository: OpenedRepository, part: Range, tree: bool) -> Mapping[bytes, bytes]:
    """The plain bytes of those blobs of a range that are what was written.

    The others are left out, whatever the reason: `OpenedRepository.load` looks for them elsewhere, and says what is
    wrong if they are asked for.
    """
    try:
        sealed = memoryview(
            repository.objects.read_range(part.pack, part.start, part.end - part.start, keep=tree)
        )
    except (BackupKitError, OSError):
        return {}
    where = repository.objects.where("data", part.pack)
    found = {}
    for id, place in part.blobs:
        begin = place.offset - part.start
        with suppress(IntegrityError):
            found[id] = unseal_blob(
                sealed[begin : begin + place.length], place.uncompressed, id, repository.sealer, where=where
            )
    return found


class Fetching:
    """Blobs that are on their way. Who takes one gets it, or None if it has to be loaded by itself.

    `wanted` says how often each of them is going to be taken; then it is forgotten.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        wanted: Mapping[bytes, int],
        *,
        tree: bool = False,
        executor: Executor | None,
    ) -> None:
        self._wanted = dict(wanted)
        self._found: dict[bytes, bytes] = {}
        self._tasks: dict[bytes, Future[Mapping[bytes, bytes]]] = {}
        repository.need_index()
        find = repository.index.find
        places = [(id, place) for id in wanted if (place := find(id, tree=tree)) is not None]
        for part in ranges_of(places):
            if executor is None:
                self._found.update(fetch(repository, part, tree))
            else:
                task = executor.submit(fetch, repository, part, tree)
                self._tasks.update((id, task) for id, _ in part.blobs)

    def take(self, id: bytes) -> bytes | None:
        """Waits for it. To be called by one thread at a time."""
        task = self._tasks.pop(id, None)
        if task is not None:
            found = task.result()
            self._found.update(found)
            for one in found:
                self._tasks.pop(one, None)
        left = self._wanted.get(id, 0) - 1
        self._wanted[id] = left
        return self._found.pop(id, None) if left <= 0 else self._found.get(id)

    def drop(self) -> None:
        """Nothing of it is wanted any more."""
        for task in {*self._tasks.values()}:
            task.cancel()
        self._tasks.clear()
        self._found.clear()


def _offset(blob: tuple[bytes, Location]) -> int:
    return blob[1].offset
