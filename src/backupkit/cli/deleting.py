"""The verb `delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import At, Json, Quiet, Url, WhichOne, grouped
from backupkit.cli.output import Output


@grouped
def delete(
    url: Url = None,
    *,
    backup: WhichOne,
    at: At = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also the newest good backup of its contents. Never a pinned one.")
    ] = False,
    opening: Opening,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete one backup, at every destination that holds it.

    Old ones are removed by `clean`. One that is pinned is refused, and, without --force, the newest good one of its
    contents. What only a snapshot needed is freed by `prune` or `clean`.

    \b
    Examples:
      backupkit delete --app shop.backups:pipeline --backup 2026-03-01T02
      backupkit delete /mnt/backup --backup 2026-03-01T02
      backupkit delete --app shop.backups:pipeline --backup 2026-03-01T02 --at /mnt/backup
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        output.report(
            place.use(lambda backups, cancel: backups.delete(backup, at=at, force=force, cancel=cancel))
        )
