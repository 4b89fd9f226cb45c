"""How often, and after how long, something that may succeed later is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType

from backupkit.errors import ConfigurationError

_DAY = 86_400.0


def is_retryable(error: BaseException) -> bool:
    """Whether the error itself, or one of its group, says that another attempt may succeed."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_retryable(one) for one in error.exceptions)
    return getattr(error, "retryable", False) is True


def may_pass(error: BaseException) -> bool:
    """Whether telling somebody, which failed with this, may succeed later: failures of a network are OSErrors."""
    return is_retryable(error) or isinstance(error, OSError)


def spread_wait(attempt: int, *, first: float, longest: float) -> float:
    """Seconds before the next attempt: by chance, up to a limit that is `first` and doubles after each attempt.

    Without chance, all that a store refused at one moment would come back at one moment. The generator is not the
    application's, which may be seeded, and in use by another thread.
    """
    from random import SystemRandom

    return SystemRandom().uniform(0, min(longest, first * 2.0 ** min(attempt - 1, 60)))


def _nobody(seconds: float, error: BaseException) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try up to `tries` times, `wait` seconds apart, whatever fails with an error that is `retryable`."""

    tries: int = 3
    wait: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False, repr=False)
    tell: Callable[[float, BaseException], None] = field(default=_nobody, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.tries < 1 or self.wait < 0:
            raise ConfigurationError(
                f"Retry(tries={self.tries}, wait={self.wait}) is not possible: "
                "use at least one try and a wait of zero or more seconds."
            )

    def attempts(self) -> Iterator[AbstractContextManager[object]]:
        """Yield context managers; the body of one that fails retryably is run again in the next.

        The last failure, and any that is not retryable, is raised from the loop.
        """
        # The first attempt is our own: tenacity costs more per use than reading a small file does.
        first = _FirstAttempt()
        yield first
        if first.error is None:
            return
        if self.tries == 1:
            raise first.error
        self.tell(self.wait, first.error)
        self.sleep(self.wait)
        import tenacity

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if error is not None:
                self.tell(self.wait, error)

        yield from tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.tries - 1),
            wait=tenacity.wait_fixed(self.wait),
            retry=tenacity.retry_if_exception(is_retryable),
            sleep=self.sleep,
            before_sleep=tell,
            reraise=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How hard notifiers and the history are tried: `tries` times, `wait` seconds apart, doubled each time.

    `limit` is how many seconds an operation waits, at its end, for all of them together. What has not finished
    then is left behind, with a warning in the report: notifiers after three quarters of it, so that the
    report is kept although they hang.
    """

    tries: int = 3
    wait: float = 2.0
    limit: float = 30.0

    def __post_init__(self) -> None:
        try:
            possible = self.tries >= 1 and 0 <= self.wait <= _DAY and 0 < self.limit <= _DAY
        except TypeError:
            possible = False
        if not possible:
            raise ConfigurationError(
                f"Delivery(tries={self.tries!r}, wait={self.wait!r}, limit={self.limit!r}) is not possible: use "
                "at least one try, a wait of zero or more seconds, and a limit above zero, both of a day at most."
            )

    def deliver(self, do: Callable[[], object], stopped: threading.Event) -> None:
        """Call it, again after failures that may pass; the last failure is raised.

        Those are errors that are `retryable`, and any OSError, as which failures of a network come. Once
        `stopped` is set, no call begins any more.
        """
        wait = self.wait
        for left in reversed(range(self.tries)):
            try:
                do()
                return
            except Exception as error:
                if not left or not may_pass(error) or stopped.wait(wait):
                    raise
            wait = min(2 * wait, _DAY)


class _FirstAttempt:
    error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not is_retryable(error):
            return False
        self.error = error
        return True
