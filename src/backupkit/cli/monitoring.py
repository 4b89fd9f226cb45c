"""The verb `monitor`."""

from __future__ import annotations

from backupkit.cli.choosing import chosen_pipeline
from backupkit.cli.options import App, At, Json, NoNotify, Quiet
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals


def monitor(
    app: App = None, at: At = None, no_notify: NoNotify = False, json: Json = False, quiet: Quiet = False
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
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.monitor(at=at, notify=not no_notify, cancel=cancel)
        output.report(report)
