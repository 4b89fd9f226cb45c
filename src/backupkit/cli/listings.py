"""A listing for people."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.cli.texts import columns, minutes
from backupkit.model import Backup, Listing
from backupkit.sizes import format_size


def listing_lines(listing: Listing, *, details: bool) -> Iterator[str]:
    """Yield the backups as a table, newest first; the pipeline's name, or who made it, only where they differ."""
    if not listing.backups:
        yield "There are no backups."
        return
    several = len({backup.name for backup in listing.backups}) > 1
    foreign = any(backup.made_by != "backupkit" for backup in listing.backups)
    rows = [_cells(one, several=several, foreign=foreign, details=details) for one in listing.backups]
    yield from columns([list(rows[0]), *(list(row.values()) for row in rows)])


def _cells(backup: Backup, *, several: bool, foreign: bool, details: bool) -> dict[str, str]:
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
        **(more if details else {}),
        "DESTINATION": backup.location,
    }


def contents(backup: Backup) -> str:
    """What the backup holds: "databases+files"; "?" if only verifying it can tell."""
    return "+".join(sorted(backup.contents)) or "?"


def state(backup: Backup) -> str:
    """Whether the backup's run lost anything."""
    if backup.complete is None:
        return "unconfirmed"
    return "complete" if backup.complete else "incomplete"
