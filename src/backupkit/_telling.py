"""Who is told of an operation, and how: on threads of their own, again if that may help, within a time limit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from backupkit.errors import BackupKitError
from backupkit.model import DestinationResult, Notice, Occasion, Operation, Outcome, Problem, Report, Summary
from backupkit.protocols import HearsStarts, History, Memory, Notifier
from backupkit.retrying import Delivery

_T = TypeVar("_T")

# A reminder is due a day after it was told last; who asks once a day asks some seconds earlier now and then.
_REMINDER = timedelta(hours=23)

# What the ends of operations are called. Whoever restores looks on, and monitoring is told by destination.
_OCCASIONS: Mapping[Operation, Mapping[Outcome, Occasion]] = {
    "run": {"succeeded": "run succeeded", "incomplete": "run incomplete", "failed": "run failed"},
    "clean": {"succeeded": "clean succeeded", "incomplete": "clean failed", "failed": "clean failed"},
    "verify": {"succeeded": "verify succeeded", "incomplete": "verify failed", "failed": "verify failed"},
    "drill": {"succeeded": "drill passed", "incomplete": "drill failed", "failed": "drill failed"},
}


class Announcement:
    """One operation of a pipeline, told to the notifiers that want to hear of it, and kept in the history.

    `key` is what the memory knows the pipeline by. `summary` finds out how its backups stand; it is asked only if
    somebody is told, and within the same time.
    """

    def __init__(
        self,
        *,
        notifiers: Sequence[Notifier],
        history: History | None,
        memory: Memory,
        delivery: Delivery,
        key: str,
        summary: Callable[[], Summary],
    ) -> None:
        self._notifiers = tuple(notifiers)
        self._history = history
        self._memory = memory
        self._delivery = delivery
        self._key = key
        self._summary = summary
        self._starts: dict[int, _Work[None]] = {}

    def started(self, operation: Operation, name: str) -> None:
        for index, notifier in enumerate(self._notifiers):
            if isinstance(notifier, HearsStarts):
                self._starts[index] = _Work(partial(notifier.started, operation, name))

    def ended(self, report: Report) -> list[Problem]:
        """Tell the report, and keep it; what could not be done, as warnings."""
        problems: list[Problem] = []
        notices = list(self._news(report, problems))
        heard, more = self._tell([news.notice for news in notices])
        problems += more
        for news, was_heard in zip(notices, heard, strict=True):
            if was_heard and news.key is not None:
                problems += self._remember(news)
        if self._history is not None:
            problems += self._keep(self._history, replace(report, problems=(*report.problems, *problems)))
        return problems

    def tell(self, notice: Notice) -> list[Problem]:
        """Tell one thing; what could not be done, as warnings."""
        return self._tell([notice])[1]

    def _news(self, report: Report, problems: list[Problem]) -> Sequence[_News]:
        """What there is to tell of a report; what is not known about that is added to the problems."""
        if report.operation == "monitor":
            found = [self._health(report, result, problems) for result in report.destinations]
            return [news for news in found if news is not None]
        occasion = _OCCASIONS.get(report.operation, {}).get(report.outcome)
        return [_News(_notice(occasion, report))] if occasion is not None else []

    def _health(self, report: Report, result: DestinationResult, problems: list[Problem]) -> _News | None:
        """Unhealthy is told when it begins, when another check fails too, each day, and when it ends."""
        if not self._notifiers:
            return None
        key = f"{self._key} {result.location}"
        checks = frozenset(one.check or "" for one in result.problems if one.severity == "error")
        try:
            told = _Told.read(self._memory.recall(key))
        except Exception as error:  # rather told twice than never
            told = None
            problems.append(_warning(f"What was told before is not known: {_text(error)}"))
        if not checks:
            if told is None:
                return None
            notice = replace(_notice("healthy", report), destination=result, since=told.since)
            return _News(notice, key)
        if told is not None and checks <= told.checks and report.started - told.time < _REMINDER:
            return None
        since = report.started if told is None else told.since
        notice = replace(
            _notice("unhealthy", report), destination=result, since=since, reminder=told is not None
        )
        return _News(notice, key, _Told(since=since, time=report.started, checks=checks))

    def _remember(self, news: _News) -> list[Problem]:
        try:
            self._memory.remember(news.key or "", None if news.told is None else news.told.written())
        except Exception as error:
            return [_warning(f"What has been told is not remembered: {_text(error)}")]
        return []

    def _tell(self, notices: Sequence[Notice]) -> tuple[list[bool], list[Problem]]:
        """Which notices somebody has heard, or nobody wants to hear, and what could not be told."""
        wanting = {
            number: wanted
            for number, notifier in enumerate(self._notifiers)
            if (wanted := [index for index, one in enumerate(notices) if one.occasion in notifier.on])
        }
        heard = [all(index not in wanted for wanted in wanting.values()) for index in range(len(notices))]
        limit = self._delivery.limit
        end = time.monotonic() + limit
        stopped = threading.Event()
        summary = _Work(self._summary) if wanting else None

        def send(number: int) -> None:
            if (start := self._starts.get(number)) is not None:
                start.wait(limit / 2)
            if summary is not None:
                summary.wait(limit / 2)
            for index in wanting[number]:
                notice = replace(notices[index], summary=None if summary is None else summary.result)
                for attempt in self._delivery.attempts(stopped):
                    with attempt:
                        self._notifiers[number].notify(notice)
                heard[index] = True

        works = {number: _Work(partial(send, number)) for number in wanting}
        problems: list[Problem] = []
        works = {**self._starts, **works}
        for number, work in works.items():
            work.wait(end - time.monotonic())
            who = f"Notifier {number + 1} ({_name(self._notifiers[number])})"
            if (failure := work.failure(limit)) is not None:
                problems.append(_warning(f"{who} {failure}"))
            elif (start := self._starts.get(number)) and (failure := start.failure(limit)) is not None:
                problems.append(_warning(f"{who}, told of the start, {failure}"))
        stopped.set()
        return heard, problems

    def _keep(self, history: History, report: Report) -> list[Problem]:
        limit = self._delivery.limit
        stopped = threading.Event()

        def keep() -> None:
            for attempt in self._delivery.attempts(stopped):
                with attempt:
                    history.record(report)

        work = _Work(keep)
        work.wait(limit)
        stopped.set()
        failure = work.failure(limit)
        return [] if failure is None else [_warning(f"The history ({_name(history)}) {failure}")]


@dataclass(frozen=True, slots=True)
class _News:
    """A notice and, if it is about health, what to remember under which key once it has been told."""

    notice: Notice
    key: str | None = None
    told: _Told | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """That a destination is unhealthy: since when, by which checks, and when people were told last."""

    since: datetime
    time: datetime
    checks: frozenset[str]

    def written(self) -> str:
        fields = {
            "since": self.since.isoformat(),
            "told": self.time.isoformat(),
            "checks": sorted(self.checks),
        }
        return json.dumps(fields)

    @classmethod
    def read(cls, text: str | None) -> _Told | None:
        if text is None:
            return None
        fields = json.loads(text)
        return cls(
            since=datetime.fromisoformat(fields["since"]),
            time=datetime.fromisoformat(fields["told"]),
            checks=frozenset(fields["checks"]),
        )


class _Work(Generic[_T]):
    """Something that is done on a daemon thread, so that a server that hangs cannot make anyone wait."""

    def __init__(self, do: Callable[[], _T]) -> None:
        self.result: _T | None = None
        self._error: BaseException | None = None
        self._do = do
        self._done = threading.Event()
        try:
            threading.Thread(target=self._run, name="backupkit-telling", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._error = error
            self._done.set()

    def wait(self, seconds: float) -> None:
        self._done.wait(max(0.0, seconds))

    def failure(self, limit: float) -> str | None:
        """What went wrong, to stand after the name of who it concerns."""
        if not self._done.is_set():
            return f"had not finished after {limit:g} seconds and was left behind."
        return None if self._error is None else f"failed: {_text(self._error)}"

    def _run(self) -> None:
        try:
            self.result = self._do()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()


def _notice(occasion: Occasion, report: Report) -> Notice:
    return Notice(occasion=occasion, name=report.name, time=report.started + report.took, report=report)


def _warning(message: str) -> Problem:
    return Problem(message=message, severity="warning", check="notification")


def _text(error: BaseException) -> str:
    # The text of an error that is not ours may hold an address that is a secret, as those of chat services are.
    return str(error) if isinstance(error, BackupKitError) else type(error).__name__


def _name(part: object) -> str:
    return type(part).__name__
