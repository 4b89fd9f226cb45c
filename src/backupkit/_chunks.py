"""What one can do to a stream of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T")


def rechunk(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut the stream into pieces of exactly `size` bytes, the last one shorter; never an empty one.

    A chunk that already has the size passes through uncopied.
    """
    parts: list[bytes] = []
    held = 0
    for given in chunks:
        chunk = bytes(given)  # no copy of bytes; a source that fills one buffer again and again is copied
        start = 0
        while held + len(chunk) - start >= size:
            end = start + size - held
            if not held and start == 0 and end == len(chunk):
                yield chunk
            else:
                parts.append(chunk[start:end])
                yield b"".join(parts)
                parts.clear()
                held = 0
            start = end
        if start < len(chunk):
            parts.append(chunk[start:] if start else chunk)
            held += len(chunk) - start
    if held:
        yield b"".join(parts)


def gather(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Join small chunks until `size` bytes are together: fewer, larger writes further down."""
    parts: list[bytes] = []
    held = 0
    for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held >= size:
            yield b"".join(parts) if len(parts) > 1 else chunk
            parts.clear()
            held = 0
    if held:
        yield b"".join(parts)


def hold_back(chunks: Iterable[bytes], count: int, tail: bytearray) -> Iterator[bytes]:
    """Yield everything but the last `count` bytes of the stream, which are in `tail` when it ends."""
    for chunk in chunks:
        if len(chunk) >= count:
            if tail:
                yield bytes(tail)
            if len(chunk) > count:
                yield chunk[: len(chunk) - count]
            tail[:] = chunk[len(chunk) - count :]
        else:
            tail += chunk
            if len(tail) > count:
                yield bytes(tail[:-count])
                del tail[:-count]


def begun(chunks: Iterator[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `length` bytes, or fewer if there are no more, and all of the stream, these included."""
    taken: list[bytes] = []
    held = 0
    while held < length and (chunk := next(chunks, None)) is not None:
        taken.append(chunk)
        held += len(chunk)
    head = b"".join(taken)
    return head[:length], chain([head] if head else [], chunks)


class closing_iterator(Generic[T]):  # noqa: N801 - it is used like contextlib.closing
    """Iterate over the items, and close their iterator afterwards if it can be closed."""

    __slots__ = ("_iterator",)  # a class, because a generator's context costs more than a small file's hash

    def __init__(self, items: Iterable[T]) -> None:
        self._iterator = iter(items)

    def __enter__(self) -> Iterator[T]:
        return self._iterator

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            try:
                close()
            except ValueError:
                # After a second Ctrl-C, which did not wait for the thread that runs it, the first error counts.
                if kind is None:
                    raise
