"""Calls that may be repeated: each attempt within its time, all of them within the patience for one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from backupkit.filesystems.failures import asked_to_wait, may_pass
from backupkit.filesystems.letting_go import let_go
from backupkit.filesystems.transfer import Transfer
from backupkit.retrying import spread_wait

T = TypeVar("T")

_WAIT, _LONGEST_WAIT = 0.25, 20.0  # seconds before the second attempt, doubled each time, and at most


def ask(transfer: Transfer, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call it, again after failures that may pass. Its own time-out is the library's."""
    import tenacity

    retrying = tenacity.Retrying(**_terms(transfer))
    try:
        return retrying(function, *arguments, **options)
    except BaseException as error:
        let_go(error)
        raise


class AskingInThreads(Executor):
    """The same for functions that block, each in a thread of its own.

    An executor, so that `map_ordered` can have several under way. Cancelling what has begun leaves it behind: it is
    not tried again, and ends when its attempt does. The threads are daemons, so that nobody waits for a connection
    that has stalled: neither who is interrupted, nor the end of the process.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Begin calling the function."""
        future: Future[T] = Future()  # never set running, so that it can be cancelled until it has ended

        def attempts() -> None:
            import tenacity

            terms = _terms(self._transfer)
            terms["stop"] |= lambda _: future.cancelled()
            try:
                result = tenacity.Retrying(**terms)(fn, *args, **kwargs)
            except BaseException as error:
                with suppress(InvalidStateError):
                    future.set_exception(error)
            else:
                with suppress(InvalidStateError):
                    future.set_result(result)

        threading.Thread(target=attempts, name="backupkit request", daemon=True).start()
        return future


class Asking(Executor):
    """The same for coroutine functions, which run on the loop of an asynchronous file system.

    An executor, so that `map_ordered` can have several under way. Cancelling what has begun ends it, so that nobody
    waits for a connection that has stalled.
    """

    def __init__(self, transfer: Transfer, loop: asyncio.AbstractEventLoop, *, moving: int = 0) -> None:
        self.transfer = transfer
        self.loop = loop
        self._seconds = transfer.seconds_for(moving)

    def moving(self, size: int) -> Asking:
        """The same, for calls that move so many bytes each and may take as long."""
        return Asking(self.transfer, self.loop, moving=size)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin calling the coroutine function."""
        return asyncio.run_coroutine_threadsafe(self._attempts(fn, *args, **kwargs), self.loop)

    def ask(self, function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
        """Call it, and wait for the answer."""
        future: Future[T] = self.submit(function, *args, **kwargs)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _attempts(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        import tenacity

        async def attempt() -> T:
            try:
                return await asyncio.wait_for(function(*args, **kwargs), self._seconds)
            except Exception as error:
                # Python 3.11 forgets that it was cancelled, if that came while the call was failing: it would be
                # tried again, after who asked has gone, and log an error that nobody waits for.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError from error
                raise

        return await tenacity.AsyncRetrying(**_terms(self.transfer))(attempt)


def _terms(transfer: Transfer) -> dict[str, Any]:
    import tenacity

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = asked_to_wait(error) if error else 0.0
        return asked + spread_wait(state.attempt_number, first=_WAIT, longest=_LONGEST_WAIT)

    return {
        "stop": tenacity.stop_before_delay(transfer.patience),
        "wait": wait,
        "retry": tenacity.retry_if_exception(may_pass),
        "reraise": True,
    }
