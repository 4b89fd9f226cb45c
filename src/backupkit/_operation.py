"""What every operation has in common: it counts, tells observers, can be cancelled, ends in a Report."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Protocol

from backupkit._chunks import closing_iterator
from backupkit.errors import (
    BackupKitError,
    DestinationError,
    OperationCancelledError,
    OutcomeUnknownError,
    told,
)
from backupkit.events import (
    BytesRead,
    EntryStarted,
    Event,
    Expected,
    Finished,
    ProblemFound,
    Started,
    Waiting,
)
from backupkit.model import (
    Contents,
    DestinationOutcome,
    DestinationResult,
    Entry,
    Operation,
    Outcome,
    Passed,
    Problem,
    Report,
    RestoredDump,
)
from backupkit.protocols import Destination, Observer
from backupkit.retrying import Retry


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


class Cancel(threading.Event):
    """A `cancel` that says why it is set."""

    because: str | None = None


class Telling(Protocol):
    """Who is told of an operation besides its observers. Neither call raises or takes long."""

    def started(self, operation: Operation, name: str, time: datetime) -> None: ...

    def ended(self, report: Report) -> Iterable[Problem]: ...


class Running:
    """One operation under way; a context manager, left by an exception when the operation failed.

    The exception is given a report and the observers hear the end before it goes on. An observer that
    raises is told no more; that is a warning in the report and nothing else. So is what `telling` could not do,
    which tells the world outside.
    """

    def __init__(
        self,
        operation: Operation,
        name: str,
        *,
        observers: Sequence[Observer],
        clock: Callable[[], datetime],
        cancel: threading.Event | None,
        telling: Telling | None = None,
    ) -> None:
        self.operation = operation
        self.name = name
        self.started = clock()
        self.entries = 0
        self.read = 0
        self.skipped = 0
        self.dry_run = False
        self.contents: frozenset[Contents] = frozenset()
        self.restore_took: timedelta | None = None
        self.dumps: list[RestoredDump] = []
        self.problems: list[Problem] = []
        self._known: set[Problem] = set()
        self._kept = 0
        self.destinations: list[DestinationResult] = []
        self._observers = list(enumerate(observers, start=1))
        self._clock = clock
        self._cancel = cancel or threading.Event()
        self._telling = telling
        self._report: Report | None = None
        self._thread = threading.get_ident()
        self._from_others: deque[Event] = deque()

    def __enter__(self) -> Running:
        if self._telling is not None:
            try:
                self._telling.started(self.operation, self.name, self.started)
            except Exception as error:
                self._not_told(error)
        self.tell(Started(self.operation, self.name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        try:
            if self._report is None:  # or else the end was told already, and this came with telling it
                self._add_errors(error)
                self.finish("failed")
        finally:
            for one in (error, *_members(error)):
                if isinstance(one, BackupKitError | BaseExceptionGroup):
                    one.report = self._report  # type: ignore[union-attr]  # a group has it for the same reader

    def finish(self, outcome: Outcome, *, written: int = 0) -> Report:
        """Make the report, and tell the notifiers, the history and the observers, once, that this is the end.

        Whoever interrupts the telling ends the wait for it; the observers hear the end all the same.
        """
        self._report = report = Report(
            operation=self.operation,
            outcome=outcome,
            name=self.name,
            started=self.started,
            took=self._clock() - self.started,
            entries=self.entries,
            read=self.read,
            written=written,
            skipped=self.skipped,
            contents=self.contents,
            restore_took=self.restore_took,
            dumps=tuple(self.dumps),
            dry_run=self.dry_run,
            problems=tuple(self.problems),
            destinations=tuple(self.destinations),
        )
        try:
            if self._telling is not None:
                for problem in self._telling.ended(report):
                    self.add(problem)
        except BaseException as error:
            self._not_told(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.tell(Finished(replace(report, problems=tuple(self.problems))))
            self._report = report = replace(report, problems=tuple(self.problems))
        return report

    def _not_told(self, error: BaseException) -> None:
        message = f"Not everybody was told, or not everything was kept: {type(error).__name__}"
        self.add(Problem(message=message, severity="warning", check="notification"))

    def _add_errors(self, error: BaseException) -> None:
        told = {problem.message for problem in self.problems}
        for one in _members(error):
            if str(one) not in told:  # an operation on several destinations has told which one it was
                location = getattr(one, "location", None)
                self.add(Problem(message=str(one) or type(one).__name__, destination=location))

    @property
    def outcome(self) -> Outcome:
        """How it stands: anything that was lost makes it incomplete."""
        return "incomplete" if has_errors(self.problems) else "succeeded"

    def expect(self, size: int | None) -> None:
        if size is not None:
            self.tell(Expected(size))

    def tell(self, event: Event) -> None:
        """Let the observers hear it, now, or, from another thread than the operation's, before its next event."""
        if threading.get_ident() != self._thread:
            self._from_others.append(event)
            return
        while self._from_others:
            self._tell(self._from_others.popleft())
        self._tell(event)

    def _tell(self, event: Event) -> None:
        for numbered in tuple(self._observers):
            if numbered not in self._observers:  # it failed at the news that another one had
                continue
            number, observer = numbered
            try:
                observer(event)
            except Exception as error:
                self._observers.remove(numbered)
                problem = Problem(
                    message=f"Observer {number} ({_name_of(observer)}) failed and was told no more: "
                    # Its text may hold an address that is a secret, as those of chat services are.
                    f"{type(error).__name__}",
                    severity="warning",
                    check="observer",
                )
                if isinstance(event, Finished):
                    self.problems.append(problem)  # the others may have heard the last event already
                else:
                    self.add(problem)

    def add(self, problem: Problem) -> None:
        """Put a problem on the report, once, and tell the observers."""
        if problem not in self._known:
            self._known.add(problem)
            self.problems.append(problem)
            self.tell(ProblemFound(problem))

    def fail(self, location: str, error: BaseException) -> None:
        """Put a destination that failed, or of which nobody knows whether it did, and why, on the report."""
        problem = Problem(message=str(error) or type(error).__name__, destination=location)
        self.add(problem)
        outcome: DestinationOutcome = "unknown" if isinstance(error, OutcomeUnknownError) else "failed"
        self.destinations.append(DestinationResult(location=location, outcome=outcome, problems=(problem,)))

    def each(
        self,
        destinations: Sequence[Destination],
        do: Callable[[Destination], DestinationResult],
        failed: str,
        *,
        everywhere: bool = False,
    ) -> None:
        """Do it at each destination, whatever becomes of the others; how that ended is on the report.

        Raises only if it failed at all of them, or, where it has to be done `everywhere`, at any: what it raised
        there, in a group called `failed` if it was several.
        """
        failures: list[Exception] = []
        for destination in destinations:
            self.check_cancelled()
            before = len(self.problems)
            try:
                result = do(destination)
            except OperationCancelledError:
                raise
            except Exception as error:
                failure = failure_of(destination.location, error)
                failures.append(failure)
                self.fail(destination.location, failure)
            else:
                problems = tuple(self.problems[before:])
                outcome = "incomplete" if has_errors(problems) else result.outcome
                self.destinations.append(replace(result, outcome=outcome, problems=problems))
        if everywhere or len(failures) == len(destinations):
            raise_all(failed, failures)

    def begin_again(self) -> None:
        """Forget what an attempt that is repeated as a whole has counted and found."""
        self.entries = self.read = 0
        del self.problems[self._kept :]
        self._known = set(self.problems)

    def keep(self) -> None:
        """What was found so far stays, however often the rest is repeated."""
        self._kept = len(self.problems)

    def check_cancelled(self) -> None:
        if self._cancel.is_set():
            because = self._cancel.because if isinstance(self._cancel, Cancel) else None
            why = f", because {because}" if because else ""
            raise OperationCancelledError(f"The {self.operation} of {self.name} was cancelled{why}.")

    def retry(self, retry: Retry) -> Retry:
        """The same retry, with waits that observers hear of and that cancelling ends."""

        def sleep(seconds: float) -> None:
            self._cancel.wait(seconds)
            self.check_cancelled()

        def tell(seconds: float, error: BaseException) -> None:
            self.tell(Waiting(seconds, str(error)))

        return replace(retry, sleep=sleep, tell=tell)

    def pass_on(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks; cancelling ends them."""
        for chunk in chunks:
            self.check_cancelled()
            yield chunk

    def watched(self, entry: Entry) -> Entry:
        """The same entry; reading its content is counted, told, and ended by cancelling."""
        self.check_cancelled()
        self.entries += 1
        if entry.kind not in ("file", "hardlink"):
            return entry

        def watched(content: Callable[..., Iterator[bytes]], *descriptor: int) -> Iterator[bytes]:
            self.tell(EntryStarted(entry.path, entry.size))
            with closing_iterator(content(*descriptor)) as iterator:
                for chunk in iterator:
                    self.check_cancelled()
                    self.read += len(chunk)
                    self.tell(BytesRead(len(chunk)))
                    yield chunk

        reusing = entry.reusing and partial(watched, entry.reusing)
        return replace(entry, chunks=partial(watched, entry.chunks), reusing=reusing, within=None)

    def passed(self, passed: Passed) -> None:
        """So much of a part of a source was dealt with: it is counted, told, and ended by cancelling."""
        self.check_cancelled()
        self.tell(EntryStarted(passed.path, None))
        self.count(passed.entries, passed.read)

    def count(self, entries: int, read: int) -> None:
        """So many more entries and plain bytes were dealt with elsewhere; of the bytes, observers hear."""
        self.entries += entries
        self.read += read
        if read:
            self.tell(BytesRead(read))


def _name_of(observer: Observer) -> str:
    # Not its repr, which of a partial shows the arguments, such as an address with a token.
    return str(getattr(observer, "__qualname__", type(observer).__qualname__))


def failure_of(location: str, error: Exception) -> BackupKitError:
    """What is told of a destination that failed: the error, or one of ours if it breaks its contract."""
    if isinstance(error, BackupKitError):
        return error
    made = DestinationError(f"The destination {location} failed: {told(error)}", location=location)
    made.__cause__ = error
    return made


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether one of them is more than a warning."""
    return any(problem.severity == "error" for problem in problems)


def raise_all(message: str, errors: Sequence[Exception]) -> None:
    """Raise the error, or, if there are several, a group of them; nothing if there is none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(message, list(errors))


def _members(error: BaseException) -> list[BaseException]:
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else [error]
