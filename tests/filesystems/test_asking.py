"""Calls are tried again as long as there is patience, and as the store asked for."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from backupkit.filesystems.asking import Asking, AskingInThreads, ask
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


@pytest.mark.parametrize("error", [FileNotFoundError, ConnectionError])
def test_what_a_failed_call_was_given_is_let_go_of_without_the_collector(error: type[Exception]) -> None:
    class Connection:
        def look(self) -> None:
            raise error

    connection = Connection()
    there = weakref.ref(connection)
    gc.disable()
    try:
        with pytest.raises(error):
            ask(Transfer(patience=0.01), connection.look)
        del connection
        assert there() is None
    finally:
        gc.enable()


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


def test_what_is_cancelled_while_it_fails_is_not_tried_again_and_nobody_is_told(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    asked: Future[Future[None]] = Future()
    called: list[int] = []

    async def fail() -> None:
        called.append(1)
        (await asyncio.wrap_future(asked)).cancel()
        if len(called) == 1:
            raise ConnectionResetError

    async def all_others() -> None:
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        gc.collect()  # which is when asyncio tells of a failure that nobody took

    gc.collect()  # and what others have left is told of before
    caplog.clear()
    future = Asking(Transfer(), loop).submit(fail)
    ended = asyncio.run_coroutine_threadsafe(all_others(), loop)
    asked.set_result(future)
    ended.result(60)
    assert future.cancelled()
    assert called == [1]
    assert caplog.messages == []
