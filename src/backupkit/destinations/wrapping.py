"""`Wrapping`: a destination in front of another one, which it changes in one respect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, HasLeftovers, LimitsStalls, OnThisMachine


class Wrapping:
    """Passes every call on to `inner`, and can what that can of the optional protocols, and nothing else."""

    def __init__(self, inner: Destination) -> None:
        self.inner = inner
        carry_over(self, inner)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def location(self) -> str:
        return self.inner.location

    def around(self, inner: Destination) -> Self:
        """The same in front of another destination, as of the folder above."""
        return type(self)(inner)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        return self.inner.write(name, chunks, overwrite=overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        return self.inner.read(name, start=start, length=length)

    def stat(self, name: str) -> StoredObject:
        return self.inner.stat(name)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return self.inner.list(prefix)

    def delete(self, name: str) -> None:
        self.inner.delete(name)


def carry_over(wrapper: object, inner: Destination) -> None:
    """Give a wrapper what the optional protocols ask for, as far as the destination has it.

    As attributes of the instance: `isinstance` asks whether they exist, so a class that had them would promise them
    for every destination; and what `__getattr__` finds does not count since Python 3.12.
    """
    own = vars(wrapper)
    if isinstance(inner, OnThisMachine):
        own["folder"] = inner.folder
    if isinstance(inner, HasLeftovers):
        own["leftovers"], own["discard"] = inner.leftovers, inner.discard
    if isinstance(inner, LimitsStalls):
        own["stall_limit"] = inner.stall_limit


def innermost(destination: Destination) -> Destination:
    """The destination behind all wrappers."""
    while isinstance(destination, Wrapping):
        destination = destination.inner
    return destination
