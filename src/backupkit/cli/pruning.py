"""The verb `prune`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import At, DryRun, Json, Quiet, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import dry_prune_lines
from backupkit.prune_limits import PruneLimits


@grouped
def prune(
    url: Url = None,
    *,
    at: At = None,
    max_unused: Annotated[
        str | None,
        typer.Option(
            metavar="LIMIT",
            help="How much of what is stored may be of no use: a share, 5%, or a size, 2GB; "
            '"unlimited" stores nothing anew. Default: 5%, or what the pipeline says.',
            show_default=False,
        ),
    ] = None,
    max_repack: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Read and store anew no more than this.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    opening: Opening,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete what no backup refers to.

    clean does so by itself. For snapshots that were removed by others, or runs that were killed.

    \b
    Examples:
      backupkit prune /mnt/backup --dry-run
      backupkit prune --app shop.backups:pipeline --max-unused 10% --max-repack 20GB
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        limits_beside(PruneLimits(), max_unused, max_repack)  # or it is said now what is wrong with them
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.prune(
                at=at,
                limits=limits_beside(getattr(backups.format, "pruning", None), max_unused, max_repack),
                dry_run=dry_run,
                cancel=cancel,
            ),
            observers=output.observers(),
        )
        output.report(report, dry_prune_lines(report) if dry_run else None)


def limits_beside(
    own: PruneLimits | None, max_unused: str | None, max_repack: str | None
) -> PruneLimits | None:
    """What the options say, and where they say nothing, what the pipeline's own limits do."""
    if own is None or (max_unused is None and max_repack is None):
        return own
    if max_unused is not None:
        own = replace(own, max_unused=None if max_unused == "unlimited" else max_unused)
    return own if max_repack is None else replace(own, max_repack=max_repack)
