"""Which pack holds which blob: index objects, and a table of all of them (design document, "Indexing")."""

from __future__ import annotations

import struct
from array import array
from binascii import unhexlify
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from borghash import HashTable

from backupkit.errors import IntegrityError
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.sealing import OVERHEAD

FULL = 50_000  # blobs in one index object, as restic has it: some 8 MB of JSON

_NUMBER = struct.Struct("<I")  # of the pack
_SPAN = struct.Struct("<III")  # offset, length, uncompressed length; follows the number
_PLACE = struct.Struct("<IIII")
_IS_TREE = {"data": False, "tree": True}


class Location(NamedTuple):
    """Where a blob stands: in which pack, from which byte, how long it is sealed and, if compressed, plain."""

    pack: str
    offset: int
    length: int
    uncompressed: int

    @property
    def size(self) -> int:
        """Of its plain bytes."""
        return self.uncompressed or self.length - OVERHEAD


class BlobIndex:
    """All blobs of a repository: some 70 bytes of memory for each, so that ten million fit into 0.7 GB.

    A blob that stands in several packs is found where it was first seen; `elsewhere` has the other places. May be
    read by many threads, also while one adds.
    """

    def __init__(self) -> None:
        # Of keys alone: a pack is known by its position among them, which never changes.
        self._packs = packs = HashTable(key_size=32, value_size=1)
        self._tables = (
            HashTable(key_size=32, value_size=_PLACE.size),
            HashTable(key_size=32, value_size=_PLACE.size),
        )
        self._elsewhere: dict[tuple[bool, bytes], list[bytes]] = {}
        # What is looked for one after the other stands in the same packs. Not by way of `self`, or that would stay.
        self._named = lru_cache(maxsize=1024)(lambda number: packs.idx_to_k(number).hex())

    def __len__(self) -> int:
        return len(self._tables[0]) + len(self._tables[1])

    def add(self, pack: str, blobs: Iterable[PackedBlob]) -> None:
        """Note what is in a pack."""
        self._note(bytes.fromhex(pack), [(id, tree, _SPAN.pack(*span)) for id, tree, *span in blobs])

    def take(self, fields: Any, *, where: str) -> None:
        """Note all that an index object says; IntegrityError, naming `where`, and nothing noted, if it is none.

        What it `supersedes` is of no consequence: those objects are gone once it was written, or say the same.
        """
        span = _SPAN.pack
        try:
            # Hot: a million blobs of a repository are 1.1 seconds, with `json.loads`, and were 2.4 as objects.
            packs = [
                (
                    unhexlify(pack["id"]),
                    [
                        (
                            unhexlify(blob["id"]),
                            _IS_TREE[blob["type"]],
                            span(blob["offset"], blob["length"], blob.get("uncompressed_length", 0)),
                        )
                        for blob in pack["blobs"] or ()
                    ],
                )
                for pack in fields["packs"] or ()
            ]
            for pack, blobs in packs:
                if len(pack) != 32 or not {len(id) for id, _, _ in blobs} <= {32}:
                    raise ValueError("the id of a pack or of a blob is none")
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise IntegrityError(f"{where} is no index: {error!r}.", where=where) from error
        for pack, blobs in packs:
            self._note(pack, blobs)

    def _note(self, pack: bytes, blobs: Iterable[tuple[bytes, bool, bytes]]) -> None:
        self._packs[pack] = b"\0"
        number = _NUMBER.pack(self._packs.k_to_idx(pack))
        data, trees = self._tables
        for id, tree, span in blobs:
            table = trees if tree else data
            place = number + span
            if id not in table:
                table[id] = place
            elif table[id] != place:
                places = self._elsewhere.setdefault((tree, id), [])
                if place not in places:
                    places.append(place)

    def holds(self, id: bytes, *, tree: bool = False) -> bool:
        return id in self._tables[tree]

    def find(self, id: bytes, *, tree: bool = False) -> Location | None:
        place = self._tables[tree].get(id)
        return None if place is None else self._location(place)

    def elsewhere(self, id: bytes, *, tree: bool = False) -> Sequence[Location]:
        """Further places of the same blob."""
        return [self._location(place) for place in self._elsewhere.get((tree, id), ())]

    def count(self, *, tree: bool) -> int:
        """How many blobs of this type are known."""
        return len(self._tables[tree])

    def number(self, id: bytes, *, tree: bool = False) -> int | None:
        """Which of the blobs of its type this is, counted from 0 as they became known; None if it is none."""
        try:
            number: int = self._tables[tree].k_to_idx(id)
        except KeyError:
            return None
        return number

    def packs(self) -> Sequence[str]:
        """The ids of all packs that are known, in the order of their numbers."""
        return [self._packs.idx_to_k(number).hex() for number in range(len(self._packs))]

    def blobs_by_pack(self, only: Container[str] | None = None) -> Mapping[str, Sequence[PackedBlob]]:
        """What is in the packs, or in `only` these, in the order in which it stands there.

        Takes several times the memory of the table itself.
        """
        names = self.packs()
        found: dict[int, list[PackedBlob]] = {
            number: [] for number, name in enumerate(names) if only is None or name in only
        }
        for tree in (False, True):
            for id, number, *span in self.all_places(tree=tree):
                if number in found:
                    found[number].append(PackedBlob(id, tree, *span))
        return {names[number]: sorted(blobs, key=_offset) for number, blobs in found.items()}

    def portions(self, packs: Container[str], blobs: int) -> Iterator[Collection[str]]:
        """Some of these packs after the other, in which together are at most so many blobs, or one of more."""
        names = self.packs()
        counts = array("L", bytes(array("L").itemsize * len(names)))
        for tree in (False, True):
            for _, number, *_ in self.all_places(tree=tree):
                counts[number] += 1
        portion: list[str] = []
        left = blobs
        for name, count in zip(names, counts, strict=True):
            if name not in packs:
                continue
            if portion and count > left:
                yield frozenset(portion)
                portion, left = [], blobs
            portion.append(name)
            left -= count
        if portion:
            yield frozenset(portion)

    def numbered(self, *, tree: bool) -> Iterator[tuple[bytes, int, int, int, int]]:
        """Each blob of this type in the order of its number, and where it was first seen.

        That is the number of the pack, the offset there, the sealed length, and the plain one if it is compressed.
        """
        table, unpack = self._tables[tree], _PLACE.unpack
        for number in range(len(table)):
            id, place = table.idx_to_kv(number)
            yield (id, *unpack(place))

    def several(self, *, tree: bool) -> Mapping[bytes, Sequence[tuple[int, int, int, int]]]:
        """All places of those blobs of this type that have more than one, as `numbered` has them."""
        return {
            id: [_PLACE.unpack(place) for place in (self._tables[tree][id], *places)]
            for (is_tree, id), places in self._elsewhere.items()
            if is_tree == tree
        }

    def all_places(self, *, tree: bool) -> Iterator[tuple[bytes, int, int, int, int]]:
        """As `numbered`, and then the further places of those blobs that have more than one."""
        yield from self.numbered(tree=tree)
        for id, (_, *others) in self.several(tree=tree).items():
            for place in others:
                yield (id, *place)

    def without(self, packs: Container[str]) -> BlobIndex:
        """The same but for what stands in these packs."""
        left, names = BlobIndex(), self.packs()
        for tree in (False, True):
            for id, number, *span in self.all_places(tree=tree):
                if names[number] not in packs:
                    left._note(bytes.fromhex(names[number]), [(id, tree, _SPAN.pack(*span))])
        return left

    def _location(self, place: bytes) -> Location:
        number, offset, length, uncompressed = _PLACE.unpack(place)
        return Location(self._named(number), offset, length, uncompressed)


def index_document(packs: Iterable[str]) -> bytes:
    """The index object that describes packs, of each of which the text is given."""
    return ('{"packs":[' + ",".join(packs) + "]}").encode()


def pack_text(pack: str, blobs: Iterable[PackedBlob]) -> str:
    """What an index says of a pack. As text: by way of a document it takes four times as long."""
    return f'{{"id":"{pack}","blobs":[{",".join(map(_blob_text, blobs))}]}}'


def _blob_text(blob: PackedBlob) -> str:
    id, tree, offset, length, uncompressed = blob
    kind = "tree" if tree else "data"
    text = f'{{"id":"{id.hex()}","type":"{kind}","offset":{offset},"length":{length}'
    return f'{text},"uncompressed_length":{uncompressed}}}' if uncompressed else text + "}"


def _offset(blob: PackedBlob) -> int:
    return blob.offset
