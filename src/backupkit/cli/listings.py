"""The verb `list`, and a listing for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated

import typer

from backupkit._finding import newest_first
from backupkit.backups import Backups
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import EveryPipeline, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import columns, contents, minutes, pinned, state
from backupkit.errors import BackupKitError, ConfigurationError
from backupkit.model import Backup, Listing, Problem
from backupkit.sizes import format_size


@grouped
def list_(
    url: Url = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Also entries, plain size, host and tags: one read per backup.")
    ] = False,
    opening: OpeningAny,
    all_pipelines: EveryPipeline = False,
    json: Json = False,
) -> None:
    """Show the backups, newest first. Archives need no passphrase for that, snapshots do.

    \b
    Examples:
      backupkit list /mnt/backup
      backupkit list --app shop.backups:pipeline --details
    """
    output = Output(json=json)
    with output.ending():
        if all_pipelines:
            if url is not None:
                raise ConfigurationError(
                    "A URL says where the backups are, and so does --all-pipelines: give one of them."
                )
            listing = _listing_of(opening.every(), details=details)
        else:
            listing = opening.at(url).use(lambda backups, _: _listed(backups, details=details))
        output.listing(listing, listing_lines(listing, details=details))


def listing_lines(listing: Listing, *, details: bool) -> Iterator[str]:
    """Yield the backups as a table, newest first; names, makers and pins only where there are any to tell."""
    if not listing.backups:
        yield "No backup was found." if listing.problems else "There are no backups."
        return
    several = len({backup.name for backup in listing.backups}) > 1
    kept = any(backup.pin for backup in listing.backups)
    foreign = any(backup.made_by != "backupkit" for backup in listing.backups)
    rows = [
        _cells(one, several=several, foreign=foreign, kept=kept, details=details) for one in listing.backups
    ]
    yield from columns([list(rows[0]), *(list(row.values()) for row in rows)])


def _cells(backup: Backup, *, several: bool, foreign: bool, kept: bool, details: bool) -> dict[str, str]:
    more = {
        "ENTRIES": "?" if backup.entries is None else str(backup.entries),
        "SIZE": "?" if backup.size is None else format_size(backup.size),
        "HOST": "?" if backup.host is None else backup.host,
        "TAGS": "?" if backup.tags is None else ", ".join(backup.tags) or "-",
    }
    return {
        **({"NAME": backup.name} if several else {}),
        "ID": backup.id,
        "TIME": minutes(backup.time),
        **({"MADE BY": backup.made_by} if foreign else {}),
        "CONTENTS": contents(backup),
        "STORED": format_size(backup.stored),
        "STATE": state(backup),
        "VERIFIED": "damaged" if backup.damaged else minutes(backup.verified) if backup.verified else "never",
        "PROVEN": minutes(backup.proven) if backup.proven else "failed" if backup.refuted else "never",
        **({"PINNED": pinned(backup)} if kept else {}),
        **(more if details else {}),
        "DESTINATION": backup.location,
    }


def _listed(backups: Backups, *, details: bool) -> Listing:
    return detailed(backups) if details else backups.list()


def _listing_of(several: Iterable[Backups], *, details: bool) -> Listing:
    """All in one; what keeps one of them from being listed is a problem."""
    listings: list[Listing] = []
    for backups in several:
        try:
            listings.append(_listed(backups, details=details))
        except BackupKitError as error:
            problem = Problem(message=f"{backups.name}: {error}")
            listings.append(Listing(backups=(), problems=(problem,)))
    return Listing(
        backups=newest_first(backup for listing in listings for backup in listing.backups),
        problems=tuple(problem for listing in listings for problem in listing.problems),
    )


def detailed(backups: Backups) -> Listing:
    """The listing with each backup's details; those that cannot be read are a problem of the listing."""
    listing = backups.list()
    found: list[Backup] = []
    problems = list(listing.problems)
    for backup in listing.backups:
        try:
            # Snapshots say all they know at once, and looking for one reads them all.
            found.append(backups.details(backup) if backup.host is None else backup)
        except BackupKitError as error:
            found.append(backup)
            problems.append(Problem(message=str(error), destination=backup.location))
    return replace(listing, backups=tuple(found), problems=tuple(problems))
