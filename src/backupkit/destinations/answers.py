"""What destinations say to a question, which some never answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from backupkit.errors import DestinationError
from backupkit.protocols import Destination, LimitsStalls

T = TypeVar("T")

_MOMENT = 1.0  # seconds
_STALL_LIMIT = 300.0


def limit_of(destination: Destination, stall_limit: float | None) -> float:
    """For how many seconds it may neither take nor answer anything, if `stall_limit` does not say that."""
    if stall_limit is not None:
        return stall_limit
    # One that ends by itself what does not move knows best how long that takes, and says why it failed.
    own = destination.stall_limit if isinstance(destination, LimitsStalls) else 0.0
    return max(_STALL_LIMIT, own)


def answered(destination: Destination, ask: Callable[[Destination], T], stall_limit: float | None) -> T:
    """Its answer; of one that does not give up by itself, as a mount does not, DestinationError after the limit."""
    if isinstance(destination, LimitsStalls):
        return ask(destination)
    answer = Answer(destination, ask, limit_of(destination, stall_limit))
    try:
        answer.start()
        return answer.wait()
    except BaseException:
        answer.leave()
        raise


def no_answer(location: str, limit: float) -> DestinationError:
    """For a destination that did not answer within so many seconds."""
    return DestinationError(
        f"The destination {location} did not answer within {limit:g} seconds and was dropped: "
        "look at its disk or connection.",
        location=location,
        retryable=True,
    )


class Answer(Generic[T]):
    """A destination's answer, given in a thread of its own, which is left behind if it takes too long."""

    def __init__(self, destination: Destination, ask: Callable[[Destination], T], limit: float) -> None:
        self._destination = destination
        self._ask = ask
        self._limit = limit
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self._until = time.monotonic() + limit
        self._done = threading.Event()
        # A daemon: a destination that hangs must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, name=f"backupkit {destination.location}", daemon=True
        )

    def start(self) -> None:
        """Begin asking. Not in the constructor: Ctrl-C may interrupt this, and `leave` must be possible then."""
        self._thread.start()

    def leave(self) -> None:
        """Wait a moment: a thread that answers should have ended when its user goes on, one that hangs is left."""
        if self._done.wait(min(_MOMENT, self._limit)):
            self._thread.join()

    def wait(self) -> T:
        """The answer, or what it failed with; DestinationError if there is none within the limit."""
        # Not join with a time: in Python 3.11 an interrupt of that takes a thread that runs for one that has ended.
        if self._done.wait(max(0.0, self._until - time.monotonic())):
            self._thread.join()
        if self._error is not None:
            raise self._error
        if not self._answers:
            raise no_answer(self._destination.location, self._limit)
        return self._answers[0]

    def _run(self) -> None:
        try:
            self._answers.append(self._ask(self._destination))
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
