"""How a task is told to stop: by signals, which become the `cancel` of the operation that is under way."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, NoReturn

from billiard.pool import soft_timeout_sighandler

from backupkit._operation import Cancel

_REASONS: dict[int, Literal["time", "told"]] = {signal.SIGUSR1: "time", signal.SIGTERM: "told"}
_BECAUSE = {"time": "its time limit was reached", "told": "its process was told to stop"}


class Stop:
    """`cancel` is set when the task is to stop, and `reason` says why: its time is over, or it was told to."""

    def __init__(self) -> None:
        self.cancel = Cancel()
        self.reason: Literal["time", "told"] | None = None


@contextmanager
def stoppable() -> Iterator[Stop]:
    """What the signals of Celery mean meanwhile, in a process of the prefork pool; elsewhere they are left alone.

    Celery's own handlers raise SoftTimeLimitExceeded wherever the code is just then, where it may be swallowed as
    any error is, and let SIGTERM end the process at once, which would leave the lock behind. Here it ends when
    nothing is half-done any more.
    """
    stop = Stop()
    if not in_prefork():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.reason != "told":
            stop.reason = _REASONS[number]
            stop.cancel.because = _BECAUSE[stop.reason]
        # Not here: the event's own lock may be held by what the signal has interrupted.
        _thread.start_new_thread(stop.cancel.set, ())

    before = {number: signal.signal(number, handle) for number in _REASONS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.reason == "told":
            _end_process()


def _end_process() -> NoReturn:
    """As SIGTERM does without us.

    Celery counts on it. Whatever became of a process that lived on would later be taken for this revocation, and
    its task would be lost. The message of a task that was not revoked is delivered again.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    os._exit(1)  # whatever a system makes of that, nothing goes on here


def in_prefork() -> bool:
    """Whether this is the main thread of a process of the prefork pool: only there Celery's signals are heard."""
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGUSR1) is soft_timeout_sighandler
    )
