"""The one way threads are used above a destination: ordered results of independent tasks.

Two rules keep any executor of threads usable, one thread included: a task never submits to the executor or
waits for another task, and only the caller touches a format's state. Tasks hold keys, and so never leave
the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")


def map_ordered(
    executor: Executor | None, function: Callable[[T], R], items: Iterable[T], window: int
) -> Iterator[R]:
    """Yield `function(item)` for each item, in order, with at most `window` of them ahead of the reader.

    Items are pulled by the caller's thread. Without an executor the calls happen in it too. When the
    iterator is closed, what has not begun is cancelled and what has is waited for.
    """
    if executor is None:
        for item in items:
            yield function(item)
        return
    ahead: deque[Future[R]] = deque()
    try:
        for item in items:
            ahead.append(executor.submit(function, item))
            if len(ahead) >= window:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()
        for future in ahead:
            if not future.cancelled():
                future.exception()
