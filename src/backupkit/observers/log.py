"""The log: the only module that logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backupkit.events import EntryStarted, Event, Finished, ProblemFound, Started, Waiting
from backupkit.sizes import format_size

if TYPE_CHECKING:
    import logging


class LoggingObserver:
    """Tells the standard log what happens: begin and end, problems and waits; each entry at DEBUG."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        import logging

        self._logger = logger or logging.getLogger("backupkit")

    def __call__(self, event: Event) -> None:
        import logging

        match event:
            case Started(operation, name):
                self._logger.info("%s of %s started", operation, name)
            case EntryStarted(path, _):
                self._logger.debug("reading %s", path)
            case ProblemFound(problem):
                level = logging.ERROR if problem.severity == "error" else logging.WARNING
                self._logger.log(level, "%s", problem.message)
            case Waiting(seconds, reason):
                self._logger.warning("trying again in %g seconds: %s", seconds, reason)
            case Finished(report):
                self._logger.log(
                    logging.ERROR if report.outcome == "failed" else logging.INFO,
                    "%s of %s %s after %s: %d entries, %s read, %s written",
                    report.operation,
                    report.name,
                    report.outcome,
                    report.took,
                    report.entries,
                    format_size(report.read),
                    format_size(report.written),
                )
            case _:
                pass

    def __repr__(self) -> str:
        return f"LoggingObserver({self._logger.name!r})"
