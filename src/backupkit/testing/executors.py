"""`SerialExecutor`: an executor without threads, for tests that must do the same thing every time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class SerialExecutor(Executor):
    """Does what it is given at once, in the thread that gives it; `submitted` counts the calls."""

    def __init__(self) -> None:
        self.submitted = 0
        self._over = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        if self._over:
            raise RuntimeError("the executor was shut down")
        self.submitted += 1
        future: Future[R] = Future()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            future.set_exception(error)
            if not isinstance(error, Exception):
                raise  # Ctrl-C reaches this thread, not a worker's
        else:
            future.set_result(result)  # not above: Ctrl-C in the middle of this is not the function's failure
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._over = True
