"""The objects of a repository at its destination: read in full, checked against their names, tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from backupkit.errors import BackupKitError, IntegrityError, ObjectExistsError, OperationCancelledError
from backupkit.formats.restic.documents import decode, encode
from backupkit.formats.restic.layout import CONFIG, ObjectKind, id_in, object_name, storage_id
from backupkit.formats.restic.sealing import Sealer
from backupkit.protocols import Destination
from backupkit.retrying import Retry

_BLOCK = 128 << 10  # bytes of a pack of trees that are read at once: some 40 trees of 50 files
_BLOCKS = 16  # that are held: trees are asked for nearly in the order in which they were stored, in two packs

T = TypeVar("T")


class Keeps(Protocol):
    """Where objects are kept on this machine once they were read; it may forget them at any time."""

    def get(self, kind: ObjectKind, id: str) -> bytes | None: ...

    def get_range(self, pack: str, start: int, length: int) -> bytes | None: ...

    def put(self, kind: ObjectKind, id: str, content: bytes) -> None: ...

    def forget(self, kind: ObjectKind, id: str) -> None: ...

    def keep_only(self, kind: ObjectKind, ids: Collection[str]) -> None: ...


class Objects:
    """Reads and writes whole objects. `retry` is for a destination that fails in a way worth retrying."""

    def __init__(
        self, destination: Destination, *, retry: Retry | None = None, cache: Keeps | None = None
    ) -> None:
        self.destination = destination
        self.retry = retry or Retry(tries=1)
        self.cache = cache
        self.location = destination.location
        self._keeps_nothing = False
        self._blocks: dict[tuple[str, int], bytes] = {}  # of packs of trees
        self._damaged: set[str] = set()  # packs
        self._keeping = threading.Lock()  # one at a time, lest many threads fetch the same pack

    def __reduce__(self) -> tuple[object, ...]:
        """For another process, which has no cache and tells nobody that it waits."""
        return _sent, (self.destination, self.retry.tries, self.retry.wait)

    def where(self, kind: ObjectKind, id: str) -> str:
        """What messages call an object."""
        return f"{object_name(kind, id)} at {self.location}"

    def list(self, kind: ObjectKind) -> Iterator[tuple[str, int]]:
        """The ids and sizes of all objects of a kind."""
        found = {}
        for stored in self._tried(lambda: [*self.destination.list(f"{kind}/")]):
            if (id := id_in(stored.name)) is not None and stored.name == object_name(kind, id):
                found[id] = stored.size
        if self.cache is not None:
            self.cache.keep_only(kind, found)
        yield from found.items()

    def size_of_pack(self, pack: str) -> int:
        """In bytes; ObjectNotFoundError if it is not there."""
        return self._tried(lambda: self.destination.stat(object_name("data", pack))).size

    def read(self, kind: ObjectKind, id: str) -> bytes:
        """An object's bytes; IntegrityError if they are not those that its name is the hash of."""
        if (
            self.cache is not None
            and (kept := self.cache.get(kind, id)) is not None
            and storage_id(kept) == id
        ):
            return kept
        content = self._read(object_name(kind, id))
        if storage_id(content) != id:
            # Once more: a connection may have given wrong bytes of an object that is right.
            content = self._read(object_name(kind, id))
        if storage_id(content) != id:
            where = self.where(kind, id)
            raise IntegrityError(f"{where} is not what was written: its hash is another.", where=where)
        if self.cache is not None:
            self.cache.put(kind, id, content)
        return content

    def read_range(self, pack: str, start: int, length: int, *, keep: bool = False) -> bytes:
        """So many bytes of a pack, from `start`; IntegrityError if it ends before.

        With `keep`, for packs of trees, of which more will be wanted, the whole pack comes into the cache. Without
        one, the block that this is in is held for a while.
        """
        if keep and self.cache is None:
            return self._read_in_block(pack, start, length)
        if keep and (kept := self._read_kept(pack, start, length)) is not None:
            return kept
        return self._read_range(pack, start, length)

    def _read_in_block(self, pack: str, start: int, length: int) -> bytes:
        number, offset = divmod(start, _BLOCK)
        if offset + length > _BLOCK or pack in self._damaged:
            return self._read_range(pack, start, length)
        block = self._blocks.pop((pack, number), b"")
        if len(block) < offset + length:
            try:
                block = self._read_range(pack, start - offset, offset + length, _BLOCK)
            except OperationCancelledError:
                raise
            except BackupKitError:
                self._damaged.add(pack)  # perhaps where nobody asked for it, as on a disk with a bad sector
                return self._read_range(pack, start, length)
        self._blocks[pack, number] = block  # as the one that was used last
        if len(self._blocks) > _BLOCKS:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread did the same
                del self._blocks[next(iter(self._blocks))]
        return block[offset : offset + length]

    def _read_range(self, pack: str, start: int, length: int, most: int = 0) -> bytes:
        """So many bytes, and up to `most` if there are more."""
        most = max(length, most)

        def read() -> bytes:
            return b"".join(self.destination.read(object_name("data", pack), start=start, length=most))

        content = self._tried(read)
        if len(content) < length or len(content) > most:
            where = self.where("data", pack)
            raise IntegrityError(f"{where} is cut short: it ends before byte {start + length}.", where=where)
        return content

    def _read_kept(self, pack: str, start: int, length: int) -> bytes | None:
        """From the cache, into which the pack is brought first; None if it does not keep it."""
        assert self.cache is not None  # noqa: S101 - who calls this has looked
        kept = self.cache.get_range(pack, start, length)
        if kept is None and not self._keeps_nothing and pack not in self._damaged:
            with self._keeping:
                kept = self.cache.get_range(pack, start, length)
                if kept is None and pack not in self._damaged:
                    try:
                        kept = self.read("data", pack)[start : start + length]
                    except IntegrityError:  # perhaps elsewhere in the pack than what is wanted
                        self._damaged.add(pack)
                    else:
                        # Reading all of it for each part of it would be far worse than having no cache.
                        self._keeps_nothing = self.cache.get_range(pack, start, length) != kept
        return kept if kept is not None and len(kept) == length else None

    def write(self, kind: ObjectKind, content: Sequence[bytes], id: str) -> None:
        """Store an object under the hash of its content. That it is there already is as good."""

        def write() -> None:
            with suppress(ObjectExistsError):  # the very same bytes: from an attempt whose answer was lost
                self.destination.write(object_name(kind, id), content)

        self._tried(write)

    def delete(self, kind: ObjectKind, id: str) -> None:
        self._tried(lambda: self.destination.delete(object_name(kind, id)))

    def load(self, kind: ObjectKind, id: str, sealer: Sealer) -> Any:
        """The document in an object."""
        return decode(self.read(kind, id), sealer, where=self.where(kind, id))

    def save(self, kind: ObjectKind, document: Any, sealer: Sealer) -> str:
        """Store a document, or its JSON; its id."""
        content = encode(document, sealer)
        id = storage_id(content)
        self.write(kind, [content], id)
        return id

    def read_config(self) -> bytes:
        """The bytes of the config, which is the only object that has a name of its own."""
        return self._read(CONFIG)

    def write_config(self, content: bytes) -> None:
        """Store the config of a new repository; ObjectExistsError if there is one."""
        self._tried(lambda: self.destination.write(CONFIG, [content]))

    def _read(self, name: str) -> bytes:
        return self._tried(lambda: b"".join(self.destination.read(name)))

    def _tried(self, call: Callable[[], T]) -> T:
        for attempt in self.retry.attempts():
            with attempt:
                return call()
        raise AssertionError("attempts end with a result or an error")


def _sent(destination: Destination, tries: int, wait: float) -> Objects:
    return Objects(destination, retry=Retry(tries=tries, wait=wait))
