"""The verb `clean`."""

from __future__ import annotations

import threading

from backupkit._operation import utc_now
from backupkit.cli.choosing import Choice
from backupkit.cli.operating import operate
from backupkit.cli.options import At, DryRun, EveryPipeline, Json, NoNotify, Quiet, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import dry_clean_lines, report_lines
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job
from backupkit.scheduling.missed import begun


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

        def operation(pipeline: BackupPipeline, cancel: threading.Event) -> Report:
            if not dry_run:
                begun(pipeline, Job("clean", to=at), utc_now())
            return pipeline.clean(at=at, dry_run=dry_run, notify=not no_notify, cancel=cancel)

        lines = dry_clean_lines if dry_run else report_lines
        operate(operation, choice, output, every=all_pipelines, lines=lines)
