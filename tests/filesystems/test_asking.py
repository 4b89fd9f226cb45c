"""Calls are tried again as long as there is patience, and as the store asked for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from backupkit.filesystems.asking import AskingInThreads, ask
from backupkit.filesystems.transfer import Transfer


class AskedToWaitError(ConnectionError):
    def __init__(self, seconds: float) -> None:
        super().__init__("wait")
        self.backoff = seconds


def test_a_store_that_asks_for_patience_is_not_called_before() -> None:
    called: list[float] = []

    def call() -> None:
        called.append(time.monotonic())
        if len(called) == 1:
            raise AskedToWaitError(0.3)

    ask(Transfer(patience=60), call)
    assert called[1] - called[0] >= 0.3


def test_a_store_that_asks_for_more_than_there_is_gets_none() -> None:
    called: list[int] = []

    def call() -> None:
        called.append(1)
        raise AskedToWaitError(3600)

    with pytest.raises(AskedToWaitError):
        ask(Transfer(patience=60), call)
    assert len(called) == 1


def test_what_a_thread_asks_is_tried_again_and_answered() -> None:
    called: list[int] = []

    def call(number: int) -> int:
        called.append(number)
        if len(called) == 1:
            raise ConnectionResetError
        return 2 * number

    assert AskingInThreads(Transfer()).submit(call, 21).result(60) == 42
    assert called == [21, 21]


def test_a_failure_that_will_not_pass_is_raised_at_once() -> None:
    called: list[int] = []

    def call() -> None:
        called.append(1)
        raise PermissionError

    with pytest.raises(PermissionError):
        AskingInThreads(Transfer()).submit(call).result(60)
    assert called == [1]


def test_what_is_cancelled_is_left_behind_and_not_tried_again() -> None:
    called: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def call() -> None:
        called.append(1)
        begun.set()
        go_on.wait(60)
        raise ConnectionResetError

    future = AskingInThreads(Transfer()).submit(call)
    begun.wait(60)
    thread = next(one for one in threading.enumerate() if one.name == "backupkit request")
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(60)
    go_on.set()
    thread.join(60)
    assert not thread.is_alive()
    assert called == [1]
    assert thread.daemon
