"""The progress bar, for a person who watches."""

from __future__ import annotations

import sys
from dataclasses import replace

from rich.console import Console

from backupkit.events import EntryStarted, Event
from backupkit.observers import ProgressObserver
from backupkit.printable import printable
from backupkit.protocols import Observer


def progress_bar() -> tuple[Observer, ...]:
    """The one observer that draws a bar on standard error, if that is a terminal; otherwise none."""
    if not sys.stderr.isatty():
        return ()
    bar = ProgressObserver(Console(stderr=True))

    def observer(event: Event) -> None:
        # A path may hold what moves the cursor.
        bar(replace(event, path=printable(event.path)) if isinstance(event, EntryStarted) else event)

    return (observer,)
