"""A text kept in memory in compressed form."""

from __future__ import annotations

import zlib
from collections.abc import Iterator


class Spool:
    """Holds a manifest, deflated to about a sixth, while it grows or until it has been read."""

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
        self._parts: list[bytes] = []

    def add(self, text: bytes) -> None:
        if part := self._compressor.compress(text):
            self._parts.append(part)

    def read(self) -> Iterator[bytes]:
        """Yield the text from its beginning; may be called again, and after more was added."""
        self._parts.append(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        inflate = zlib.decompressobj(-15)
        for part in tuple(self._parts):
            yield inflate.decompress(part)
