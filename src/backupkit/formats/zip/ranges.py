"""The bytes of an archive, by position."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from backupkit.errors import IntegrityError
from backupkit.protocols import Destination

_TAIL = 8 << 20


class Ranges(Protocol):
    """The bytes of an archive, by position. `in_any_order` says that going back costs nothing."""

    @property
    def in_any_order(self) -> bool: ...

    @property
    def total(self) -> int: ...

    def read(self, start: int, length: int) -> Iterator[bytes]: ...


class DirectRanges:
    """The ranges of an object as the destination gives them."""

    in_any_order = True

    def __init__(self, destination: Destination, name: str, total: int) -> None:
        self.total = total
        self._read = partial(destination.read, name)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        return self._read(start=start, length=length)


class SequentialRanges:
    """The ranges of a stream that can only be read from its beginning, such as a decrypted archive.

    Costs one pass to learn the length; going forward continues a pass, going back begins another. The last
    8 MiB are kept, so that the directory and manifest of most archives need no pass of their own. Nothing
    is written to disk.
    """

    in_any_order = False

    def __init__(self, open_stream: Callable[[], Iterator[bytes]]) -> None:
        self._open = open_stream
        self._tail = bytearray()
        self.total = 0
        for chunk in open_stream():
            self.total += len(chunk)
            self._tail += chunk
            if len(self._tail) > 2 * _TAIL:
                del self._tail[:-_TAIL]
        self._stream: Iterator[bytes] = iter(())
        self._position = self.total
        self._rest = b""
        self._lock = threading.Lock()

    def read(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        tail_start = self.total - len(self._tail)
        if start >= tail_start:
            yield bytes(self._tail[start - tail_start : end - tail_start])
            return
        while start < end:
            # Asked before each chunk, because another range may have been read since the last one.
            with self._lock:
                wanted = self._next(start, end)
            if wanted is None:
                return
            start += len(wanted)
            if wanted:
                yield wanted

    def _next(self, start: int, end: int) -> bytes | None:
        """What the next chunk of the stream has of the range, perhaps nothing yet; None after the last one."""
        if start < self._position:
            self._stream, self._position, self._rest = filter(None, self._open()), 0, b""
        try:
            chunk = self._rest or next(self._stream, b"")
        except BaseException:
            self._position = self.total  # the stream is of no more use: whoever tries again gets a new one
            raise
        if not chunk:
            self._position = self.total
            return None
        skip = min(start - self._position, len(chunk))
        wanted = chunk[skip : skip + end - start]
        used = skip + len(wanted)
        self._position += used
        self._rest = chunk[used:]
        return wanted


class Parts:
    """A stream handed out in parts of given lengths; a part that the stream cannot fill is an error."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = filter(None, stream)
        self._rest = b""

    def take(self, count: int) -> Iterator[bytes]:
        while count:
            chunk = self._rest or next(self._stream, b"")
            if not chunk:
                raise IntegrityError("it ends too early", where="zip entry")
            self._rest = chunk[count:]
            chunk = chunk[:count]
            count -= len(chunk)
            yield chunk
