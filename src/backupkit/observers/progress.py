"""A progress bar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backupkit.events import BytesRead, EntryStarted, Event, Expected, Finished, Started, Waiting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_REDRAW = 1 << 22  # bytes between two updates of the bar


class ProgressObserver:
    """A progress bar for a person at a terminal, and nothing at all elsewhere.

    Needs rich: `pip install 'backupkit[progress]'`. Remaining time is shown where the size is known before,
    as in verify and restore; a run shows what it has read and how fast.
    """

    def __init__(self, console: Console | None = None) -> None:
        try:
            from rich.console import Console
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "ProgressObserver needs rich: pip install 'backupkit[progress]'"
            ) from error
        self._console = console or Console(stderr=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._pending = 0
        self._drawn = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case Started(operation, name):
                self._start(f"{operation} {name}")
            case Finished(_):
                self._stop()
            case _ if self._progress is None or self._task is None:
                pass
            case Expected(size):
                total = (self._progress.tasks[0].total or 0) + size
                self._progress.update(self._task, total=total)
            case EntryStarted(path, _):
                # A tree of small files has thousands of them a second.
                if time.monotonic() - self._drawn > 0.1:
                    self._drawn = time.monotonic()
                    self._progress.update(self._task, entry=path[-40:])
            case BytesRead(count):
                self._pending += count
                if self._pending >= _REDRAW:
                    self._advance()
            case Waiting(seconds, reason):
                self._console.print(f"Trying again in {seconds:g} seconds: {reason}", markup=False)
            case _:
                pass

    def _start(self, title: str) -> None:
        if not self._console.is_terminal:
            return
        from rich import progress

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[entry]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task(title, total=None, entry="")

    def _advance(self) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, self._pending)
        self._pending = 0

    def _stop(self) -> None:
        self._advance()
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None

    def __repr__(self) -> str:
        return "ProgressObserver()"
