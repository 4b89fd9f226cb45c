"""The verb `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.choosing import OpeningAny
from backupkit.cli.options import At, Json, Quiet, Url, Which, grouped
from backupkit.cli.output import Output


@grouped
def verify(
    url: Url = None,
    *,
    backup: Which = "latest",
    at: At = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help='Of a snapshot, read only a part: "2/7" is the second of seven, "10%" another tenth on each day.',
            show_default=False,
        ),
    ] = None,
    opening: OpeningAny,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a backup back in full and compare its checksums.

    That is remembered beside the backup: one found damaged is no longer a good one.

    \b
    Examples:
      backupkit verify --app shop.backups:pipeline
      backupkit verify /mnt/backup --backup 2026-03-01T02 --passphrase-file ~/.backup-passphrase
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.verify(backup, at=at, share=share, cancel=cancel),
            observers=output.observers(),
        )
        output.report(report)
