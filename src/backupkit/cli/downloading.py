"""The verb `download`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, Quiet, Url, Which, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import restore_lines


@grouped
def download(
    url: Url = None,
    *,
    to: Annotated[
        str,
        typer.Option(metavar="FILE", help="A file, or a folder for one of its own name.", show_default=False),
    ],
    backup: Which = "latest",
    at: At = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")] = False,
    opening: OpeningAny,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch an archive as the file that it is, still encrypted.

    Needs no passphrase, and stock tools open it. Snapshots are no files: restore them, or copy them to a folder.

    \b
    Examples:
      backupkit download --app shop.backups:pipeline --to /media/stick/
      backupkit download s3://bucket/shop --backup 2026-03-01T02 --to shop.zip
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.download(
                backup, to=to, at=at, overwrite=overwrite, cancel=cancel
            ),
            observers=output.observers(),
        )
        files = [result.file for result in report.destinations if result.file is not None]
        output.report(report, restore_lines(report, to=files, dry_run=False))
