"""The verb `clean`."""

from __future__ import annotations

from backupkit.cli.choosing import Choice
from backupkit.cli.options import At, DryRun, EveryPipeline, Json, NoNotify, Quiet, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import dry_clean_lines, report_lines
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline


@grouped
def clean(
    *,
    at: At = None,
    dry_run: DryRun = False,
    no_notify: NoNotify = False,
    choice: Choice,
    all_pipelines: EveryPipeline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove the backups that the retention policy no longer keeps.

    The newest good backup of each kind stays, whatever the policy says.

    \b
    Examples:
      backupkit clean --app shop.backups:pipeline --dry-run
      backupkit clean --app shop.backups:pipeline
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        lines = dry_clean_lines if dry_run else report_lines
        with cancelled_by_signals() as cancel:

            def operation(pipeline: BackupPipeline) -> Report:
                return pipeline.clean(at=at, dry_run=dry_run, notify=not no_notify, cancel=cancel)

            if all_pipelines:
                output.each(choice.every(output.observers()), operation, lines)
            report = operation(choice.one(output.observers()))
        output.report(report, lines(report))
