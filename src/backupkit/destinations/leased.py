"""`Leased`: a destination at which nothing becomes visible unless the lock of the run is still held."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Self

from backupkit.destinations.streams import closed_on_failure
from backupkit.destinations.wrapping import Wrapping
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, Lease

_OFTEN = 30.0  # seconds


class Leased(Wrapping):
    """Another destination, to which an object is committed only if the lease passes its check then.

    It is checked after the last chunk and before the commit, and a lease that was lost fails the write as an
    exception of the chunks does; now and then before, too, lest a run go on for hours beside another. Deleting is
    kept from nobody: all that a run deletes is its own, such as what a destination kept of an object that was
    broken off, or the lock on a repository. Nor is anything committed once the run has ended, by a thread that was
    left behind with a destination that hung.

    Another process gets the destination itself: it has no lease, and nothing that it writes is visible until this
    one has written something, too.
    """

    def __init__(self, inner: Destination, lease: Lease) -> None:
        super().__init__(inner)
        self._lease = lease

    def around(self, inner: Destination) -> Self:
        return type(self)(inner, self._lease)

    def __reduce__(self) -> tuple[object, ...]:
        return _itself, (self.inner,)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            return self.inner.write(name, self._checked(stream), overwrite=overwrite)

    def _checked(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        checked = time.monotonic()
        for chunk in chunks:
            yield chunk
            if time.monotonic() - checked > _OFTEN:
                self._lease.check()
                checked = time.monotonic()
        self._lease.check()


def _itself(destination: Destination) -> Destination:
    return destination
