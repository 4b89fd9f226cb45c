"""The verb `unlock`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import At, Json, Quiet, Url, grouped
from backupkit.cli.output import Output


@grouped
def unlock(
    url: Url = None,
    *,
    at: At = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Remove all locks, also those that are held: only when nothing else uses the snapshots.",
        ),
    ] = False,
    opening: Opening,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Remove the locks that killed processes have left beside snapshots.

    Nobody has to: what is in the way is taken over some minutes later, or after half an hour if it was made on
    another host. Call this on the host, or in the container, on which the process was killed.

    \b
    Examples:
      backupkit unlock --app shop.backups:pipeline
      backupkit unlock /mnt/backup --force
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        output.report(place.use(lambda backups, cancel: backups.unlock(at=at, force=force, cancel=cancel)))
