"""`Looks`: what destinations and histories told when they were last asked, so that pages do not ask them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar, get_args

from backupkit._operation import utc_now
from backupkit.errors import DestinationError
from backupkit.history import DatabaseHistory
from backupkit.integrations.asgi.standing.asked import Answer, Asked, Turns
from backupkit.integrations.asgi.standing.past import Past, past_of
from backupkit.model import DestinationOverview, Operation, Report
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule

T = TypeVar("T")

_OPERATIONS = len(get_args(Operation))
_AT_ONCE = 8  # of many destinations; listings are parsed by one thread at a time anyway


@dataclass(frozen=True, slots=True)
class Look:
    """What a destination told; None as long as it has not. What it told stays when it does not answer any more.

    `error` is why it did not answer when it was asked last, or None. `looking` says that it is being asked now,
    and `silent` for how long, if that is longer than a page waits.
    """

    location: str
    overview: DestinationOverview | None
    error: str | None = None
    looking: bool = False
    silent: timedelta | None = None

    @property
    def answers(self) -> bool:
        """Whether what is known is what there is."""
        return self.overview is not None and self.error is None and self.silent is None


class Looks:
    """Each destination is asked at most once in `period`, on a thread, however many pages want to know.

    A page waits up to `patience` for what has never been told, or has changed, and goes on with what is known. It
    has changed when `ends` (see `Queue`) says another thing of a pipeline than before. For a destination that is
    silent no second page waits, and no second thread asks it.
    """

    def __init__(
        self,
        pipelines: Mapping[str, BackupPipeline],
        *,
        period: timedelta,
        patience: timedelta,
        ends: Callable[[str], object] = lambda name: None,
        schedules: Mapping[str, Schedule] | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience.total_seconds()
        self._monotonic = monotonic
        self._ends = ends
        self._known_ends: dict[str, object] = {}
        self._comparing = threading.Lock()
        turns = Turns(_AT_ONCE, self._patience)
        schedules = schedules or {}

        def asked(what: str, ask: Callable[[], T]) -> Asked[T]:
            return Asked(
                f"backupkit-look {what}",
                ask,
                period=period.total_seconds(),
                patience=self._patience,
                turns=turns,
                monotonic=monotonic,
            )

        self._places = {
            name: [
                (one.location, asked(one.location, partial(_looked_at, pipeline, one.location)))
                for one in pipeline.destinations
            ]
            for name, pipeline in pipelines.items()
        }
        self._reading = threading.Lock()
        self._reports: dict[tuple[str, str], Report] = {}
        self._most_reports = _OPERATIONS * len(pipelines)
        self._pasts = {
            name: asked(name, partial(past_of, pipeline, schedules.get(name), clock))
            for name, pipeline in pipelines.items()
        }

    def at(self, name: str) -> Sequence[Look]:
        """What is known of each destination of this pipeline; those that are due are asked."""
        return self.every([name])[name]

    def every(self, names: Iterable[str] | None = None) -> Mapping[str, Sequence[Look]]:
        """The same of all pipelines, or of these: they are asked together, and waited for together."""
        chosen = {name: self._places[name] for name in (self._places if names is None else names)}
        for name, places in chosen.items():
            self._forget_if_changed(name)
            for _, place in places:
                place.begin()
        until = self._monotonic() + self._patience
        return {
            name: [self._look(location, place.answer(until)) for location, place in places]
            for name, places in chosen.items()
        }

    def pasts(self, names: Iterable[str] | None = None) -> Mapping[str, Answer[Past]]:
        """What histories say of all pipelines, or of these."""
        chosen = {name: self._pasts[name] for name in (self._pasts if names is None else names)}
        for name, past in chosen.items():
            self._forget_if_changed(name)
            past.begin()
        until = self._monotonic() + self._patience
        return {name: past.answer(until) for name, past in chosen.items()}

    def report(self, history: DatabaseHistory, id: str) -> Report | None:
        """A report in full, which was read once if it was asked for lately: reports never change."""
        key = repr(history), id
        with self._reading:
            known = self._reports.get(key)
        if known is None and (known := history.report(id)) is not None:
            with self._reading:
                self._reports[key] = known
                while len(self._reports) > self._most_reports:
                    del self._reports[next(iter(self._reports))]
        return known

    def forget(self, name: str) -> None:
        """Something has changed: the next page asks anew, and waits."""
        for _, place in self._places[name]:
            place.forget()
        self._pasts[name].forget()

    def _forget_if_changed(self, name: str) -> None:
        with self._comparing:  # or else two visitors would have it forgotten twice, and asked twice
            ends = self._ends(name)
            if self._known_ends.setdefault(name, ends) != ends:
                self._known_ends[name] = ends
                self.forget(name)

    def _look(self, location: str, answer: Answer[DestinationOverview]) -> Look:
        asking = answer.asking
        return Look(
            location,
            answer.value,
            answer.error,
            looking=asking is not None,
            silent=timedelta(seconds=asking) if asking is not None and asking >= self._patience else None,
        )


def _looked_at(pipeline: BackupPipeline, location: str) -> DestinationOverview:
    """What is told there; DestinationError if it does not answer, so that what was known before stays."""
    (overview,) = pipeline.overview(at=location)
    if not overview.summary.reachable:
        why = " ".join(problem.message for problem in overview.summary.problems)
        raise DestinationError(why, location=location)
    return overview
