"""`Looks`: what destinations told when they were last looked at, so that pages do not ask them again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from backupkit.errors import told
from backupkit.model import DestinationOverview
from backupkit.pipeline import BackupPipeline


@dataclass(frozen=True, slots=True)
class Look:
    """What a destination told; None as long as it has not, with what went wrong, if anything has.

    `looking` says that it is being asked now.
    """

    location: str
    overview: DestinationOverview | None
    error: str | None = None
    looking: bool = False


@dataclass(slots=True)
class _Place:
    pipeline: BackupPipeline
    location: str
    known: Look
    taken: float = float("-inf")
    stale: bool = True
    answered: threading.Event = field(default_factory=threading.Event)
    asking: bool = False


class Looks:
    """Each destination is asked at most once in `period`, on a thread, however many pages want to know.

    A page waits up to `patience` for what has never been told, or has changed, and goes on with what is known. It
    has changed when `ends` (see `Queue`) says another thing of a pipeline than before.
    """

    def __init__(
        self,
        pipelines: Mapping[str, BackupPipeline],
        *,
        period: timedelta,
        patience: timedelta,
        ends: Callable[[str], object] = lambda name: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._period = period.total_seconds()
        self._patience = patience.total_seconds()
        self._ends = ends
        self._known_ends: dict[str, object] = {}
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places: Mapping[str, Sequence[_Place]] = {
            name: [_Place(pipeline, one.location, Look(one.location, None)) for one in pipeline.destinations]
            for name, pipeline in pipelines.items()
        }

    def at(self, name: str) -> Sequence[Look]:
        """What is known of each destination of this pipeline; those that are due are asked."""
        places = self._places[name]
        ends = self._ends(name)
        with self._lock:
            if self._known_ends.setdefault(name, ends) != ends:
                self._known_ends[name] = ends
                _forget(places)
        for place in places:
            self._ask_if_due(place)
        end = self._monotonic() + self._patience
        for place in places:
            if place.stale:
                place.answered.wait(max(0.0, end - self._monotonic()))
        with self._lock:
            return [
                Look(place.location, place.known.overview, place.known.error, place.asking)
                for place in places
            ]

    def forget(self, name: str) -> None:
        """Something has changed: the next page asks anew, and waits."""
        with self._lock:
            _forget(self._places[name])

    def _ask_if_due(self, place: _Place) -> None:
        with self._lock:
            due = self._monotonic() - place.taken >= self._period
            if place.asking or not due:
                return
            place.asking = True
            place.answered.clear()
            answered = place.answered
        threading.Thread(
            target=self._ask, args=(place, answered), name=f"backupkit-look-{place.location}", daemon=True
        ).start()

    def _ask(self, place: _Place, answered: threading.Event) -> None:
        began = self._monotonic()
        try:
            overview = place.pipeline.overview(at=place.location)[0]
            known = Look(place.location, overview)
        except Exception as error:
            known = Look(place.location, None, told(error))
        with self._lock:
            if place.answered is answered:  # or else somebody has changed something meanwhile
                place.known, place.taken, place.stale, place.asking = known, began, False, False
        answered.set()


def _forget(places: Sequence[_Place]) -> None:
    for place in places:
        place.taken = float("-inf")
        place.stale = True
        # What is being asked now may not know of the change yet.
        place.answered = threading.Event()
        place.asking = False
