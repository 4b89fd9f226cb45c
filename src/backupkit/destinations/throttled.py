"""`Throttled`: a destination that takes no more of the network, or of a disk, than it may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from backupkit._chunks import closing_iterator
from backupkit.destinations.streams import closed_on_failure
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import ConfigurationError
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination
from backupkit.sizes import format_size, parse_size

_LEAST = (
    10_000  # bytes a second: a chunk of 1 MiB takes 105 s then, which no stall limit takes for a standstill
)
_PIECES = 10  # in a second, at most so large; whoever waits wakes up as often
_CREDIT = (
    0.25  # seconds that an idle line may be ahead: without it, whoever wakes up late loses that for good
)
_WORTH_A_SLEEP = 0.005  # seconds; less is owed, or many small chunks would each cost a system call


class Throttled(Wrapping):
    """Another destination, to and from which no more than `bytes_per_second` pass, all threads taken together.

    The rate is a number, or a text such as "5MB". The bytes pass evenly, a quarter of a second's worth ahead at
    most. It is what the destination is given that is slowed: a store that sends parts sends each of them at once,
    so that a link sees bursts of `part_size`.
    """

    def __init__(
        self,
        destination: Destination,
        bytes_per_second: int | str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(destination)
        self._rate = parse_size(bytes_per_second)
        if self._rate < _LEAST:
            raise ConfigurationError(
                f"bytes_per_second={bytes_per_second!r} is less than {format_size(_LEAST)} per second, at which no "
                'backup ends: give bytes, or a text such as "5MB".'
            )
        self._pace = Pace(self._rate)
        self._clock = clock
        self._sleep = sleep

    def around(self, inner: Destination) -> Self:
        made = type(self)(inner, self._rate, clock=self._clock, sleep=self._sleep)
        made._pace = self._pace
        return made

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            return self.inner.write(name, self._paced(stream), overwrite=overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with closing_iterator(self.inner.read(name, start=start, length=length)) as stream:
            yield from self._paced(stream)

    def _paced(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        most = self._rate // _PIECES
        for chunk in chunks:
            for start in range(0, len(chunk) or 1, most):
                piece = chunk if len(chunk) <= most else chunk[start : start + most]
                wait = self._pace.reserve(len(piece), self._clock())
                if wait > _WORTH_A_SLEEP:
                    self._sleep(wait)
                yield piece


class Pace:
    """When bytes may pass a line that takes `rate` of them in a second; the arithmetic alone, for many threads."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free = float("-inf")  # when all that was let through will have passed
        self._lock = threading.Lock()

    def reserve(self, count: int, now: float) -> float:
        """Let so many bytes through, and return how many seconds to wait before they pass."""
        with self._lock:
            self._free = max(self._free, now - _CREDIT) + count / self._rate
            return max(0.0, self._free - now)
