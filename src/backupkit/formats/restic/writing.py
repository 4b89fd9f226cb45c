"""Storing blobs in one repository: what it does not hold yet is sealed, put into packs, and noted in indexes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress

from backupkit.errors import BackupKitError
from backupkit.formats.restic.index import FULL, index_document, pack_text
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packing import PackWriter
from backupkit.formats.restic.packs import PackedBlob
from backupkit.protocols import Compressor

_LATE = 600  # seconds after which packs are indexed, as restic does: what a killed run stored is found by the next


class RepositoryWriter:
    """Takes blobs for one repository. Used by one thread; sealing and storing happen on others.

    Nothing that is stored is referred to before `flush` has returned, so that whatever fails on the way leaves no
    more than packs that nobody needs.
    """

    def __init__(
        self, repository: OpenedRepository, compressor: Compressor, executor: Executor | None
    ) -> None:
        self.repository = repository
        self.compressor = compressor
        self.data_blobs = self.tree_blobs = self.added = self.added_packed = 0
        self._pending: tuple[set[bytes], set[bytes]] = (set(), set())
        self._distrusted: set[tuple[bool, bytes]] = set()
        self._packs = PackWriter(repository.objects, repository.sealer, compressor, executor, self._note)
        self._unindexed: list[tuple[str, Sequence[PackedBlob], str]] = []  # with what an index says of it
        self._unindexed_blobs = 0
        self._indexed = time.monotonic()

    def holds(self, id: bytes, *, tree: bool = False) -> bool:
        """Whether the repository has this blob, or will have it when all is flushed."""
        if id in self._pending[tree]:
            return True
        if self._distrusted and (tree, id) in self._distrusted:
            return False
        return self.repository.index.holds(id, tree=tree)

    def holds_all(self, ids: Iterable[bytes]) -> bool:
        """Whether it has all these blobs of files."""
        if self._distrusted or self._pending[False]:
            return all(map(self.holds, ids))
        return all(map(self.repository.index.holds, ids))

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
        if self.expect(id, tree=tree):
            self._packs.add(id, plain, tree=tree)
            self._write_full_index()

    def note(self, pack: str, blobs: Sequence[PackedBlob], size: int) -> None:
        """A pack was stored by another process: index what is in it."""
        self._note(pack, blobs, size)
        self._write_full_index()

    def flush(self) -> None:
        """Have everything stored and indexed, in this order; only then may a snapshot refer to it."""
        self._packs.flush()
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
        self._packs.close()

    def _note(self, pack: str, blobs: Sequence[PackedBlob], size: int) -> None:
        trees = sum(blob.tree for blob in blobs)
        self.tree_blobs += trees
        self.data_blobs += len(blobs) - trees
        self.added += sum(blob.size for blob in blobs)
        self.added_packed += size
        self._unindexed.append((pack, blobs, pack_text(pack, blobs)))
        self._unindexed_blobs += len(blobs)

    def _write_full_index(self) -> None:
        late = self._unindexed and time.monotonic() - self._indexed > _LATE
        if late or self._unindexed_blobs >= FULL:
            self._write_index()

    def _write_index(self) -> None:
        # Who took the lock may have deleted packs that no index had, and the next run must not count on them.
        self.repository.check_lock()
        document = index_document(text for _, _, text in self._unindexed)
        self.repository.objects.save("index", document, self.repository.sealer)
        for pack, blobs, _ in self._unindexed:
            self.repository.index.add(pack, blobs)
            for blob in blobs:
                self._pending[blob.tree].discard(blob.id)
                self._distrusted.discard((blob.tree, blob.id))
        self._unindexed.clear()
        self._unindexed_blobs = 0
        self._indexed = time.monotonic()
