"""A listing for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from backupkit.backups import Backups
from backupkit.cli.texts import columns, minutes
from backupkit.errors import BackupKitError
from backupkit.model import Backup, Contents, Listing, Problem
from backupkit.sizes import format_size


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


def contents(backup: Backup) -> str:
    """What the backup holds: "databases+files"; "?" if only verifying it can tell."""
    return named(backup.contents)


def named(contents: Iterable[Contents]) -> str:
    return "+".join(sorted(contents)) or "?"


def pinned(backup: Backup) -> str:
    """Until when the backup is pinned, and why; "-" if it is not, or no longer."""
    if backup.pin is None or not backup.pin.holds(datetime.now(UTC)):
        return "-"
    until = "" if backup.pin.until is None else f"until {minutes(backup.pin.until)}: "
    return f"{until}{backup.pin.reason}"


def state(backup: Backup) -> str:
    """Whether the backup's run lost anything."""
    if backup.complete is None:
        return "unconfirmed"
    return "complete" if backup.complete else "incomplete"


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
