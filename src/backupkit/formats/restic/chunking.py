"""Cutting content where its own bytes say so, so that an insertion moves no cut but its nearest."""

from __future__ import annotations

from collections.abc import Iterator

from pyfastcdc import FastCDC

MIN, AVERAGE, MAX = 512 << 10, 1 << 20, 8 << 20  # bytes, as restic has them


class Chunker:
    """Cuts by FastCDC (Xia et al., USENIX ATC 2016), seeded by the secret parameter of a repository.

    Content is given chunk by chunk; what comes back are blobs of 512 KiB to 8 MiB, of which the last may be
    shorter. restic itself cuts by a Rabin fingerprint. Both find their own cuts again, and not each other's:
    content that one of them stored is stored again when the other one cuts it.
    """

    def __init__(self, polynomial: int) -> None:
        # A seed of 64 bits; the polynomial has 54.
        self._cdc = FastCDC(avg_size=AVERAGE, min_size=MIN, max_size=MAX, seed=polynomial)
        self._held: list[bytes] = []
        self._size = 0

    def begin(self) -> None:
        """Forget what an earlier content has left."""
        self._held, self._size = [], 0

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the blobs that are whole now."""
        self._held.append(chunk)
        self._size += len(chunk)
        if self._size >= 2 * MAX:
            # The last one ends where the bytes do, and not at a cut, unless that is chance.
            *whole, rest = self._cuts()
            self._held, self._size = [rest], len(rest)
            yield from whole

    def rest(self) -> Iterator[bytes]:
        """Yield the last blobs; none if there was no content."""
        if self._size:
            yield from self._cuts()
        self.begin()

    def _cuts(self) -> list[bytes]:
        content = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        if len(content) <= MIN:
            return [content]
        return [content[cut.offset : cut.offset + cut.length] for cut in self._cdc.cut_buf(content)]
