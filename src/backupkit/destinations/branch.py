"""One of the threads below a `FanOut`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from backupkit.errors import DestinationError, OutcomeUnknownError, not_kept_whole
from backupkit.model import StoredObject
from backupkit.protocols import Destination

_ROOM = 8 << 20  # bytes a destination may lag behind the stream


class Branch:
    """One destination's end of the stream: a bounded queue, and the thread that writes what is in it.

    Exactly one of `result` and `error` is set once it is `over`. All methods are for the pumping thread.
    """

    def __init__(self, destination: Destination, name: str, overwrite: bool, stall_limit: float) -> None:
        self.destination = destination
        self._name = name
        self.over = False
        self.result: StoredObject | None = None
        self.error: BaseException | None = None
        self._stall_limit = stall_limit
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._last = False  # nothing more will be put
        self._taken = 0
        self._drained = False  # the destination has seen the end
        self._stalled = False
        self._stop: BaseException | None = None
        # A daemon: a destination that hangs must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(name, overwrite), name=f"backupkit {destination.location}", daemon=True
        )

    def start(self) -> None:
        """Begin writing. Not in the constructor: Ctrl-C may interrupt this, and `abort` must be possible then."""
        self._thread.start()

    def put(self, chunk: bytes) -> None:
        """Hand over a chunk, waiting for room; does nothing once the branch is over."""
        with self._changed:
            self._wait_until(lambda: not self._queue or self._held + len(chunk) <= _ROOM)
            if not self.over:
                self._queue.append(chunk)
                self._held += len(chunk)
                self._changed.notify_all()

    def finish(self) -> None:
        """Say that the last chunk was put."""
        with self._changed:
            self._last = True
            self._changed.notify_all()

    def abort(self, error: BaseException) -> None:
        """Let the destination's next pull raise this."""
        with self._changed:
            self._stop = self._stop or error
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until the destination has ended, one way or the other, or has stalled."""
        if self._thread.ident is None:
            return  # interrupted before it began; should it yet begin, it sees that it was aborted
        with self._changed:
            self._wait_until(lambda: False)
            stalled = self._stalled
        if not stalled:
            self._thread.join()

    def leave(self, until: float) -> None:
        """Wait until it has ended, but not beyond that moment of the monotonic clock; it ends later by itself."""
        if self._thread.ident is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: self.over, max(0.0, until - time.monotonic()))
        if self.over:
            self._thread.join()

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        # Only the thread wakes us, by taking a chunk or by ending: a wait that runs into its limit means
        # that neither has happened in all that time.
        while not (self.over or ready()):
            if not self._changed.wait(self._stall_limit):
                self._stalled = True
                self._end(error=self._stall_error())

    def _run(self, name: str, overwrite: bool) -> None:
        try:
            if self._stop:
                raise self._stop
            result = self.destination.write(name, self._chunks(), overwrite=overwrite)
            if not self._drained or result.size != self._taken:
                with suppress(Exception):  # nothing half-written is to be visible
                    if not overwrite:
                        self.destination.delete(name)
                raise not_kept_whole(self.destination.location, name, stored=result.size, given=self._taken)
        except BaseException as error:
            self._end(error=error)
        else:
            self._end(result=result)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._last or self._stop)
                if self._stop:
                    raise self._stop
                if not self._queue:
                    self._drained = True
                    return
                chunk = self._queue.popleft()
                self._held -= len(chunk)
                self._taken += len(chunk)
                self._changed.notify_all()
            yield chunk

    def _end(self, *, result: StoredObject | None = None, error: BaseException | None = None) -> None:
        """Settle the outcome; what a stalled destination answers after that changes nothing."""
        with self._changed:
            if not self.over:
                self.result, self.error, self.over = result, error, True
                self._stop = self._stop or error
                self._queue.clear()
                self._changed.notify_all()

    def _stall_error(self) -> DestinationError:
        location = self.destination.location
        if self._drained:
            return OutcomeUnknownError(
                f"Whether {location} has kept the object {self._name!r} is not known, for it was sent all of it "
                f"and did not answer for {self._stall_limit:g} seconds: look at the list of what is there once it "
                "answers.",
                location=location,
                name=self._name,
                retryable=True,
            )
        return DestinationError(
            f"The destination {location} did not move for {self._stall_limit:g} seconds and was dropped: "
            "look at its disk or connection.",
            location=location,
            retryable=True,
        )
