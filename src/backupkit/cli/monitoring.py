"""The verb `monitor`."""

from __future__ import annotations

import threading

from backupkit._operation import utc_now
from backupkit.cli.choosing import Choice
from backupkit.cli.operating import operate
from backupkit.cli.options import At, EveryPipeline, Json, NoNotify, Quiet, grouped
from backupkit.cli.output import Output
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job
from backupkit.scheduling.missed import begun


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

        def operation(pipeline: BackupPipeline, cancel: threading.Event) -> Report:
            begun(pipeline, Job("monitor", to=at), utc_now())
            return pipeline.monitor(at=at, notify=not no_notify, cancel=cancel)

        operate(operation, choice, output, every=all_pipelines)
