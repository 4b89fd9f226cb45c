"""What every destination owes the stream it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


class Sent:
    """A stream on its way to a store: how many bytes it had, and with what it failed, if it did."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self.size = 0
        self.failure: BaseException | None = None
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._stream)
        except StopIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise
        self.size += len(chunk)
        return chunk

    def raise_failure(self) -> None:
        """Raise what the stream failed with, unchanged, and forget it: its traceback knows this object."""
        failure, self.failure = self.failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure


@contextmanager
def closed_on_failure(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Give the iterator of the items; if the body fails, close it, so that its files and processes end."""
    stream = iter(items)
    try:
        yield stream
    except BaseException:
        with suppress(Exception):  # the failure that is already on its way says more
            getattr(stream, "close", lambda: None)()
        raise
