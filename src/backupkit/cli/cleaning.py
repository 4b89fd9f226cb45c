"""The verb `clean`."""

from __future__ import annotations

from backupkit.cli.choosing import chosen_pipeline
from backupkit.cli.options import App, At, DryRun, Json, NoNotify, Quiet
from backupkit.cli.output import Output
from backupkit.cli.reports import dry_clean_lines
from backupkit.cli.stopping import cancelled_by_signals


def clean(
    app: App = None,
    at: At = None,
    dry_run: DryRun = False,
    no_notify: NoNotify = False,
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
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.clean(at=at, dry_run=dry_run, notify=not no_notify, cancel=cancel)
        output.report(report, dry_clean_lines(report) if dry_run else None)
