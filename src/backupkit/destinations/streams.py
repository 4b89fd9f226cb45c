"""What every destination owes the stream it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


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
