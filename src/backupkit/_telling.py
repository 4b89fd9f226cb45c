"""Who is told of an operation, and how: on threads of their own, again if that may help, within a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeAlias, get_args

from backupkit._health_news import Told, health_news
from backupkit._waiting import Deadline, Work
from backupkit.errors import NotificationError
from backupkit.model import Notice, Occasion, Operation, Outcome, Problem, Report, Summary
from backupkit.protocols import HearsStarts, History, Memory, Notifier
from backupkit.retrying import Delivery, may_pass

# What the ends of operations are called. Whoever restores looks on, and monitoring is told by destination.
_OCCASIONS: Mapping[Operation, Mapping[Outcome, Occasion]] = {
    "run": {"succeeded": "run succeeded", "incomplete": "run incomplete", "failed": "run failed"},
    "clean": {"succeeded": "clean succeeded", "incomplete": "clean failed", "failed": "clean failed"},
    "verify": {"succeeded": "verify succeeded", "incomplete": "verify failed", "failed": "verify failed"},
    "drill": {"succeeded": "drill passed", "incomplete": "drill failed", "failed": "drill failed"},
}

# A notice, and who has to hear it; None for all.
_News: TypeAlias = tuple[Notice, frozenset[str] | None]

# What must be done by which part of the limit, so that what hangs early leaves time for what comes later.
_ASKED, _FOUND_OUT, _TOLD, _REMEMBERED, _KEPT = 1 / 4, 1 / 2, 3 / 4, 7 / 8, 1.0


class Announcement:
    """One operation of a pipeline, told to the notifiers that want to hear of it, and kept in the history.

    `summary` finds out how the backups stand; it is asked, once, only if somebody is told. Whatever belongs to
    others is called on a daemon thread, waited for until its part of the limit is over, and then left behind:
    it can raise anything, or hang, and is a warning. What is returned are these warnings.
    """

    def __init__(
        self,
        *,
        notifiers: Sequence[Notifier],
        history: History | None,
        memory: Memory,
        delivery: Delivery,
        summary: Callable[[], Summary],
    ) -> None:
        self._notifiers = tuple(notifiers)
        self._history = history
        self._memory = memory
        self._delivery = delivery
        self._summary = summary
        self._listeners: Sequence[_Listener] = ()

    def started(self, operation: Operation, name: str, time: datetime) -> None:
        """Tell those who hear starts. Nobody hears of a start whose end is told to nobody."""
        ends = frozenset(_OCCASIONS.get(operation, {}).values())
        if ends or operation == "monitor":
            self._listen()
        if ends:
            for listener in self._listeners:
                listener.begin(operation, name, time, ends)

    def ended(self, report: Report) -> list[Problem]:
        """Tell the report, and keep it."""
        until = Deadline(self._delivery.limit)
        problems: list[Problem] = []
        try:
            if report.operation == "monitor":
                self._tell_health(report, until, problems)
            else:
                self._tell_end(report, until, problems)
        finally:
            self._stop()
        if self._history is not None:
            report = replace(report, problems=(*report.problems, *problems))
            problems += self._keep(self._history, report, until)
        return problems

    def tell(self, notice: Notice) -> list[Problem]:
        """Tell one thing."""
        problems: list[Problem] = []
        self._listen()
        try:
            self._tell([(notice, None)], Deadline(self._delivery.limit), problems)
        finally:
            self._stop()
        return problems

    def _listen(self) -> None:
        self._listeners = [
            _Listener(number, notifier, self._delivery)
            for number, notifier in enumerate(self._notifiers, start=1)
        ]

    def _stop(self) -> None:
        for listener in self._listeners:
            listener.stop()

    def _tell_end(self, report: Report, until: Deadline, problems: list[Problem]) -> None:
        occasion = _OCCASIONS.get(report.operation, {}).get(report.outcome)
        if occasion is not None:
            end = report.started + report.took
            notice = Notice(occasion=occasion, name=report.name, time=end, report=report)
            self._tell([(notice, None)], until, problems)

    def _tell_health(self, report: Report, until: Deadline, problems: list[Problem]) -> None:
        if not any(listener.wants({"healthy", "unhealthy"}, until) for listener in self._listeners):
            self._tell([], until, problems)  # which says of whom it is not known what they want
            return
        recalled = Work(partial(self._recall, report))
        failure = recalled.failure(until, _ASKED)
        if failure is not None:
            problems.append(_warning(f"What has been told before is not known. The memory {failure}"))
        news = [*health_news(report, recalled.result or {})]
        fates = self._tell([(one.notice, one.to) for one in news], until, problems)
        learnt = [
            (one.location, replace(one.told, owed=owed))
            for one, (heard, owed) in zip(news, fates, strict=True)
            if heard or one.to is not None
        ]
        if learnt:
            remembered = Work(partial(self._remember, report.name, learnt))
            forgotten = remembered.failure(until, _REMEMBERED)
            if forgotten is not None and failure is None:
                problems.append(_warning(f"What has been told may be told again. The memory {forgotten}"))

    def _recall(self, report: Report) -> Mapping[str, Told | None]:
        return {
            one.location: Told.read(self._memory.recall(_key(report.name, one.location)))
            for one in report.destinations
        }

    def _remember(self, name: str, learnt: Sequence[tuple[str, Told]]) -> None:
        for location, told in learnt:
            self._memory.remember(_key(name, location), told.written())

    def _tell(
        self, news: Sequence[_News], until: Deadline, problems: list[Problem]
    ) -> Sequence[tuple[bool, frozenset[str]]]:
        """Tell each notice to whoever wants to hear it, or to those of them that are named.

        Of each: whether it has been heard, or nobody wants to, and who wants to and may hear it later.
        """
        summary = None
        occasions = {notice.occasion for notice, _ in news}
        if any(listener.wants(occasions, until) for listener in self._listeners):
            summary = Work(self._summary)
            for listener in self._listeners:
                listener.send(news, summary, until)
        failures = [listener.failure(until) for listener in self._listeners]
        problems += [_warning(failure) for failure in failures if failure is not None]
        if summary is not None and (failure := summary.failure(until, _FOUND_OUT)) is not None:
            problems.append(_warning(f"How the backups stand was not told: finding it out {failure}"))
        return [self._fate(notice, to) for notice, to in news]

    def _fate(self, notice: Notice, to: frozenset[str] | None) -> tuple[bool, frozenset[str]]:
        addressed = [listener for listener in self._listeners if to is None or listener.who in to]
        heard = any(listener.has_heard(notice) for listener in addressed)
        later = frozenset(listener.who for listener in addressed if listener.may_hear_later(notice))
        return heard or all(listener.passes_over(notice) for listener in addressed), later

    def _keep(self, history: History, report: Report, until: Deadline) -> list[Problem]:
        stopped = threading.Event()
        try:
            kept = Work(partial(self._delivery.deliver, partial(history.record, report), stopped))
            failure = kept.failure(until, _KEPT)
        finally:
            stopped.set()
        return [] if failure is None else [_warning(f"The history ({_name(history)}) {failure}")]


class _Listener:
    """One notifier: what it wants to hear, and what becomes of telling it."""

    def __init__(self, number: int, notifier: Notifier, delivery: Delivery) -> None:
        self.who = f"Notifier {number} ({_name(notifier)})"
        self._notifier = notifier
        self._delivery = delivery
        self._start_is_over = threading.Event()
        self._stopped = threading.Event()
        self._wanted = Work(partial(_wanted_by, notifier))
        self._start: Work[None] | None = None
        self._sending: Work[None] | None = None
        self._heard: list[Notice] = []
        self._refused: list[Notice] = []

    def begin(self, operation: Operation, name: str, time: datetime, ends: frozenset[Occasion]) -> None:
        def tell() -> None:
            self._wanted.wait(self._delivery.limit)
            if self._is_wanted(ends) and isinstance(self._notifier, HearsStarts):
                told = partial(self._notifier.started, operation, name, time)
                self._delivery.deliver(told, self._start_is_over)

        self._start = Work(tell)

    def wants(self, occasions: Collection[Occasion], until: Deadline) -> bool:
        self._wanted.wait(until.left(_ASKED))
        return self._is_wanted(occasions)

    def _is_wanted(self, occasions: Collection[Occasion]) -> bool:
        return not (self._wanted.result or frozenset()).isdisjoint(occasions)

    def send(self, news: Sequence[_News], summary: Work[Summary], until: Deadline) -> None:
        """Begin to tell it what it wants to hear of these, in order, after the start."""
        wanted = [
            notice
            for notice, to in news
            if (to is None or self.who in to) and self.wants({notice.occasion}, until)
        ]

        def tell() -> None:
            if self._start is not None:
                self._start.wait(until.left(_FOUND_OUT))
                self._start_is_over.set()  # or it might be heard as the next one
            summary.wait(until.left(_FOUND_OUT))
            errors: list[Exception] = []
            for notice in wanted:
                if self._stopped.is_set():
                    break
                whole = replace(notice, summary=summary.result)
                try:
                    self._delivery.deliver(partial(self._notify, whole, notice), self._stopped)
                except Exception as error:
                    errors.append(error)
                    if not may_pass(error):
                        self._refused.append(notice)
            if errors:
                raise errors[0]

        if wanted:
            self._sending = Work(tell)

    def _notify(self, whole: Notice, notice: Notice) -> None:
        try:
            self._notifier.notify(whole)
        except NotificationError as error:
            if error.partly:
                self._heard.append(notice)
            raise
        self._heard.append(notice)

    def stop(self) -> None:
        """No call begins any more."""
        self._start_is_over.set()
        self._stopped.set()

    def failure(self, until: Deadline) -> str | None:
        """The first thing that went wrong, once all has ended or the time is over."""
        parts = ((self._wanted, ""), (self._sending, ""), (self._start, ", told of the start,"))
        failures = [
            f"{self.who}{what} {failure}"
            for work, what in parts
            if work is not None and (failure := work.failure(until, _TOLD)) is not None
        ]
        if unknown := (self._wanted.result or frozenset()).difference(get_args(Occasion)):
            words = sorted(repr(one) if isinstance(one, str) else _name(one) for one in unknown)
            failures.append(f"{self.who} wants to hear {', '.join(words)}: nothing is called so.")
        return next(iter(failures), None)

    def has_heard(self, notice: Notice) -> bool:
        return notice in self._heard

    def may_hear_later(self, notice: Notice) -> bool:
        """It wants to, has not heard it, and has not refused it for good."""
        return not (notice in self._heard or notice in self._refused or self.passes_over(notice))

    def passes_over(self, notice: Notice) -> bool:
        """It is known that it does not want to hear this."""
        return self._wanted.result is not None and notice.occasion not in self._wanted.result


def _wanted_by(notifier: Notifier) -> frozenset[Occasion]:
    on = notifier.on
    # A text is a collection too, and holds "healthy" if it holds "unhealthy".
    if isinstance(on, str) or not isinstance(on, Collection):
        raise NotificationError(
            f"what it wants to hear (`on`) is {_name(on)}, not a collection of occasions."
        )
    return frozenset(on)


def _key(name: str, location: str) -> str:
    return f"{name} {location}"


def _warning(message: str) -> Problem:
    return Problem(message=message, severity="warning", check="notification")


def _name(part: object) -> str:
    return type(part).__name__
