"""How far an operation is: a bar for a person who watches, a line now and then for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from rich.console import Console

from backupkit.cli.texts import duration
from backupkit.events import BytesRead, EntryStarted, Event, Expected, Finished, Started, Waiting
from backupkit.observers import ProgressObserver
from backupkit.printable import printable
from backupkit.protocols import Observer
from backupkit.sizes import format_size

_FIRST = 10.0  # seconds, so that nothing is said of what is over by then: its report says it all
_EVERY = 60.0


def progress() -> Observer:
    """What tells standard error how far it is."""
    if not sys.stderr.isatty():
        return ProgressLines(lambda line: print(line, file=sys.stderr, flush=True))
    bar = ProgressObserver(Console(stderr=True))

    def observer(event: Event) -> None:
        # A path may hold what moves the cursor.
        bar(replace(event, path=printable(event.path)) if isinstance(event, EntryStarted) else event)

    return observer


@dataclass(slots=True)
class ProgressLines:
    """Says a line after ten seconds, and then one every minute; and each wait at once, with its reason.

    Nobody wakes it: where nothing moves, nothing is said. The end is for the report to tell.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _what: str = field(default="", init=False)
    _began: float = field(default=0, init=False)
    _due: float = field(default=0, init=False)
    _read: int = field(default=0, init=False)
    _expected: int = field(default=0, init=False)
    _before: tuple[float, int] = field(default=(0, 0), init=False)

    def __call__(self, event: Event) -> None:
        match event:
            case Started(operation, name):
                self._what = f"{operation} of {printable(name)}"
                self._began = now = self.clock()
                self._due = now + _FIRST
                self._read = self._expected = 0
                self._before = now, 0
            case Expected(size):
                self._expected += size
            case BytesRead(count):
                self._read += count
                if (now := self.clock()) >= self._due:
                    self.say(self._line(now))
                    self._before = now, self._read
                    self._due = now + _EVERY
            case Waiting(seconds, reason):
                self.say(f"{self._what}: trying again in {seconds:g} seconds: {printable(reason)}")
            case Finished():
                self._due = float("inf")
            case _:
                pass

    def _line(self, now: float) -> str:
        """So much, of so much, by now; how fast since the line before; and how long it will be if it goes on so."""
        passed = now - self._began
        before, read = self._before
        done = format_size(self._read)
        if self._expected:
            done += f" of {format_size(self._expected)}"
        rate = format_size(int((self._read - read) / (now - before)))
        line = f"{self._what}: {done} read in {duration(timedelta(seconds=passed))}, {rate}/s"
        if not 0 < self._read < self._expected:
            return line
        left = timedelta(seconds=passed * (self._expected - self._read) / self._read)
        return f"{line}, about {duration(left)} left"
