"""Putting new index objects in the place of old ones, in an order in which none is missing at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable

from backupkit.errors import ObjectNotFoundError
from backupkit.formats.restic.documents import encode
from backupkit.formats.restic.index import FULL, index_document, pack_text
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import PackedBlob
from backupkit.protocols import nothing

_SMALL = (
    FULL // 2
)  # blobs; an index object with fewer is merged with others when some have to be written anew


class IndexWriter:
    """Stores index objects of what it is told of packs, one whenever enough has come together.

    RepositoryError if the lock was lost: who took it may have deleted these packs.
    """

    def __init__(self, repository: OpenedRepository) -> None:
        self.written: dict[str, int] = {}
        """The ids of what was stored, and its bytes."""
        self._repository = repository
        self._texts: list[str] = []
        self._blobs = 0

    def add(self, pack: str, blobs: Iterable[PackedBlob]) -> None:
        blobs = [*blobs]
        self.add_text(pack_text(pack, blobs), len(blobs))

    def add_text(self, text: str, blobs: int) -> None:
        """What an index says of a pack, and how many blobs that are."""
        self._texts.append(text)
        self._blobs += blobs
        if self._blobs >= FULL:
            self.flush()

    def flush(self) -> None:
        """Store what is left."""
        if not self._texts:
            return
        repository = self._repository
        repository.check_lock()
        content = encode(index_document(self._texts), repository.sealer)
        id = storage_id(content)
        repository.objects.write("index", [content], id)
        self.written[id] = len(content)
        self._texts.clear()
        self._blobs = 0


def rewrite_indexes(
    repository: OpenedRepository,
    *,
    without: Container[str],
    others: Iterable[tuple[str, Iterable[PackedBlob]]] = (),
    unreadable: Container[str] = (),
    between: Callable[[], None] = nothing,
    check: Callable[[], None] = nothing,
) -> int:
    """Have no index object say anything of these packs; by how many bytes all of them are smaller then.

    What is in the `others` is said anew, and may be what is in one of those packs. Index objects that are
    `unreadable`, by their ids, are replaced.

    What the old objects say of other packs is stored first; only then are they deleted. An interruption leaves
    objects that say the same twice, which is of no consequence. Small ones are merged. The caller holds the
    repository alone, and raises in `check`, which is called before each deletion, when that is no longer so.
    """
    objects = repository.objects
    writer = IndexWriter(repository)
    # What is in two objects need not be in two again; by hashes, for all the texts may be gigabytes.
    said: set[bytes] = set()
    replaced: dict[str, int] = {}
    listed = dict(objects.list("index"))
    # With those that are known though this listing lacks them: what they say of packs that go must not stay.
    for id in [*listed, *({*repository.loaded} - listed.keys())]:
        between()
        if id in unreadable:
            replaced[id] = listed.get(id, 0)
            continue
        try:
            packs = objects.load("index", id, repository.sealer)["packs"] or ()
        except ObjectNotFoundError:
            if id in listed:
                raise
            continue
        left = [pack for pack in packs if pack["id"].lower() not in without]
        if len(left) == len(packs) and sum(len(pack["blobs"] or ()) for pack in packs) >= _SMALL:
            continue
        replaced[id] = listed.get(id, 0)
        for pack in left:
            text = json.dumps(pack, separators=(",", ":"))
            if (hashed := hashlib.sha256(text.encode()).digest()) not in said:
                said.add(hashed)
                writer.add_text(text, len(pack["blobs"] or ()))
    for other, blobs in others:
        writer.add(other, blobs)
    writer.flush()
    for id in replaced:
        between()
        # Each time: after a sleep in between, somebody may have written what relies on the objects that are left.
        repository.check_lock()
        check()
        try:
            objects.delete("index", id)
        except ObjectNotFoundError:
            continue  # its deletion was answered with an error before, or somebody repairs by hand
    return sum(replaced.values()) - sum(writer.written.values())
