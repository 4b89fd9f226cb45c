"""The verb `repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import At, DryRun, Json, Quiet, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import repair_lines


@grouped
def repair(
    url: Url = None,
    *,
    at: At = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--quick", help="Believe the index and the sizes of what is stored, instead of reading it all."
        ),
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Remove damaged snapshots once what is left of them is stored; pinned ones stay."
        ),
    ] = False,
    dry_run: DryRun = False,
    opening: Opening,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make what is still right in a damaged repository of snapshots usable again.

    The index is made anew where it is wrong, and each damaged snapshot gets another one beside it, without what is
    lost. Exit code 3 if anything is lost; each path is named.

    \b
    Examples:
      backupkit repair --app shop.backups:pipeline --dry-run
      backupkit repair /mnt/backup
      backupkit repair /mnt/backup --quick --forget
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.repair(
                at=at, quick=fast, forget=forget, dry_run=dry_run, cancel=cancel
            ),
            observers=output.observers(),
        )
        output.report(report, repair_lines(report))
