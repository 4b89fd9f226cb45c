"""`Numbers`: how far an operation has come, for whoever follows it from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from backupkit.events import BytesRead, EntryStarted, Event, Expected


class Numbers:
    """An observer that hands on numbers, each `every` seconds at most. No names of files: others may read them."""

    def __init__(self, hand_on: Callable[[dict[str, Any]], object], *, every: float = 1.0) -> None:
        self._hand_on = hand_on
        self._every = every
        self._began = self._told = time.monotonic()
        self._entries = self._read = 0
        self._expected: int | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Expected(size):
                self._expected = (self._expected or 0) + size
            case EntryStarted():
                self._entries += 1
            case BytesRead(count):
                self._read += count
            case _:
                return
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            self._hand_on(self._numbers(now - self._began))

    def _numbers(self, seconds: float) -> dict[str, Any]:
        rate = self._read / seconds
        left = None if self._expected is None else max(0, self._expected - self._read)
        return {
            "entries": self._entries,
            "read": self._read,
            "expected": self._expected,
            "rate": round(rate),
            "remaining": None if left is None or not rate else round(left / rate, 1),
        }

    def __repr__(self) -> str:
        return "Numbers()"
