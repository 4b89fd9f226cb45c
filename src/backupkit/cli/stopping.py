"""Signals that end an operation so that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STDERR = 2


@contextmanager
def cancelled_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM or Ctrl-C sets; whichever comes second raises KeyboardInterrupt.

    In a thread of an application, which has its own way with signals, nothing sets it.
    """
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    received = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received > 1:
            raise KeyboardInterrupt
        if number == signal.SIGINT and os.isatty(_STDERR):
            with suppress(OSError):
                # Not print: the signal may have come in the midst of one, which is not reentrant.
                os.write(_STDERR, b"\nCancelling; press Ctrl-C again to stop at once.\n")
        cancel.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
