"""Which pack holds which blob: index objects, and a table of all of them (design document, "Indexing")."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from borghash import HashTable

from backupkit.errors import IntegrityError
from backupkit.formats.restic.layout import is_id
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.sealing import OVERHEAD

FULL = 50_000  # blobs in one index object, as restic has it: some 8 MB of JSON

_PLACE = struct.Struct("<IIII")  # number of the pack, offset, length, uncompressed length


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
    """All blobs of a repository: 62 bytes of memory for each, so that ten million fit into 0.7 GB.

    A blob that stands in several packs is found where it was first seen; `elsewhere` has the other places. May be
    read by many threads while nobody adds.
    """

    def __init__(self) -> None:
        self._packs: list[bytes] = []
        self._tables = (
            HashTable(key_size=32, value_size=_PLACE.size),
            HashTable(key_size=32, value_size=_PLACE.size),
        )
        self._elsewhere: dict[tuple[bool, bytes], list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._tables[0]) + len(self._tables[1])

    def add(self, pack: str, blobs: Iterable[PackedBlob]) -> None:
        """Note what is in a pack; not twice for the same one."""
        number = len(self._packs)
        self._packs.append(bytes.fromhex(pack))
        data, trees = self._tables
        for id, tree, offset, length, uncompressed in blobs:
            table = trees if tree else data
            place = _PLACE.pack(number, offset, length, uncompressed)
            if id in table:
                self._elsewhere.setdefault((tree, id), []).append(place)
            else:
                table[id] = place

    def holds(self, id: bytes, *, tree: bool = False) -> bool:
        return id in self._tables[tree]

    def find(self, id: bytes, *, tree: bool = False) -> Location | None:
        place = self._tables[tree].get(id)
        return None if place is None else self._location(place)

    def elsewhere(self, id: bytes, *, tree: bool = False) -> Sequence[Location]:
        """Further places of the same blob."""
        return [self._location(place) for place in self._elsewhere.get((tree, id), ())]

    def packs(self) -> Iterator[str]:
        """The ids of all packs that are known."""
        return (pack.hex() for pack in self._packs)

    def blobs_by_pack(self) -> Mapping[str, Sequence[PackedBlob]]:
        """All of them, in the order in which they stand. Takes much more memory than the table itself."""
        found: dict[int, list[PackedBlob]] = {number: [] for number in range(len(self._packs))}

        def note(id: bytes, tree: bool, place: bytes) -> None:
            number, offset, length, uncompressed = _PLACE.unpack(place)
            found[number].append(PackedBlob(id, tree, offset, length, uncompressed))

        for tree in (False, True):
            for id, place in self._tables[tree].items():
                note(id, tree, place)
        for (tree, id), places in self._elsewhere.items():
            for place in places:
                note(id, tree, place)
        return {self._packs[number].hex(): sorted(blobs, key=_offset) for number, blobs in found.items()}

    def _location(self, place: bytes) -> Location:
        number, offset, length, uncompressed = _PLACE.unpack(place)
        return Location(self._packs[number].hex(), offset, length, uncompressed)


def index_fields(packs: Iterable[tuple[str, Sequence[PackedBlob]]]) -> dict[str, Any]:
    """The index object that describes these packs."""
    return {"packs": [{"id": pack, "blobs": [_blob_fields(blob) for blob in blobs]} for pack, blobs in packs]}


def parse_index(fields: Any, *, where: str) -> Iterator[tuple[str, Sequence[PackedBlob]]]:
    """The packs that an index object describes; IntegrityError, naming `where`, if it is none.

    What it `supersedes` is of no consequence: those objects are gone once it was written, or say the same.
    """
    try:
        for pack in fields["packs"]:
            if not is_id(pack["id"]):
                raise ValueError("the id of a pack is none")
            yield pack["id"], [_parse_blob(blob) for blob in pack["blobs"] or ()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{where} is no index: {error!r}.", where=where) from error


def _parse_blob(fields: Any) -> PackedBlob:
    id = bytes.fromhex(fields["id"])
    kind = fields["type"]
    blob = PackedBlob(
        id, kind == "tree", fields["offset"], fields["length"], fields.get("uncompressed_length", 0)
    )
    if len(id) != 32 or kind not in ("data", "tree"):
        raise ValueError("the id or the type of a blob is none")
    if not all(isinstance(number, int) and 0 <= number < 1 << 32 for number in blob[2:]):
        raise ValueError("a blob stands where none can be")
    return blob


def _blob_fields(blob: PackedBlob) -> dict[str, Any]:
    fields = {
        "id": blob.id.hex(),
        "type": "tree" if blob.tree else "data",
        "offset": blob.offset,
        "length": blob.length,
    }
    return fields | {"uncompressed_length": blob.uncompressed} if blob.uncompressed else fields


def _offset(blob: PackedBlob) -> int:
    return blob.offset
