"""`Filling`: bytes of a known size that come in pieces."""

from __future__ import annotations

from io import BytesIO


class Filling:
    """Room for so many bytes. What comes is put in its place at once: held and joined it would be there twice."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._content = BytesIO(
            bytes(size)
        )  # takes no memory before it is written to, and is not copied when taken

    @property
    def room(self) -> int:
        """How many bytes are missing."""
        return self._size - self._content.tell()

    def write(self, chunk: bytes | memoryview) -> int:
        """Put in as much of the chunk as there is room for, and return how much that is."""
        return self._content.write(memoryview(chunk)[: self.room])

    def taken(self) -> bytes:
        """What has come, which is then not held here any more."""
        content, self._content = self._content, BytesIO()
        content.truncate()
        return content.getvalue()
