"""Reading a file in ranges, several ahead of whoever reads, all of one state of it."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from backupkit._parallel import map_ordered
from backupkit.filesystems.asking import Asking
from backupkit.filesystems.parts import growing
from backupkit.filesystems.stores import Found, Piece
from backupkit.filesystems.transfer import MiB

_FIRST = 1 * MiB
_LARGEST = 4 * MiB  # a connection holds a range twice while it comes: twelve of 8 MiB took 190 MiB

Get: TypeAlias = Callable[[int, int, str | None], Awaitable[Piece | None]]
"""Asks for so many bytes from a start, of the file with this tag; None if the file ends before them."""


def read_ranges(
    asking: Asking,
    get: Get,
    look: Callable[[], Found | None],
    start: int,
    length: int | None,
    *,
    largest: int = _LARGEST,
) -> Iterator[Piece]:
    """Yield the bytes as `FileStore.pieces` does. `look` tells of a file of which nothing is to be had."""
    # Who says how much will read it; who does not may want no more than the beginning.
    first = _FIRST if length is None else min(length, largest)
    piece = asking.moving(first).ask(get, start, first, None) if first else None
    if piece is None:
        found = look()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        piece = Piece(content=b"", size=found.size, tag=found.tag)
    yield piece
    if not piece.content:
        return
    end = piece.size if length is None else min(start + length, piece.size)

    async def fetch(span: tuple[int, int]) -> Piece:
        there = await get(span[0], span[1] - span[0], piece.tag)
        if there is None or len(there.content) != span[1] - span[0]:
            raise OSError(errno.EIO, "other bytes came than were asked for")
        return there

    # Its calls are coroutines here, and their results come all the same: that is what Asking does.
    read: Callable[[tuple[int, int]], Any] = fetch
    spans = _spans(start + len(piece.content), end, largest)
    at_once = asking.transfer.concurrency
    yield from map_ordered(asking.moving(at_once * largest), read, spans, at_once)  # they share the link


def _spans(start: int, end: int, largest: int) -> Iterator[tuple[int, int]]:
    for size in growing(2 * _FIRST, step=1, largest=largest):
        if start >= end:
            return
        until = min(start + size, end)
        yield start, until
        start = until
