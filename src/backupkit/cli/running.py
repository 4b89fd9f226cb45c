"""The verb `run`."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Annotated

import typer

from backupkit._operation import utc_now
from backupkit.cli.choosing import Choice
from backupkit.cli.operating import operate
from backupkit.cli.options import EveryPipeline, Half, Json, NoNotify, Quiet, contents_of, grouped
from backupkit.cli.output import Output
from backupkit.model import Report
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job
from backupkit.scheduling.missed import begun


@grouped
def run(
    *,
    only: Half = None,
    only_db: Annotated[bool, typer.Option("--only-db", help="The same as --only databases.")] = False,
    only_files: Annotated[bool, typer.Option("--only-files", help="The same as --only files.")] = False,
    to: Annotated[
        str | None, typer.Option(metavar="LOCATION", help="Only to this one of the destinations.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Note this with the backup. Repeatable.")
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for another run to end.")
    ] = 0,
    no_notify: NoNotify = False,
    choice: Choice,
    all_pipelines: EveryPipeline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a backup.

    Exit code 3 says that a backup was made, but something is not in it, or not every destination has it.

    \b
    Examples:
      backupkit run --app shop.backups:pipeline
      backupkit run --app shop.backups:pipeline --only databases --tag before-upgrade --wait 600
      backupkit run --config /etc/backupkit.toml --all-pipelines
    In cron, to hear of trouble only:
      0 3 * * *  cd /srv/shop && backupkit run --app shop.backups:pipeline --quiet
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        contents = contents_of(only, databases=only_db, files=only_files)

        def operation(pipeline: BackupPipeline, cancel: threading.Event) -> Report:
            begun(pipeline, Job("run", only=contents, to=to), utc_now())
            return pipeline.run(
                only=contents,
                to=to,
                tags=tag or (),
                notify=not no_notify,
                wait=timedelta(seconds=wait),
                cancel=cancel,
            )

        operate(operation, choice, output, every=all_pipelines)
