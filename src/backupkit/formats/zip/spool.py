"""A text kept in memory in compressed form."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from backupkit.compression import Deflate

_PIECE = 1 << 18


class Spool:
    """Holds a manifest, deflated to about a sixth, while it grows or until it has been read."""

    def __init__(self) -> None:
        self._deflate = Deflate(1)
        self._parts: list[bytes] = []
        self._ahead: list[bytes] = []
        self._held = 0

    def add(self, text: bytes) -> None:
        self._ahead.append(text)
        self._held += len(text)
        if self._held >= _PIECE:
            self._pack()

    def read(self) -> Iterator[bytes]:
        """Yield the text from its beginning; may be called again, and after more was added."""
        self._pack()
        inflate = zlib.decompressobj(-15)
        for part in tuple(self._parts):
            yield inflate.decompress(part)

    def _pack(self) -> None:
        if self._ahead:
            self._parts.append(self._deflate.compress_piece(b"".join(self._ahead), last=False))
            self._ahead.clear()
            self._held = 0
