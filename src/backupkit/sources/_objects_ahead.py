"""Objects of a store, several of which are read before anybody asks for them."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_ENTRIES = 64  # who reads contents only after so many more entries has them read anew


class ReadAhead(Generic[T, R]):
    """`read(item)` for each item, in order, `at_once` of them under way, in threads.

    Items of `room` bytes together, as `size` has it, are ahead of who takes them, or a single larger one. The
    threads are daemons, and nobody waits for them: what stalls must not keep a process from ending.
    """

    def __init__(self, read: Callable[[T], R], size: Callable[[T], int], *, at_once: int, room: int) -> None:
        self._read = read
        self._size = size
        self._at_once = at_once
        self._room = room
        self._todo: queue.SimpleQueue[tuple[Future[R], T] | None] = queue.SimpleQueue()
        self._threads = 0

    def results(self, items: Iterable[T]) -> Iterator[tuple[T, R]]:
        ahead: deque[tuple[T, Future[R]]] = deque()
        held = 0
        try:
            for item in items:
                size = self._size(item)
                while ahead and (len(ahead) >= 2 * self._at_once or held + size > self._room):
                    first, future = ahead.popleft()
                    yield first, future.result()
                    held -= self._size(first)
                ahead.append((item, self._begun(item)))
                held += size
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()
            for _ in range(self._threads):
                self._todo.put(None)

    def _begun(self, item: T) -> Future[R]:
        future: Future[R] = Future()
        self._todo.put((future, item))
        if self._threads < self._at_once:
            self._threads += 1
            threading.Thread(target=self._work, name="backupkit objects", daemon=True).start()
        return future

    def _work(self) -> None:
        while (todo := self._todo.get()) is not None:
            future, item = todo
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = self._read(item)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del todo, future, item


class Held:
    """What was read of an object before it was asked for, which is given out once; or how that failed."""

    __slots__ = ("_content",)

    def __init__(self, content: list[bytes] | Exception | None) -> None:
        self._content = content

    def take(self) -> list[bytes] | Exception | None:
        content, self._content = self._content, None
        return content

    @property
    def error(self) -> Exception | None:
        return self._content if isinstance(self._content, Exception) else None

    @property
    def size(self) -> int:
        return sum(map(len, self._content)) if isinstance(self._content, list) else 0


class GivenOut:
    """What was given out and nobody has read yet: the oldest is dropped, and read anew, if that is too much."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: deque[Held] = deque()

    def add(self, held: Held) -> None:
        self._held = deque(one for one in self._held if one.size)
        self._held.append(held)
        while len(self._held) > _ENTRIES or (len(self._held) > 1 and self._size() > self._room):
            self._held.popleft().take()

    def _size(self) -> int:
        return sum(one.size for one in self._held)
