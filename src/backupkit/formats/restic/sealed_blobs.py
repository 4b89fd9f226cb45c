"""Blobs as they stand sealed in packs: read many at a time, and each looked into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from backupkit._parallel import map_ordered, usable_processors
from backupkit.errors import BackupKitError, DestinationError, IntegrityError, ObjectNotFoundError
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.fetching import ranges_of
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import PackedBlob


class Piece(NamedTuple):
    """Blobs of one pack that are read with one request."""

    pack: str
    start: int
    end: int
    blobs: Sequence[PackedBlob]


def pieces_of(blobs: Iterable[tuple[str, PackedBlob]]) -> Iterator[Piece]:
    """As few as it takes to read these blobs of these packs."""
    by_place = {(pack, blob.offset): blob for pack, blob in blobs}
    for part in ranges_of((blob.id, Location(pack, *blob[2:])) for (pack, _), blob in by_place.items()):
        taken = [by_place[part.pack, place.offset] for _, place in part.blobs]
        yield Piece(part.pack, part.start, part.end, taken)


class SealedBlobs:
    """Reads the sealed bytes of a repository's blobs, ahead of who takes them; used by one thread."""

    def __init__(self, repository: OpenedRepository, executor: Executor | None) -> None:
        self._objects = repository.objects
        self._sealer = repository.sealer
        self._executor = executor

    def read(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Sequence[bytes | IntegrityError]]]:
        """Of each piece the sealed bytes of its blobs, each unsealed and hashed, or what is wrong with it.

        To be closed if it is not read to its end.
        """
        return map_ordered(self._executor, self._read, pieces, 2 * usable_processors())

    def read_if_possible(
        self, pieces: Iterable[Piece]
    ) -> Iterator[tuple[Piece, Sequence[bytes | IntegrityError] | DestinationError]]:
        """The same, or why a piece cannot be read now or later, as in storage that is cold."""
        return map_ordered(self._executor, self._read_if_possible, pieces, 2 * usable_processors())

    def _read(self, piece: Piece) -> tuple[Piece, Sequence[bytes | IntegrityError]]:
        """Called on any thread."""
        try:
            content = memoryview(self._objects.read_range(piece.pack, piece.start, piece.end - piece.start))
        except (IntegrityError, ObjectNotFoundError) as error:
            return piece, [self._damaged(piece.pack, error)] * len(piece.blobs)
        where = self._objects.where("data", piece.pack)
        read: list[bytes | IntegrityError] = []
        for blob in piece.blobs:
            sealed = bytes(content[blob.offset - piece.start :][: blob.length])
            try:
                unseal_blob(sealed, blob.uncompressed, blob.id, self._sealer, where=where)
            except IntegrityError as error:
                read.append(self._damaged(piece.pack, error))
            else:
                read.append(sealed)
        return piece, read

    def _read_if_possible(
        self, piece: Piece
    ) -> tuple[Piece, Sequence[bytes | IntegrityError] | DestinationError]:
        """Called on any thread."""
        try:
            return self._read(piece)
        except DestinationError as error:
            if error.retryable:
                raise
            return piece, error

    def _damaged(self, pack: str, error: BackupKitError) -> IntegrityError:
        return IntegrityError(
            f"{object_name('data', pack)} is damaged, and stays as it is: {error} Verify the backups, and repair "
            "the repository.",
            where=self._objects.where("data", pack),
        )
