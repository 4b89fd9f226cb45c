"""Packs that are damaged: which of their blobs are still what was written, and storing those anew."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field

from backupkit._parallel import map_ordered, usable_processors
from backupkit.errors import IntegrityError, ObjectNotFoundError
from backupkit.events import Expected
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.checking import further_processes
from backupkit.formats.restic.index import BlobIndex, Location
from backupkit.formats.restic.index_repairing import header_of
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.pack_checking import Checked, PackChecker, Places, SpreadChecker
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Passed
from backupkit.protocols import nothing

_BLOB = struct.Struct("<32s?III")  # what stands in a pack, one after the other: 45 bytes for each blob


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedPack:
    """One that does not hold all that was written; `why` says what is wrong, `intact` are the blobs that are right.

    With `header`, it is the index that is wrong: all that the pack says itself is right.
    """

    id: str
    why: str
    intact: Sequence[PackedBlob] = field(repr=False)
    count: int
    header: bool = False


def damaged_packs(
    repository: OpenedRepository,
    index: BlobIndex,
    sizes: Mapping[str, int],
    executor: Executor | None,
    *,
    only: Collection[str] | None = None,
) -> Iterator[DamagedPack | Passed | Expected]:
    """Read every blob that the index has, or those in `only` these packs, and yield the packs that are damaged."""
    contents = _by_pack(index, only)
    yield Expected(sum(blob.size for rows in contents.values() for blob in _blobs(rows)))
    checker = PackChecker(repository.objects, repository.sealer)
    processes = further_processes(index, sizes) if executor and only is None else 0
    with SpreadChecker(checker, processes=processes) as spread:

        def check(pack: str) -> Checked:
            """Called on any thread."""
            return spread.check(pack, sizes[pack], _places(pack, _blobs(contents[pack])))

        with closing(map_ordered(executor, check, contents, 2 * usable_processors())) as found:  # type: ignore[type-var]  # a generator
            for pack, checked in zip(contents, found, strict=True):
                if checked.flaws or checked.damaged:
                    blobs = [*_blobs(contents[pack])]
                    damaged = _looked_at_again(repository, pack, sizes[pack], blobs, checked)
                    if damaged is not None:
                        yield damaged
                yield Passed(object_name("data", pack), 0, checked.read)


def stored_anew(
    writer: RepositoryWriter, packs: Sequence[DamagedPack], *, between: Callable[[], None] = nothing
) -> None:
    """Store and index those intact blobs of these packs, which its index does not know, that stand nowhere else."""
    repository = writer.repository
    for pack in packs:
        for blob in pack.intact:
            between()
            if not writer.holds(blob.id, tree=blob.tree):
                writer.add(blob.id, _read(repository, pack.id, blob), tree=blob.tree)
    writer.flush()


def _looked_at_again(
    repository: OpenedRepository, pack: str, size: int, blobs: Sequence[PackedBlob], checked: Checked
) -> DamagedPack | None:
    """Blob by blob, and also those that only the pack itself says are in it; None if all was right this time."""
    where = repository.objects.where("data", pack)
    flaws = [*checked.damaged.values()]
    header: Sequence[PackedBlob] = ()
    readable = False
    try:
        header = header_of(repository, pack, size)
        readable = True
    except (IntegrityError, ObjectNotFoundError) as error:
        flaws.insert(0, str(error))
    intact: list[PackedBlob] = []
    known = set(blobs)
    for blob in sorted(known.union(header), key=lambda one: one.offset):
        if blob in known and (blob.id, blob.tree) not in checked.damaged:
            intact.append(blob)
            continue
        try:
            _read(repository, pack, blob)
        except (IntegrityError, ObjectNotFoundError) as error:
            flaws.append(str(error))
        else:
            intact.append(blob)
    right = readable and {*header} <= {*intact}
    if right and known == {*header}:
        return None
    if right:
        why = f"{where} says itself that other blobs are in it than the index says."
        return DamagedPack(id=pack, why=why, intact=header, count=len(header), header=True)
    return DamagedPack(id=pack, why=flaws[0], intact=intact, count=len(known.union(header)))


def _read(repository: OpenedRepository, pack: str, blob: PackedBlob) -> bytes:
    sealed = repository.objects.read_range(pack, blob.offset, blob.length)
    where = repository.objects.where("data", pack)
    return unseal_blob(sealed, blob.uncompressed, blob.id, repository.sealer, where=where)


def _by_pack(index: BlobIndex, only: Collection[str] | None) -> Mapping[str, bytearray]:
    """What is in each pack, in little memory."""
    names = index.packs()
    wanted = [only is None or name in only for name in names]
    found = {name: bytearray() for name in names if only is None or name in only}
    for tree in (False, True):
        for id, number, *span in index.all_places(tree=tree):
            if wanted[number]:
                found[names[number]] += _BLOB.pack(id, tree, *span)
    return {name: rows for name, rows in found.items() if rows}


def _blobs(rows: bytes | bytearray) -> Iterator[PackedBlob]:
    for id, tree, offset, length, uncompressed in _BLOB.iter_unpack(rows):
        yield PackedBlob(id, tree, offset, length, uncompressed)


def _places(pack: str, blobs: Iterator[PackedBlob]) -> Places:
    return [
        (blob.id, blob.tree, Location(pack, blob.offset, blob.length, blob.uncompressed)) for blob in blobs
    ]
