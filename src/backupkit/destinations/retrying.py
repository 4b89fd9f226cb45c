"""`Retrying`: a destination that is asked again after failures that may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

from backupkit._chunks import begun, closing_iterator
from backupkit.destinations.names import check_name
from backupkit.destinations.streams import closed_on_failure
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import (
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, HasLeftovers
from backupkit.retrying import is_retryable, spread_wait

T = TypeVar("T")

_LONGEST_WAIT = 20.0  # seconds
_DAY = 86_400.0
_OVERLAP = 4096  # bytes that are read twice where a reading goes on


class Retrying(Wrapping):
    """Another destination, asked again when it fails with an error that is `retryable`; others are raised at once.

    For destinations of your own: those of `open_destination` repeat what may be repeated by themselves, and need no
    such wrapper. One call is repeated for `patience` seconds at most, the first time after up to `wait` seconds,
    then after up to twice as many, up to 20; by chance, so that many clients do not come back at one moment.

    Lists, lookups and deletions are repeated, and readings go on where they broke off. A write is repeated while
    nothing of its chunks has been pulled, and if they are a list or a tuple, which can be given again. Otherwise it
    fails, and is for the run to repeat.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        patience: float = 120.0,
        wait: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(destination)
        for option, value in (("patience", patience), ("wait", wait)):
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _DAY:
                raise ConfigurationError(f"{option}={value!r} is not possible: use seconds, a day at most.")
        self._patience = patience
        self._wait = wait
        self._sleep = sleep
        if isinstance(destination, HasLeftovers):
            vars(self)["leftovers"] = self._leftovers

    def around(self, inner: Destination) -> Self:
        return type(self)(inner, patience=self._patience, wait=self._wait, sleep=self._sleep)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            check_name(name)
            again = chunks if isinstance(chunks, list | tuple) else None
            once = _Once(stream)
            failed = False

            def write() -> StoredObject:
                nonlocal failed
                try:
                    return self.inner.write(name, once if again is None else again, overwrite=overwrite)
                except ObjectExistsError:
                    # An answer may have been lost: then it is our own.
                    content = b"".join(again or ())
                    stored = self.stat(name) if failed and again is not None else None
                    if stored is None or stored.size != len(content) or b"".join(self.read(name)) != content:
                        raise
                    return stored
                except Exception:
                    failed = True
                    raise

            return self._ask(write, possible=lambda: not once.begun)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        passed, tail = 0, b""
        stream: Iterator[bytes] | None = None

        def pull() -> bytes | None:
            nonlocal stream
            if stream is None:
                left = None if length is None else length - passed
                stream = self._from(name, start + passed, left, tail)
            try:
                return next(stream, None)
            except BaseException:
                stream = None
                raise

        while (chunk := self._ask(pull)) is not None:
            passed += len(chunk)
            tail = chunk[-_OVERLAP:] or tail
            yield chunk

    def stat(self, name: str) -> StoredObject:
        return self._ask(lambda: self.inner.stat(name))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        yield from self._ask(lambda: [*self.inner.list(prefix)])

    def delete(self, name: str) -> None:
        self.stat(name)  # lest one that was never there look like one whose deletion was not answered
        failed = False

        def delete() -> None:
            nonlocal failed
            try:
                self.inner.delete(name)
            except ObjectNotFoundError:
                if not failed:  # or else an answer was lost
                    raise
            except Exception:
                failed = True
                raise

        self._ask(delete)

    def _leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
        inner = self.inner
        if isinstance(inner, HasLeftovers):
            yield from self._ask(lambda: [*inner.leftovers(prefix)])

    def _from(self, name: str, start: int, left: int | None, tail: bytes) -> Iterator[bytes]:
        """Read on after these last bytes, which are read once more: an object that was replaced has others."""
        again = len(tail)
        length = None if left is None else left + again
        with closing_iterator(self.inner.read(name, start=start - again, length=length)) as inner:
            head, stream = begun(inner, again)
            if head != tail:
                raise DestinationError(
                    f"The object {name!r} at {self.location} was replaced while it was read: read it again.",
                    location=self.location,
                    name=name,
                )
            for chunk in stream:
                if chunk := chunk[again:]:
                    yield chunk
                again = 0

    def _ask(self, call: Callable[[], T], *, possible: Callable[[], bool] = lambda: True) -> T:
        import tenacity

        again = tenacity.Retrying(
            stop=tenacity.stop_before_delay(self._patience),
            wait=lambda state: spread_wait(state.attempt_number, first=self._wait, longest=_LONGEST_WAIT),
            retry=tenacity.retry_if_exception(lambda error: is_retryable(error) and possible()),
            sleep=self._sleep,
            reraise=True,
        )
        return again(call)


class _Once:
    """A stream that cannot be given again once it was pulled from, and that a failed write does not close."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self.begun = False
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.begun = True
        return next(self._stream)
