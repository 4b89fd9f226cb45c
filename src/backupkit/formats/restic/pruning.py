"""Pruning: what no snapshot refers to is deleted, what is of use beside it is stored anew (restic: `prune`)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress

from backupkit._parallel import map_ordered
from backupkit.errors import (
    BackupKitError,
    DestinationError,
    IntegrityError,
    ObjectNotFoundError,
    RepositoryError,
)
from backupkit.formats.restic.index_rewriting import IndexWriter, rewrite_indexes
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packing import PackWriter
from backupkit.formats.restic.packs import EMPTY, Pack, PackedBlob, packed_size
from backupkit.formats.restic.prune_planning import Place, PrunePlan, plan_prune
from backupkit.formats.restic.sealed_blobs import Piece, SealedBlobs, pieces_of
from backupkit.formats.restic.sealing import OVERHEAD
from backupkit.formats.restic.used_blobs import UsedBlobs
from backupkit.model import Pruned
from backupkit.protocols import Compressor
from backupkit.prune_limits import PruneLimits

_DELETED = (
    100  # packs that are deleted between two looks whether the lock is still held, and one was not refused
)
_TRIED = 16  # plain bytes that are stored to see whether they can be deleted
_TRIAL = EMPTY + packed_size(_TRIED + OVERHEAD, compressed=False)  # bytes of the pack with them
_AT_ONCE = 500_000  # blobs whose places are gathered together, which takes 150 MB
_SILENT = 3  # refusals in a row that may pass: then nobody answers any more


class Pruner:
    """Prunes one repository, which its caller holds alone, unless it is only asked what would be freed.

    Everything happens in an order in which whatever ends it leaves a whole repository: first goes what no index
    has; what is to be kept is stored anew and indexed; indexes without the old packs are stored, and the old ones
    deleted; then the old packs go, which no index has any more, so that the next prune deletes what is left.
    """

    def __init__(
        self,
        repository: OpenedRepository,
        compressor: Compressor,
        executor: Executor | None,
        between: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._objects = repository.objects
        self._compressor = compressor
        self._executor = executor
        self._sealed = SealedBlobs(repository, executor)
        self._between = between
        self._snapshots: Collection[str] = ()
        self._refused: BackupKitError | None = None
        self._may_delete = False  # whether the destination has deleted anything
        self._freed = 0

    def prune(self, trees: Mapping[str, str], limits: PruneLimits, *, dry_run: bool) -> Pruned:
        """Keep what these trees refer to, by the ids of the snapshots that have them, which must be all.

        RepositoryError, and nothing more deleted, where another one is listed later: somebody writes in spite of
        the lock, or the destination does not list all that it has.

        IntegrityError, and nothing deleted, if that cannot be told in full, because something is damaged or lost.
        What was refused is raised when all else was done.
        """
        repository = self._repository
        repository.load_index_alone()
        indexes = {*repository.loaded}
        used = UsedBlobs(repository, self._executor)
        for tree in {*trees.values()}:
            used.mark(tree, between=self._between)
        self._between()
        sizes = dict(self._objects.list("data"))
        plan = self._planned(used, sizes, limits, looks=not dry_run)
        if dry_run:
            return Pruned(freed=plan.freed, repacked=plan.repacked, unused=plan.unused)
        self._snapshots = trees.keys()
        if {id for id, _ in self._objects.list("index")} - indexes:
            raise self._disturbed("An index object")
        self._look_for_others()
        self._delete(plan.unknown)
        if (plan.repack or plan.useless or plan.gone) and not self._may_delete:
            self._try_to_delete(plan)
        anew: Mapping[str, int] = {}
        if plan.repack:
            try:
                anew = self._store_anew(plan, used)
            except DestinationError as error:  # such as a full disk, which gains room by what goes next
                self._refused = self._refused or error
        old = {**plan.useless, **anew}
        if old or plan.gone:
            self._freed += rewrite_indexes(
                repository,
                without={*old, *plan.gone},
                between=self._between,
                check=self._look_for_others,
            )
            self._delete(old)
        if self._refused is not None:
            raise self._refused
        return Pruned(freed=self._freed, repacked=plan.repacked, unused=plan.unused)

    def _try_to_delete(self, plan: PrunePlan) -> None:
        """Store a pack of a few bytes, and delete it again.

        Where nothing may be deleted, pruning would store much anew each time, beside all that it is to replace.
        What this leaves there is not stored again.
        """
        if self._refused is not None and _TRIAL in plan.unknown.values():
            raise self._refused
        pack = Pack(tree=False)
        plain = os.urandom(_TRIED)
        pack.add(hashlib.sha256(plain).digest(), self._repository.sealer.seal(plain), 0)
        finished = pack.finished(self._repository.sealer)
        self._objects.write("data", finished.content, finished.id)
        with suppress(ObjectNotFoundError):
            self._objects.delete("data", finished.id)

    def _look_for_others(self) -> None:
        if {id for id, _ in self._objects.list("snapshots")} - {*self._snapshots}:
            raise self._disturbed("A snapshot")

    def _disturbed(self, what: str) -> RepositoryError:
        return RepositoryError(
            f"{what} is at {self._repository.location} now that was not listed there when pruning began: somebody "
            "writes in spite of the lock, or not all is listed that is there. Nothing more is deleted: prune again."
        )

    def _planned(
        self, used: UsedBlobs, sizes: Mapping[str, int], limits: PruneLimits, *, looks: bool
    ) -> PrunePlan:
        """What is to be done; if it `looks`, no copy of a blob goes for another one that is damaged.

        Of those that cannot be read, or only beyond the limit of what may be, all copies stay.
        """
        repository = self._repository
        spoilt: set[Place] = set()
        unread: set[tuple[bool, bytes]] = set()
        left = limits.repack
        seen: set[Place] = set()
        while True:
            plan = plan_prune(
                repository.index,
                used,
                sizes,
                limits,
                spoilt=spoilt,
                unread=unread,
                location=repository.location,
            )
            if not looks:
                return plan
            before = len(spoilt), len(unread)
            unseen: list[tuple[str, PackedBlob]] = []
            for pack, blob in plan.relied_on:
                if _place(pack, blob) in seen:
                    continue
                seen.add(_place(pack, blob))
                left -= blob.length
                if left < 0:
                    unread.add((blob.tree, blob.id))
                else:
                    unseen.append((pack, blob))
            with closing(self._sealed.read_if_possible(pieces_of(unseen))) as found:  # type: ignore[type-var]  # a generator
                for piece, read in found:
                    self._between()
                    if isinstance(read, DestinationError):
                        self._refused = self._refused or read
                        unread.update((blob.tree, blob.id) for blob in piece.blobs)
                        continue
                    spoilt.update(
                        _place(piece.pack, blob)
                        for blob, sealed in zip(piece.blobs, read, strict=True)
                        if isinstance(sealed, IntegrityError)
                    )
            if (len(spoilt), len(unread)) == before:
                return plan

    def _store_anew(self, plan: PrunePlan, used: UsedBlobs) -> Mapping[str, int]:
        """Copy what is used of packs into new ones, and index those; the old ones that can go now, and their sizes.

        Each blob is unsealed and hashed before it counts as copied. A pack in which one is damaged stays as it is.
        """
        repository = self._repository
        index = IndexWriter(repository)
        sizes: list[int] = []

        def stored(pack: str, blobs: Sequence[PackedBlob], size: int) -> None:
            sizes.append(size)
            index.add(pack, blobs)

        writer = PackWriter(self._objects, repository.sealer, self._compressor, self._executor, stored)
        damaged: set[str] = set()
        try:
            with closing(self._sealed.read(self._pieces(plan, used))) as found:  # type: ignore[type-var]  # a generator
                for piece, read in found:
                    self._between()
                    right = [one for one in read if not isinstance(one, IntegrityError)]
                    if len(right) < len(read):
                        self._refused = self._refused or next(
                            one for one in read if isinstance(one, IntegrityError)
                        )
                        damaged.add(piece.pack)
                        continue
                    for blob, sealed in zip(piece.blobs, right, strict=True):
                        writer.add_sealed(blob, sealed)
            writer.flush()
        except BaseException:
            writer.close()
            with suppress(BackupKitError):  # the next prune finds it done
                index.flush()
            raise
        writer.close()
        index.flush()
        self._freed -= sum(sizes) + sum(index.written.values())
        return {pack: size for pack, size in plan.repack.items() if pack not in damaged}

    def _pieces(self, plan: PrunePlan, used: UsedBlobs) -> Iterator[Piece]:
        number = self._repository.index.number

        def wanted(pack: str, blob: PackedBlob) -> bool:
            at = number(blob.id, tree=blob.tree)
            if at is None or not used.has(at, tree=blob.tree):
                return False
            return plan.kept.get((blob.tree, blob.id), (pack, blob.offset)) == (pack, blob.offset)

        index = self._repository.index
        for packs in index.portions(plan.repack, _AT_ONCE):
            for pack, blobs in index.blobs_by_pack(packs).items():
                yield from pieces_of((pack, blob) for blob in blobs if wanted(pack, blob))

    def _delete(self, packs: Mapping[str, int]) -> None:
        """Delete packs that no index has, or none has any more; what is refused is raised in the end."""
        silent = 0
        ids = [*packs]
        for at in range(0, len(ids), _DELETED):
            self._between()
            self._repository.check_lock()
            self._look_for_others()
            some = ids[at : at + _DELETED]
            first: DestinationError | None = None
            refused = 0
            for pack, error in zip(
                some, map_ordered(self._executor, self._deleted, some, _DELETED), strict=True
            ):
                if error is None:
                    self._freed += packs[pack]
                    self._may_delete = True
                    silent = 0
                    continue
                first = first or error
                refused += 1
                self._refused = self._refused or error
                silent = silent + 1 if error.retryable else 0
                if silent >= _SILENT:
                    raise error
            if first is not None and refused == _DELETED:
                raise first

    def _deleted(self, pack: str) -> DestinationError | None:
        """What kept it from being deleted; called on any thread."""
        try:
            self._objects.delete("data", pack)
        except ObjectNotFoundError:
            pass
        except DestinationError as error:
            return error
        return None


def _place(pack: str, blob: PackedBlob) -> Place:
    return blob.tree, blob.id, pack, blob.offset
