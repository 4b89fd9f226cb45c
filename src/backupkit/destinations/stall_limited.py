"""`StallLimited`: a destination of which no call lasts for ever, as those to a mount that hangs do."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar, cast

from backupkit.destinations.answers import limit_of, no_answer
from backupkit.destinations.fan_out import FanOut, of_a_destination
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import BackupKitError
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, LimitsStalls

T = TypeVar("T")


class StallLimited(Wrapping):
    """Gives up what is neither taken nor answered for `limit` seconds; whatever it fails with is an error of ours.

    Without a `limit` it is five minutes, or longer for a destination that says that it gives up by itself. Each
    call is made anew, whatever became of the one before. Objects are read, and names listed, as a whole: for
    formats whose objects fit into memory.

    Within its context, the calls are made on threads that are kept for the next one, because a format may
    read thousands of small objects: a call takes 55 µs on the caller's own thread, 60 on one that is kept, and 225
    on a new one.
    """

    def __init__(self, inner: Destination, limit: float | None = None) -> None:
        super().__init__(inner)
        self._given = limit
        self._limit = limit_of(inner, limit)
        self._ends_by_itself = limit is None and isinstance(inner, LimitsStalls)
        self._keeps = False
        self._idle: deque[_Caller] = deque()

    def __enter__(self) -> Self:
        self._keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps = False
        while self._idle:
            self._idle.pop().dismiss()

    def around(self, inner: Destination) -> StallLimited:
        return StallLimited(inner, self._given)

    def __reduce__(self) -> tuple[type[StallLimited], tuple[Destination, float | None]]:
        return StallLimited, (self.inner, self._given)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        return FanOut([self.inner], stall_limit=self._given).write(name, chunks, overwrite=overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        yield self._answer(lambda: b"".join(self.inner.read(name, start=start, length=length)))

    def stat(self, name: str) -> StoredObject:
        return self._answer(lambda: self.inner.stat(name))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        yield from self._answer(lambda: [*self.inner.list(prefix)])

    def delete(self, name: str) -> None:
        self._answer(lambda: self.inner.delete(name))

    def _answer(self, ask: Callable[[], T]) -> T:
        try:
            return ask() if self._ends_by_itself else self._answered(ask)
        except BackupKitError:
            raise
        except Exception as error:
            raise of_a_destination(self.location, error) from error

    def _answered(self, ask: Callable[[], T]) -> T:
        try:
            caller = self._idle.pop()
        except IndexError:
            caller = None
        if caller is None or not caller.is_alive():  # after a fork the threads are the other process's
            caller = _Caller(self.location)
        try:
            answer = caller.answer(ask, self._limit)
        except queue.Empty:
            caller.dismiss()
            raise no_answer(self.location, self._limit) from None
        except BaseException:  # of the waiting itself, such as Ctrl-C
            caller.dismiss()
            raise
        self._keep(caller)
        if isinstance(answer, _Failure):
            raise answer.error
        return answer

    def _keep(self, caller: _Caller) -> None:
        if self._keeps:
            self._idle.append(caller)
        if not self._keeps:  # left meanwhile, by a thread that may have looked before this one was there
            caller.dismiss()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Caller:
    """A thread that makes one call at a time."""

    def __init__(self, location: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        # A daemon: a destination that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"backupkit {location}", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def answer(self, ask: Callable[[], T], limit: float) -> T | _Failure:
        """What the call returned, or what it failed with; queue.Empty if neither is there in time."""
        self._calls.put(ask)
        return cast("T | _Failure", self._answers.get(timeout=limit))

    def dismiss(self) -> None:
        """Let the thread end after what it is at."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            answer: Any
            try:
                answer = call()
            except BaseException as error:
                answer = _Failure(error)
            self._answers.put(answer)
            del call, answer  # an idle thread holds on to nothing
