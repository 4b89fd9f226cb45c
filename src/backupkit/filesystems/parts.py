"""Uploads in parts: cut to size, several under way at once, in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from backupkit.filesystems.asking import Asking
from backupkit.filesystems.filling import Filling

T = TypeVar("T")

_SLICE = 1 << 18


def cut(chunks: Iterable[bytes], sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut the stream into parts of these sizes, the last one shorter; none is empty.

    The sizes must not end before the stream does.
    """
    wanted = iter(sizes)
    part = Filling(next(wanted))
    for given in chunks:
        chunk = memoryview(given)
        while len(chunk) >= part.room:
            chunk = chunk[part.write(chunk) :]
            yield part.taken()
            part = Filling(next(wanted))
        part.write(chunk)
    if last := part.taken():
        yield last


async def slices(part: bytes | memoryview) -> AsyncIterator[memoryview]:
    """The part again, for a connection that would keep a copy of what it is given all at once."""
    view = memoryview(part)
    for start in range(0, len(view), _SLICE):
        yield view[start : start + _SLICE]


def growing(first: int, *, step: int, largest: int) -> Iterator[int]:
    """Sizes of parts of a store that allows only so many: doubled after each `step` parts, until the `largest`.

    With 8 MiB, 800 and 1 GiB, S3's 10,000 parts hold 5.07 TiB, and the first 6 GiB go in small ones.
    """
    size = first
    while True:
        for _ in range(step):
            yield size
        size = min(2 * size, max(first, largest))


def send_parts(
    asking: Asking,
    send: Callable[[int, bytes], Coroutine[Any, Any, T]],
    parts: Iterable[bytes],
    *,
    room: int,
) -> list[T]:
    """Send parts, numbered from 1, and return the answers in order.

    Parts of `room` bytes together are under way at once, or a single larger one; another one is being filled
    meanwhile. Each may take as long as all of them: they share the link. When one fails for good, or the parts do,
    those under way are given up and the failure is raised.
    """
    answers: dict[int, T] = {}
    under_way: dict[Future[T], tuple[int, int]] = {}
    held = 0

    def end_some() -> int:
        """Wait until one has ended, whichever that is, and return how many bytes have."""
        ended = 0
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            number, size = under_way.pop(future)
            answers[number] = future.result()
            ended += size
        return ended

    try:
        for number, part in enumerate(parts, start=1):
            while under_way and held + len(part) > room:
                held -= end_some()
            future = asking.moving(max(room, len(part))).submit(send, number, part)
            under_way[future] = (number, len(part))
            held += len(part)
        while under_way:
            end_some()
    finally:
        for future in under_way:
            future.cancel()
    return [answers[number] for number in sorted(answers)]
