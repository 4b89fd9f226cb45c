"""One operation with the pipeline that is meant, or with each of those that are there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeAlias

from backupkit.cli.choosing import Choice
from backupkit.cli.output import Output
from backupkit.cli.reports import report_lines
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline

Operation: TypeAlias = Callable[[BackupPipeline, threading.Event], Report]


def operate(
    operation: Operation,
    choice: Choice,
    output: Output,
    *,
    every: bool,
    lines: Callable[[Report], Iterable[str]] = report_lines,
) -> NoReturn:
    """Do it with an event that signals set, tell how it ended, and exit accordingly."""
    with cancelled_by_signals() as cancel:
        if every:
            output.each(choice.every(output.observers()), lambda one: operation(one, cancel), lines)
        report = operation(choice.one(output.observers()), cancel)
    output.report(report, lines(report))
