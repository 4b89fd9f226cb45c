"""The ways threads are used above a destination: independent tasks whose results come in order, a stream that is
read ahead, items that are consumed beside their way, and a stream that is also read as a whole by another reader.

Two rules keep any executor of threads usable, one thread included: a task never submits to the executor or
waits for another task, and only the caller touches a format's state. Tasks hold keys, and so never leave
the process.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from backupkit._chunks import closing_iterator

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_executor() -> Executor:
    """One thread for each of those processors."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(usable_processors(), thread_name_prefix="backupkit")


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


def read_ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """The same items, pulled by a thread of their own, which is at most `depth` of them ahead of the reader.

    What the items raise is raised in their place. When the iterator is closed, the thread ends before the
    next item, is waited for, and has closed what it pulled from.
    """
    ahead: queue.SimpleQueue[tuple[T] | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    closed = threading.Event()

    def pull() -> None:
        end: BaseException | None = None
        try:
            with closing_iterator(items) as iterator:
                for item in iterator:
                    room.acquire()
                    if closed.is_set():
                        return
                    ahead.put((item,))
        except BaseException as error:
            end = error
        ahead.put(end)

    # A daemon: what it pulls from may hang, and must not keep the process from ending.
    thread = threading.Thread(target=pull, name="backupkit read-ahead", daemon=True)
    thread.start()
    try:
        while (found := ahead.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            room.release()
            yield found[0]
    finally:
        closed.set()
        room.release()
        thread.join()


@contextmanager
def beside(consume: Callable[[T], object], depth: int) -> Iterator[Callable[[T], None]]:
    """A function that hands items to a thread, which consumes them in order, at most `depth` of them later.

    All are consumed when the context is left. What `consume` raises is raised there, and no item follows it.
    """
    items: queue.Queue[tuple[T] | None] = queue.Queue(depth)
    failures: list[BaseException] = []

    def run() -> None:
        while (item := items.get()) is not None:
            if not failures:
                try:
                    consume(item[0])
                except BaseException as error:
                    failures.append(error)

    thread = threading.Thread(target=run, name="backupkit beside", daemon=True)
    thread.start()
    try:
        yield lambda item: items.put((item,))
    finally:
        items.put(None)
        thread.join()
    if failures:
        raise failures[0]


class _CutError(Exception):
    """There is no more to read, but what was read is not all there should be."""


def also_read(
    chunks: Iterable[bytes], read: Callable[[Iterator[bytes]], None], depth: int
) -> Iterator[bytes]:
    """The same chunks, which `read` is given too, in a thread of its own and to the end; its failure is raised.

    It may be `depth` chunks behind.

    When the chunks fail or this is closed, `read` is told by an exception, and has ended before that goes on.
    """
    handed: queue.Queue[bytes | _CutError | None] = queue.Queue(depth)
    failures: list[BaseException] = []
    ended = False

    def received() -> Iterator[bytes]:
        nonlocal ended
        while True:
            item = handed.get()
            if not isinstance(item, bytes):
                ended = True
                if item is None:
                    return
                raise item
            yield item

    def run() -> None:
        nonlocal ended
        try:
            read(received())
        except BaseException as error:
            failures.append(error)
        while not ended:  # or whoever hands over would wait for room for ever
            ended = not isinstance(handed.get(), bytes)

    thread = threading.Thread(target=run, name="backupkit also-read", daemon=True)
    thread.start()
    try:
        with closing_iterator(chunks) as iterator:
            for chunk in iterator:
                if failures:
                    break  # a program that nobody can read need not go on for hours
                handed.put(chunk)
                yield chunk
    except BaseException:
        handed.put(_CutError())
        thread.join()
        raise
    handed.put(None)
    thread.join()
    if failures:
        raise failures[0]
