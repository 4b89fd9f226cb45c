"""The verb `unlock`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.choosing import Opening
from backupkit.cli.options import At, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import counted


@grouped
def unlock(
    url: Url = None,
    *,
    at: At = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Remove locks that are held, too: whoever uses the snapshots now fails."
        ),
    ] = False,
    opening: Opening,
    json: Json = False,
) -> None:
    """Remove the locks that killed processes have left beside snapshots.

    Nobody has to: what is in the way is taken over some minutes later.

    \b
    Examples:
      backupkit unlock --app shop.backups:pipeline
      backupkit unlock /mnt/backup --force
    """
    output = Output(json=json)
    with output.ending():
        removed = opening.at(url).use(lambda backups, _: backups.unlock(at=at, force=force))
        lines = [f"{where}: {counted(count, 'lock', 'locks')} removed" for where, count in removed.items()]
        output.told(removed, lines)
