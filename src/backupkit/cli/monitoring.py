"""The verb `monitor`."""

from __future__ import annotations

from backupkit.cli.choosing import chosen_pipeline
from backupkit.cli.options import App, Json, Quiet
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals


def monitor(app: App = None, json: Json = False, quiet: Quiet = False) -> None:
    """Ask the health checks about every destination.

    Exit code 1 if one of them is unhealthy.

    \b
    Examples:
      backupkit monitor --app shop.backups:pipeline
      backupkit monitor --app shop.backups:pipeline --json
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.monitor(cancel=cancel)
        output.report(report)
