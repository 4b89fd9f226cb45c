"""The verb `monitor`."""

from __future__ import annotations

from backupkit.cli.choosing import Choice
from backupkit.cli.options import At, EveryPipeline, Json, NoNotify, Quiet, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import report_lines
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline


@grouped
def monitor(
    *,
    at: At = None,
    no_notify: NoNotify = False,
    choice: Choice,
    all_pipelines: EveryPipeline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask the health checks about every destination.

    Exit code 1 if one of them is unhealthy.

    \b
    Examples:
      backupkit monitor --app shop.backups:pipeline
      backupkit monitor --app shop.backups:pipeline --json
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        with cancelled_by_signals() as cancel:

            def operation(pipeline: BackupPipeline) -> Report:
                return pipeline.monitor(at=at, notify=not no_notify, cancel=cancel)

            if all_pipelines:
                output.each(choice.every(output.observers()), operation, report_lines)
            report = operation(choice.one(output.observers()))
        output.report(report)
