"""`RecordingObserver`: everything an operation told, to look at afterwards."""

from __future__ import annotations

from typing import TypeVar

from backupkit.events import Event

E = TypeVar("E")


class RecordingObserver:
    """An observer that keeps what it hears, in order, in `events`."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]
