"""An entry of a backup as a file to read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from backupkit._chunks import closing_iterator

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer


class EntryFile(io.RawIOBase):
    """The chunks of an entry as a file; closing it closes what they come from."""

    def __init__(self, chunks: Iterator[bytes], resources: ExitStack) -> None:
        super().__init__()
        self._chunks = chunks
        self._resources = resources
        self._rest = memoryview(b"")
        self._ahead: bytes | None = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        while not self._rest:
            if self._ahead is None:
                return 0
            # One chunk behind: the last one is given out only when the whole content was authenticated.
            self._rest, self._ahead = memoryview(self._ahead), next(self._chunks, None)
        with memoryview(buffer) as view:
            count = min(len(view), len(self._rest))
            view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            with closing_iterator(self._chunks):
                self._resources.close()
        super().close()
