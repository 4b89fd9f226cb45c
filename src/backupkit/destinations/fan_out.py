"""`FanOut`: one stream to several destinations at once, each of which fails by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from backupkit.destinations.answers import Answer, limit_of
from backupkit.destinations.branch import Branch
from backupkit.destinations.names import check_name
from backupkit.destinations.streams import closed_on_failure
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    DestinationError,
    ObjectExistsError,
    ObjectNotFoundError,
)
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination

T = TypeVar("T")

_PARTING = 10.0  # seconds, in which most have aborted


class FanOut:
    """A destination that writes the same objects to several others, at the pace of the slowest.

    The caller pulls the chunks; each destination writes them in a thread of its own. One that fails, or
    that takes nothing and answers nothing for `stall_limit` seconds, is dropped: `failures` tells why, by
    its index among the given ones, its unfinished object is aborted, the others go on, and no later call
    asks it again. Only when none is left does a call raise: their one error, or an ExceptionGroup of all.
    Without a `stall_limit` it is five minutes, or longer for a destination that says that it gives up by itself.

    An exception of the chunks is the caller's own: it passes through, unchanged, once every destination
    has aborted, and drops none of them. So does a name that exists already at all of them. An interrupt (Ctrl-C)
    passes after ten seconds at the latest; what has not aborted by then does so later, or with the process.

    A destination that was dropped while it committed, with OutcomeUnknownError, may finish that later: the object
    is then there.
    """

    def __init__(self, destinations: Sequence[Destination], *, stall_limit: float | None = None) -> None:
        if not destinations:
            raise ConfigurationError("There is no destination to write to: give at least one.")
        self._destinations = tuple(destinations)
        self._stall_limit = stall_limit
        self.failures: dict[int, BackupKitError] = {}

    @property
    def location(self) -> str:
        return ", ".join(destination.location for destination in self._destinations)

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            check_name(name)
            return self._write_to_each(self._live(), name, stream, overwrite)

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Read from the first destination that has the object."""
        return self._first(lambda destination: destination.read(name, start=start, length=length))

    def stat(self, name: str) -> StoredObject:
        """What the first destination that has the object says; one that cannot tell is dropped."""
        check_name(name)
        found, missing = self._ask_each(lambda destination: destination.stat(name))
        if not found:
            raise missing or self._failure()
        return found[0]

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List the first destination that answers."""
        return self._first(lambda destination: destination.list(prefix))

    def delete(self, name: str) -> None:
        """Delete the object everywhere; ObjectNotFoundError if it was nowhere."""
        check_name(name)
        deleted, missing = self._ask_each(lambda destination: destination.delete(name))
        if not deleted:
            raise missing or self._failure()

    def _ask_each(self, ask: Callable[[Destination], T]) -> tuple[Sequence[T], ObjectNotFoundError | None]:
        """The answers, in order, and whether it is missing somewhere; who fails or says nothing is dropped."""
        asked: dict[int, Answer[T]] = {}
        answers = []
        missing: ObjectNotFoundError | None = None
        try:
            for index, destination in self._live():
                asked[index] = Answer(destination, ask, limit_of(destination, self._stall_limit))
                asked[index].start()
            for index, answer in asked.items():
                try:
                    answers.append(answer.wait())
                except ObjectNotFoundError as error:
                    missing = error
                except Exception as error:
                    self._drop(index, error)
        except BaseException:
            for answer in asked.values():
                answer.leave()
            raise
        return answers, missing

    def _live(self) -> Sequence[tuple[int, Destination]]:
        live = [(i, one) for i, one in enumerate(self._destinations) if i not in self.failures]
        if not live:
            raise self._failure()
        return live

    def _drop(self, index: int, error: BaseException) -> None:
        if not isinstance(error, BackupKitError):
            error = of_a_destination(self._destinations[index].location, error)
        self.failures[index] = error

    def _failure(self) -> Exception:
        errors = [error for _, error in sorted(self.failures.items())]
        return errors[0] if len(errors) == 1 else ExceptionGroup("every destination failed", errors)

    def _first(self, ask: Callable[[Destination], Iterator[T]]) -> Iterator[T]:
        """Yield the answer of the first destination that does not fail before its first item."""
        errors: list[DestinationError] = []
        for _, destination in self._live():
            with closed_on_failure(ask(destination)) as answer:
                try:
                    first = next(answer)
                except StopIteration:
                    return
                except DestinationError as error:
                    errors.append(error)
                    continue
                yield first
                yield from answer
                return
        # "Not found" is only true if nobody was unable to tell.
        unable = [error for error in errors if not isinstance(error, ObjectNotFoundError)]
        raise ExceptionGroup("no destination answered", unable) if len(unable) > 1 else (unable or errors)[0]

    def _write_to_each(
        self, live: Sequence[tuple[int, Destination]], name: str, stream: Iterator[bytes], overwrite: bool
    ) -> StoredObject:
        branches: dict[int, Branch] = {}
        try:
            for index, destination in live:
                branches[index] = Branch(
                    destination, name, overwrite, limit_of(destination, self._stall_limit)
                )
                branches[index].start()
            for chunk in stream:
                for branch in branches.values():
                    branch.put(chunk)
                if all(branch.over for branch in branches.values()):
                    break
            for branch in branches.values():
                branch.finish()
            for branch in branches.values():
                branch.wait()
        except BaseException as error:
            traceback = error.__traceback__  # the branches raise the same object and add to it
            for branch in branches.values():
                branch.abort(error)
            until = time.monotonic() + _PARTING
            for index, branch in branches.items():
                if isinstance(error, Exception):
                    branch.wait()
                else:  # whoever presses Ctrl-C wants to go, and not to wait for what has stalled
                    branch.leave(until)
                if branch.result and not overwrite:  # interrupted while others still committed
                    with suppress(Exception):
                        branch.destination.delete(name)
                if branch.error and branch.error is not error:
                    self._drop(index, branch.error)
            error.__traceback__ = traceback
            raise
        return self._settle(branches)

    def _settle(self, branches: dict[int, Branch]) -> StoredObject:
        """Drop the branches that failed and return the first result of the others."""
        errors = {index: branch.error for index, branch in branches.items() if branch.error}
        results = [branch.result for branch in branches.values() if branch.result]
        if not results and all(isinstance(error, ObjectExistsError) for error in errors.values()):
            raise next(iter(errors.values()))
        for index, error in errors.items():
            self._drop(index, error)
        if not results:
            raise self._failure()
        return results[0]


def of_a_destination(location: str, error: BaseException) -> DestinationError:
    """What a destination failed with that is not one of the errors it may raise, as one of them."""
    # Not its text, which may hold a URL with a password in it.
    wrapped = DestinationError(
        f"The destination {location} failed with {type(error).__name__}, which is not one of its "
        "errors: look at the cause.",
        location=location,
    )
    wrapped.__cause__ = error
    return wrapped
