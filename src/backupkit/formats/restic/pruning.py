"""Pruning: what no snapshot refers to is deleted, what is of use beside it is stored anew (restic: `prune`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from typing import NamedTuple

from backupkit._parallel import map_ordered, usable_processors
from backupkit.errors import BackupKitError, DestinationError, IntegrityError, ObjectNotFoundError
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.fetching import ranges_of
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.index_rewriting import IndexWriter, rewrite_indexes
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packing import PackWriter
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.prune_planning import PrunePlan, plan_prune
from backupkit.formats.restic.used_blobs import UsedBlobs
from backupkit.model import Pruned
from backupkit.protocols import Compressor
from backupkit.prune_limits import PruneLimits

_TOGETHER = 500  # packs whose blobs are in memory one by one; each time costs a pass through the index
_DELETED = 100  # packs that are deleted between two looks whether the lock is still held
_SILENT = 3  # refusals in a row that may pass: then nobody answers any more


class _Piece(NamedTuple):
    """Blobs of one pack that are read with one request."""

    pack: str
    start: int
    end: int
    blobs: Sequence[PackedBlob]


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
        self._between = between
        self._refused: BackupKitError | None = None
        self._freed = 0

    def prune(self, trees: Iterable[str], limits: PruneLimits, *, dry_run: bool) -> Pruned:
        """Keep what these trees refer to, which must be those of all snapshots.

        IntegrityError, and nothing deleted, if that cannot be told in full, because something is damaged or lost.
        What was refused is raised when all else was done.
        """
        repository = self._repository
        repository.forget_index()  # it may be of a time before the lock was held
        repository.load_index()
        used = UsedBlobs(repository, self._executor)
        for tree in trees:
            used.mark(tree, between=self._between)
        self._between()
        sizes = dict(self._objects.list("data"))
        plan = plan_prune(repository.index, used, sizes, limits, location=repository.location)
        if dry_run:
            return Pruned(freed=plan.freed, repacked=plan.repacked, unused=plan.unused)
        self._delete(plan.unknown)
        anew: Mapping[str, int] = {}
        if plan.repack:
            anew = self._store_anew(plan, used)
        old = {**plan.useless, **anew}
        if old or plan.gone:
            self._freed += rewrite_indexes(repository, without={*old, *plan.gone}, between=self._between)
            self._delete(old)
        if self._refused is not None:
            raise self._refused
        return Pruned(freed=self._freed, repacked=plan.repacked, unused=plan.unused)

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
        window = 2 * usable_processors()
        pieces = self._pieces(plan, used)
        try:
            with closing(map_ordered(self._executor, self._read, pieces, window)) as found:  # type: ignore[type-var]  # a generator
                for piece, read in found:
                    self._between()
                    if isinstance(read, BackupKitError):
                        self._refused = self._refused or read
                        damaged.add(piece.pack)
                        continue
                    for blob, sealed in read:
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

    def _pieces(self, plan: PrunePlan, used: UsedBlobs) -> Iterator[_Piece]:
        number = self._repository.index.number

        def wanted(pack: str, blob: PackedBlob) -> bool:
            at = number(blob.id, tree=blob.tree)
            if at is None or not used.has(at, tree=blob.tree):
                return False
            return plan.kept.get((blob.tree, blob.id), (pack, blob.offset)) == (pack, blob.offset)

        packs = [*plan.repack]
        for at in range(0, len(packs), _TOGETHER):
            some = self._repository.index.blobs_by_pack({*packs[at : at + _TOGETHER]})
            for pack, blobs in some.items():
                by_place = {blob.offset: blob for blob in blobs if wanted(pack, blob)}
                for part in ranges_of((blob.id, Location(pack, *blob[2:])) for blob in by_place.values()):
                    wanted_here = [by_place[place.offset] for _, place in part.blobs]
                    yield _Piece(pack, part.start, part.end, wanted_here)

    def _read(self, piece: _Piece) -> tuple[_Piece, Sequence[tuple[PackedBlob, bytes]] | BackupKitError]:
        """Its blobs and their sealed bytes, looked into; called on any thread."""
        where = self._objects.where("data", piece.pack)
        content = memoryview(b"")
        with suppress(IntegrityError, ObjectNotFoundError):
            content = memoryview(self._objects.read_range(piece.pack, piece.start, piece.end - piece.start))
        read: list[tuple[PackedBlob, bytes]] = []
        try:
            for blob in piece.blobs:
                sealed = bytes(content[blob.offset - piece.start :][: blob.length])
                try:
                    unseal_blob(sealed, blob.uncompressed, blob.id, self._repository.sealer, where=where)
                except IntegrityError:
                    read.append(self._second_look(blob))
                else:
                    read.append((blob, sealed))
        except (IntegrityError, ObjectNotFoundError) as error:
            return piece, IntegrityError(
                f"{object_name('data', piece.pack)} is damaged, and stays as it is: {error} Verify the backups, "
                "and repair the repository.",
                where=where,
            )
        return piece, read

    def _second_look(self, blob: PackedBlob) -> tuple[PackedBlob, bytes]:
        """A blob once more, or from another pack: that one may be deleted, because this is the copy that stays."""
        id, tree, *_ = blob
        failure: BackupKitError | None = None
        for place in self._repository.places(id, tree=tree):
            where = self._objects.where("data", place.pack)
            try:
                sealed = self._objects.read_range(place.pack, place.offset, place.length)
                unseal_blob(sealed, place.uncompressed, id, self._repository.sealer, where=where)
            except (IntegrityError, ObjectNotFoundError) as error:
                failure = error
            else:
                return PackedBlob(id, tree, place.offset, place.length, place.uncompressed), sealed
        assert failure is not None  # noqa: S101  # the index has it
        raise failure

    def _delete(self, packs: Mapping[str, int]) -> None:
        """Delete packs that no index has, or none has any more; what is refused is raised in the end."""
        silent = 0
        ids = [*packs]
        for at in range(0, len(ids), _DELETED):
            self._between()
            if self._repository.lease is not None:
                self._repository.lease.check()
            some = ids[at : at + _DELETED]
            for pack, error in zip(
                some, map_ordered(self._executor, self._deleted, some, _DELETED), strict=True
            ):
                if error is None:
                    self._freed += packs[pack]
                    silent = 0
                    continue
                self._refused = self._refused or error
                silent = silent + 1 if error.retryable else 0
                if silent >= _SILENT:
                    raise error

    def _deleted(self, pack: str) -> DestinationError | None:
        """What kept it from being deleted; called on any thread."""
        try:
            self._objects.delete("data", pack)
        except ObjectNotFoundError:
            pass
        except DestinationError as error:
            return error
        return None
