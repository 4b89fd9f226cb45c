from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from backupkit.filesystems.asking import Asking, ask
from backupkit.filesystems.transfer import Transfer


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Failing:
    """A call that fails so many times, and then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"

    async def later(self) -> str:
        return self()


FOR_EVER = 1_000_000


def test_a_failure_that_may_pass_is_tried_again(loop: asyncio.AbstractEventLoop) -> None:
    assert ask(Transfer(), Failing(ConnectionResetError(), 1)) == "done"
    assert Asking(Transfer(), loop).ask(Failing(ConnectionResetError(), 1).later) == "done"


def test_a_failure_that_stays_is_raised_at_once(loop: asyncio.AbstractEventLoop) -> None:
    call = Failing(PermissionError("no"), FOR_EVER)
    with pytest.raises(PermissionError):
        ask(Transfer(), call)
    with pytest.raises(PermissionError):
        Asking(Transfer(), loop).ask(call.later)
    assert call.calls == 2


def test_patience_has_an_end_and_then_the_last_failure_is_raised(loop: asyncio.AbstractEventLoop) -> None:
    impatient = Transfer(patience=0.01)
    with pytest.raises(ConnectionResetError):
        ask(impatient, Failing(ConnectionResetError(), FOR_EVER))
    with pytest.raises(ConnectionResetError):
        Asking(impatient, loop).ask(Failing(ConnectionResetError(), FOR_EVER).later)


def test_an_attempt_that_stalls_ends_at_its_time_limit(loop: asyncio.AbstractEventLoop) -> None:
    stalled = 0

    async def stall() -> None:
        nonlocal stalled
        stalled += 1
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        Asking(Transfer(time_limit=0.01, patience=0.01), loop).ask(stall)
    assert stalled >= 1


def test_cancelling_what_has_begun_ends_it(loop: asyncio.AbstractEventLoop) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def stall() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    future = Asking(Transfer(), loop).submit(stall)
    assert begun.wait(10)
    future.cancel()
    assert ended.wait(10)


def test_who_moves_much_may_take_longer() -> None:
    assert Transfer(time_limit=60).seconds_for(64 << 20) == 60 + 1024
