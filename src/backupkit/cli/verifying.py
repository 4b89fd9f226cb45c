"""The verb `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, NoNotify, Only, Quiet, Url, Which, contents_of, grouped
from backupkit.cli.output import Output


@grouped
def verify(
    url: Url = None,
    *,
    backup: Which = "latest",
    at: At = None,
    only: Annotated[
        Only | None, typer.Option(help="Of latest: the newest good one that holds this half.")
    ] = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help='Of a snapshot, read only a part: "2/7" is the second of seven, "10%" another tenth on each day.',
            show_default=False,
        ),
    ] = None,
    no_notify: NoNotify = False,
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
        contents = contents_of(only)
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.verify(
                backup, at=at, only=contents, share=share, notify=not no_notify, cancel=cancel
            ),
            observers=output.observers(),
        )
        output.report(report)
