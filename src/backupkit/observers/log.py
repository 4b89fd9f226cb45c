"""The log: the only module that logs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from backupkit.errors import BackupAlreadyRunningError, BackupKitError
from backupkit.events import EntryStarted, Event, Finished, ProblemFound, Started, Waiting
from backupkit.model import DestinationOutcome, DestinationResult, Problem, Report, Summary
from backupkit.printable import printable
from backupkit.sizes import format_size

if TYPE_CHECKING:
    import logging

# Of logging's levels, which is imported only where something is logged.
_DEBUG, _INFO, _WARNING, _ERROR = 10, 20, 30, 40
_LEVELS: Mapping[DestinationOutcome, int] = {
    "succeeded": _INFO,
    "incomplete": _WARNING,
    "failed": _ERROR,
    "unknown": _ERROR,
}


class LoggingObserver:
    """Tells the standard log what happens: begin and end, problems and waits; each entry at DEBUG.

    The end is one line for each destination, and one for all. The messages are for people, each of them one
    line: what is not printable in a name is written out. Programs read the fields of the records, in which
    names stand as they are. All are called `backup_…` and hold texts, whole numbers, numbers of seconds or
    booleans; one that does not apply is not there. `backup_event` says which of them to expect:

        all             backup_event, backup_operation, backup_pipeline
        started
        entry           backup_path, backup_size
        problem         backup_severity, backup_check, backup_path, backup_destination
        waiting         backup_seconds, backup_reason
        destination     backup_destination, backup_outcome, backup_id, backup_stored, backup_removed, backup_kept,
                        backup_swept, backup_freed, backup_count
        job             backup_job, backup_outcome: of a Scheduler; without backup_operation
        finished        backup_outcome, backup_dry_run, backup_took, backup_entries, backup_read, backup_written,
                        backup_skipped, backup_problems, backup_errors
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        import logging

        self._logger = logger or logging.getLogger("backupkit")
        self._current = threading.local()  # one observer may serve several pipelines at once

    def __call__(self, event: Event) -> None:
        match event:
            case Started(operation, name):
                self._current.fields = {"operation": operation, "pipeline": name}
                self._log(_INFO, {"event": "started"}, "%s of %s started", operation, name)
            case EntryStarted(path, size):
                self._log(_DEBUG, {"event": "entry", "path": path, "size": size}, "reading %s", path)
            case ProblemFound(problem):
                self._problem(problem)
            case Waiting(seconds, reason):
                fields = {"event": "waiting", "seconds": seconds, "reason": reason}
                self._log(_WARNING, fields, "trying again in %g seconds: %s", seconds, reason)
            case Finished(report):
                for result in report.destinations:
                    self._destination(report, result)
                self._finished(report)
                self._current.fields = {}
            case _:
                pass

    def _problem(self, problem: Problem) -> None:
        fields = {
            "event": "problem",
            "severity": problem.severity,
            "check": problem.check,
            "path": problem.path,
            "destination": problem.destination,
        }
        self._log(_ERROR if problem.severity == "error" else _WARNING, fields, "%s", problem.message)

    def _destination(self, report: Report, result: DestinationResult) -> None:
        fields: dict[str, object] = {
            "event": "destination",
            "operation": report.operation,
            "pipeline": report.name,
            "destination": result.location,
            "outcome": result.outcome,
        }
        found = []
        if (backup := result.backup) is not None:
            found.append(f": {backup.id}, {format_size(backup.stored)}")
            fields |= {"id": backup.id, "stored": backup.stored}
        if (plan := result.plan) is not None:
            removed, kept = len(plan.remove), len(plan.keep)
            found.append(f": {removed} removed, {kept} kept, {format_size(result.freed)} freed")
            fields |= {
                "removed": removed,
                "kept": kept,
                "swept": len(result.swept),
                "freed": result.freed,
            }
        if (summary := result.summary) is not None and summary.reachable:
            found.append(f": {summary.count} backups, {format_size(summary.stored)}")
            fields |= {"count": summary.count, "stored": summary.stored}
        self._log(
            _LEVELS[result.outcome],
            fields,
            "%s of %s at %s %s%s",
            _what(report),
            report.name,
            result.location,
            result.outcome,
            "".join(found),
        )

    def _finished(self, report: Report) -> None:
        fields = {
            "event": "finished",
            "operation": report.operation,
            "pipeline": report.name,
            "outcome": report.outcome,
            "dry_run": report.dry_run,
            "took": report.took.total_seconds(),
            "entries": report.entries,
            "read": report.read,
            "written": report.written,
            "skipped": report.skipped,
            "problems": len(report.problems),
            "errors": sum(problem.severity == "error" for problem in report.problems),
        }
        self._log(
            _LEVELS[report.outcome],
            fields,
            "%s of %s %s after %s: %d entries, %s read, %s written",
            _what(report),
            report.name,
            report.outcome,
            report.took,
            report.entries,
            format_size(report.read),
            format_size(report.written),
        )

    def _log(self, level: int, fields: Mapping[str, object], message: str, *args: object) -> None:
        if self._logger.isEnabledFor(level):
            fields = {**getattr(self._current, "fields", {}), **fields}
            extra = {f"backup_{name}": value for name, value in fields.items() if value is not None}
            # A file may be called "a\nrun of shop succeeded": whatever it is, a record is one line.
            shown = [printable(arg) if isinstance(arg, str) else arg for arg in args]
            self._logger.log(level, message, *shown, extra=extra)

    def __repr__(self) -> str:
        return f"LoggingObserver({self._logger.name!r})"


def log_job(name: str, job: str, done: Report | Summary | Exception) -> None:
    """Tell the log "backupkit" how a scheduled job ended that nobody waits for: by its result, or what it raised.

    The record has the fields backup_event, which is "job", backup_pipeline, backup_job and backup_outcome.
    """
    import logging

    outcome: DestinationOutcome = "succeeded"
    text, fault = "", None
    report = done if isinstance(done, Report) else getattr(done, "report", None)
    if report is not None:  # its problems hold the error's own message
        outcome = report.outcome
        text = "".join(f"; {problem.message}" for problem in report.problems)
    elif isinstance(done, Exception):
        outcome = "failed"
        text, fault = (f"; {done}", None) if isinstance(done, BackupKitError) else ("", done)
    extra = {"backup_event": "job", "backup_pipeline": name, "backup_job": job, "backup_outcome": outcome}
    level = _WARNING if isinstance(done, BackupAlreadyRunningError) else _LEVELS[outcome]
    logging.getLogger("backupkit").log(
        level, "scheduled %s of %s %s%s", job, name, outcome, printable(text), extra=extra, exc_info=fault
    )


def _what(report: Report) -> str:
    return f"dry run of {report.operation}" if report.dry_run else report.operation
