"""`Asked`: one question whose answer takes time, asked on a thread and shared by all who want to know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from backupkit.errors import told

T = TypeVar("T")

_LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The last answer, which stays when the question fails later; `error` is how it failed last, or None.

    `asking` is for how many seconds it has been asked now, or None.
    """

    value: T | None
    error: str | None
    asking: float | None


class Turns:
    """Lets so many ask at a time. Whoever has waited `patience` goes on, so that nobody waits for what hangs."""

    def __init__(self, count: int, patience: float) -> None:
        self._free = threading.Semaphore(count)
        self._patience = patience

    @contextmanager
    def taken(self) -> Iterator[None]:
        mine = self._free.acquire(timeout=self._patience)
        try:
            yield
        finally:
            if mine:
                self._free.release()


class Asked(Generic[T]):
    """Asks at most once in `period`, by one thread at a time, however long that takes.

    What fails slowly is asked ever more rarely, since each attempt may leave a thread behind that hangs.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], T],
        *,
        period: float,
        patience: float,
        turns: Turns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._question = ask
        self._period = self._pause = period
        self._patience = patience
        self._turns = turns
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._value: T | None = None
        self._error: str | None = None
        self._taken = float("-inf")  # when the last answer began, which may not know what happened after that
        self._began: float | None = None
        self._current = False
        self._again = False

    def begin(self) -> None:
        """Ask, if it is time to, and nobody does."""
        with self._changed:
            if self._began is not None or self._monotonic() - self._taken < self._pause:
                return
            self._began = self._monotonic()
            thread = threading.Thread(target=self._ask, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the next one who wants to know tries again
            with self._changed:
                self._began = None

    def answer(self, until: float) -> Answer[T]:
        """What is known; but what has never been told, or has changed, is waited for `until` then.

        What has not answered for `patience` is silent, and nobody waits for it.
        """
        with self._changed:
            while not self._current and self._began is not None:
                left = min(until, self._began + self._patience) - self._monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            asking = None if self._began is None else self._monotonic() - self._began
            return Answer(self._value, self._error, asking)

    def forget(self) -> None:
        """Something has changed. What is being asked now may not know it yet, and is then asked once more."""
        with self._changed:
            self._taken = float("-inf")
            self._current = False
            self._again = self._began is not None

    def _ask(self) -> None:
        while True:
            value: T | None = None
            error: str | None = None
            with self._turns.taken():
                began = self._began = self._monotonic()
                try:
                    value = self._question()
                except Exception as failure:
                    error = told(failure)
                took = self._monotonic() - began
            with self._changed:
                self._value, self._error = self._value if value is None else value, error
                self._pause = self._period if error is None or took < self._patience else self._longer(took)
                if not self._again:
                    self._taken, self._current, self._began = began, True, None
                    self._changed.notify_all()
                    return
                self._again = False

    def _longer(self, took: float) -> float:
        return max(self._period, min(_LONGEST_PAUSE, max(took, 2 * self._pause)))
