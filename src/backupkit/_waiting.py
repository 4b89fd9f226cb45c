"""Work of others that is waited for until a deadline, and then left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from backupkit.errors import BackupKitError

_T = TypeVar("_T")


class Deadline:
    """The limit, which begins when this is made."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._begin = time.monotonic()

    def left(self, part: float) -> float:
        """Seconds until that part of the limit is over."""
        return max(0.0, self._begin + self.limit * part - time.monotonic())


class Work(Generic[_T]):
    """Something that is done on a daemon thread, so that a server that hangs cannot make anyone wait."""

    def __init__(self, do: Callable[[], _T]) -> None:
        self.result: _T | None = None
        self._failed: str | None = None
        self._do = do
        self._done = threading.Event()
        try:
            threading.Thread(target=self._run, name="backupkit-telling", daemon=True).start()
        except Exception as error:  # no more threads
            self._failed = _text(error)
            self._done.set()

    def wait(self, seconds: float) -> None:
        self._done.wait(seconds)

    def failure(self, until: Deadline, part: float) -> str | None:
        """What went wrong, once it has ended or its time is over; to stand after the name of who it concerns."""
        self.wait(until.left(part))
        if not self._done.is_set():
            return f"had not finished after {until.limit * part:g} seconds and was left behind."
        return None if self._failed is None else f"failed: {self._failed}"

    def _run(self) -> None:
        try:
            self.result = self._do()
        except BaseException as error:
            self._failed = _text(error)
        finally:
            self._done.set()


def _text(error: BaseException) -> str:
    # The text of an error that is not ours may hold an address that is a secret, as those of chat services are.
    try:
        return str(error) if isinstance(error, BackupKitError) else type(error).__name__
    except Exception:  # somebody's own kind of ours
        return type(error).__name__
