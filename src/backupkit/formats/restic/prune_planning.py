"""Which packs pruning deletes and which it stores anew: decided from the index and what is used of it; no I/O."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backupkit.errors import IntegrityError
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.packing import PACK_SIZE
from backupkit.formats.restic.packs import EMPTY, PackedBlob, packed_size
from backupkit.formats.restic.used_blobs import UsedBlobs
from backupkit.prune_limits import PruneLimits

_DATA, _BOTH = 1, 3  # what is in a pack: blobs of files, or trees as well
_SMALL = 4 << 20  # bytes; packs of four fifths of it are not merged, however large the others are
_FEW = 10  # small packs that are not worth being merged, as in restic: pruning again must find nothing to do
_SHOWN = 3  # packs that a message names

Places = Mapping[tuple[bool, bytes], tuple[str, int]]
"""Of blobs, whether trees or not and by id: a pack, and where they begin there."""
Place = tuple[bool, bytes, str, int]
"""A copy of a blob: the same, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """What is to be done; sizes in bytes.

    `unknown` are packs that no index has, `useless` those of which nothing is used, both with their sizes; `gone`
    are others of which nothing is used, and which are not there. `repack` are those whose used blobs, `repacked`
    bytes of them, are stored anew. Of used blobs that stand in several places, `kept` is the one that counts;
    `relied_on` are those of them, and their packs, of which other places go.
    `unused` is what stays, and is of no use.
    """

    unknown: Mapping[str, int]
    useless: Mapping[str, int]
    gone: Collection[str]
    repack: Mapping[str, int]
    repacked: int
    kept: Places
    relied_on: Sequence[tuple[str, PackedBlob]]
    unused: int

    @property
    def freed(self) -> int:
        """What is gained, apart from the indexes, and from headers of packs that are merged."""
        return sum(map(_total, (self.unknown, self.useless, self.repack))) - self.repacked


def plan_prune(
    index: BlobIndex,
    used: UsedBlobs,
    sizes: Mapping[str, int],
    limits: PruneLimits,
    *,
    spoilt: Collection[Place] = (),
    unread: Collection[tuple[bool, bytes]] = (),
    location: str,
) -> PrunePlan:
    """Decide for all packs, whose sizes at the destination these are.

    As restic's `prune` does, whose rules and figures these are. IntegrityError if what is used stands in packs that
    are not there, or not as long as the index says, or if all of several copies of it are `spoilt`, which are known
    to be damaged: nothing must be deleted then. Of blobs that are `unread` all copies stay.
    """
    packs = _Packs(index, used, sizes, spoilt, unread)
    lost = [
        packs.names[number] for number in packs.numbers if packs.needed[number] and not packs.whole[number]
    ]
    if lost:
        shown = ", ".join(object_name("data", pack) for pack in sorted(lost)[:_SHOWN])
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise IntegrityError(
            f"Snapshots need what is in {shown}{more} at {location}, missing there or of another size than the "
            "index says, so that nothing is deleted: verify the backups, and repair the repository.",
            where=f"{object_name('data', lost[0])} at {location}",
        )
    if packs.spoilt:
        tree, id, pack, _ = packs.spoilt[0]
        where = f"{object_name('data', pack)} at {location}"
        raise IntegrityError(
            f"All copies of the {'tree' if tree else 'blob'} {id.hex()} are damaged, one of them in {where}, so "
            "that nothing is deleted: verify the backups, and repair the repository.",
            where=where,
        )
    known = set(packs.names)
    useless = {
        packs.names[number]: sizes[packs.names[number]]
        for number in packs.numbers
        if not packs.needed[number] and packs.names[number] in sizes
    }
    repack = packs.worth_repacking(limits)
    return PrunePlan(
        unknown={pack: size for pack, size in sizes.items() if pack not in known},
        useless=useless,
        gone={
            packs.names[number]
            for number in packs.numbers
            if not packs.needed[number] and packs.names[number] not in sizes
        },
        repack={packs.names[number]: packs.size[number] for number in repack},
        repacked=sum(packs.used[number] for number in repack),
        kept=packs.kept,
        relied_on=packs.relied_on(index, {*repack, *(one for one in packs.numbers if not packs.needed[one])}),
        unused=sum(packs.unused[number] for number in packs.numbers if packs.needed[number])
        - sum(packs.unused[number] for number in repack),
    )


class _Packs:
    """What is in each pack, by its number in the index."""

    def __init__(
        self,
        index: BlobIndex,
        used: UsedBlobs,
        sizes: Mapping[str, int],
        spoilt: Collection[Place],
        unread: Collection[tuple[bool, bytes]],
    ) -> None:
        self.names = index.packs()
        self.numbers = range(len(self.names))
        count = len(self.names)
        self.used = array("Q", bytes(8 * count))  # bytes, header included
        self.unused = array("Q", bytes(8 * count))
        self.needed = bytearray(count)  # whether it has a blob that is used, and kept here
        self.size = array("Q", [EMPTY]) * count  # by what the index says
        self.kept: dict[tuple[bool, bytes], tuple[str, int]] = {}
        self.spoilt: list[Place] = []  # those of which no copy is better
        self._spoilt = spoilt
        self._unread = unread
        self._kinds = bytearray(count)  # 1 for data, 2 for trees
        for tree in (False, True):
            self._count(index, used, tree)
        self.whole = bytearray(
            sizes.get(name) == size for name, size in zip(self.names, self.size, strict=True)
        )
        # Of a blob that stands twice, the copy stays that is in the pack which is least likely to be stored anew:
        # what an interrupted prune has stored anew consists of nothing but copies.
        ranks = [
            (self.whole[number], not self.unused[number], self.needed[number], self.size[number])
            for number in self.numbers
        ]
        for tree in (False, True):
            self._choose(index, used, tree, ranks)

    def _count(self, index: BlobIndex, used: UsedBlobs, tree: bool) -> None:
        several = index.several(tree=tree)
        kind = 1 + tree
        # Hot: once for each blob of the repository.
        for number, (id, pack, _, length, uncompressed) in enumerate(index.numbered(tree=tree)):
            size = packed_size(length, compressed=uncompressed > 0)
            self.size[pack] += size
            self._kinds[pack] |= kind
            if not used.has(number, tree=tree):
                self.unused[pack] += size
            elif id not in several:
                self.used[pack] += size
                self.needed[pack] = 1
        for id, (_, *others) in several.items():
            unused = not _is_used(index, used, id, tree)
            for pack, _, length, uncompressed in others:
                size = packed_size(length, compressed=uncompressed > 0)
                self.size[pack] += size
                self._kinds[pack] |= kind
                if unused:
                    self.unused[pack] += size

    def _choose(
        self, index: BlobIndex, used: UsedBlobs, tree: bool, ranks: Sequence[tuple[int, ...]]
    ) -> None:
        for id, places in index.several(tree=tree).items():
            if not _is_used(index, used, id, tree):
                continue
            right = places
            if self._spoilt:
                right = [one for one in places if (tree, id, self.names[one[0]], one[1]) not in self._spoilt]
                if not right:
                    self.spoilt.append((tree, id, self.names[places[0][0]], places[0][1]))
                    continue
            kept = max(right, key=lambda place: (ranks[place[0]], place))
            all_stay = (tree, id) in self._unread
            if not all_stay:
                self.kept[tree, id] = self.names[kept[0]], kept[1]
            for place in places:
                pack, _, length, uncompressed = place
                size = packed_size(length, compressed=uncompressed > 0)
                if place == kept or (all_stay and self.whole[pack]):
                    self.used[pack] += size
                    self.needed[pack] = 1
                else:
                    self.unused[pack] += size

    def relied_on(self, index: BlobIndex, going: Collection[int]) -> Sequence[tuple[str, PackedBlob]]:
        """The places that are kept of blobs that other places lose, in packs of these numbers."""
        found = []
        for tree in (False, True):
            for id, places in index.several(tree=tree).items():
                if (kept := self.kept.get((tree, id))) is None:
                    continue
                others = [place for place in places if (self.names[place[0]], place[1]) != kept]
                if any(place[0] in going for place in others):
                    found += [
                        (kept[0], PackedBlob(id, tree, *place[1:]))
                        for place in places
                        if (self.names[place[0]], place[1]) == kept
                    ]
        return found

    def worth_repacking(self, limits: PruneLimits) -> Sequence[int]:
        """The packs whose blobs are stored anew: trees, then small ones, then those with the most of no use."""
        if limits.max_unused is None:
            return []
        small = self._target()
        needed = [number for number in self.numbers if self.needed[number]]
        partly = [number for number in needed if self.unused[number] or self._kinds[number] == _BOTH]
        others = [number for number in needed if not (self.unused[number] or self._kinds[number] == _BOTH)]
        merged = [number for number in others if self.size[number] < small]
        candidates = [*partly, *(merged if len(merged) >= _FEW else ())]

        def order(number: int) -> tuple[bool, bool, float]:
            share = self.unused[number] / self.size[number]
            return self._kinds[number] == _DATA, self.size[number] >= small, -share

        left = sum(self.unused[number] for number in needed)
        allowed = limits.unused_beside(sum(self.used[number] for number in needed))
        chosen: list[int] = []
        size = 0
        for number in sorted(candidates, key=order):
            if size + self.size[number] > limits.repack:
                continue
            if self._kinds[number] == _DATA and self.size[number] >= small and left <= allowed:
                continue
            chosen.append(number)
            size += self.size[number]
            left -= self.unused[number]
        return chosen

    def _target(self) -> float:
        """The size from which on a pack is not small: about what the smallest few of many are.

        Ours never are, or those beside others of 128 MiB would be stored anew each time.
        """
        sizes = sorted(self.size)
        return min(PACK_SIZE, max(_SMALL, sizes[len(sizes) * 3 // 100] if sizes else 0)) * 4 / 5


def _is_used(index: BlobIndex, used: UsedBlobs, id: bytes, tree: bool) -> bool:
    number = index.number(id, tree=tree)
    return number is not None and used.has(number, tree=tree)


def _total(packs: Mapping[str, int]) -> int:
    return sum(packs.values())
