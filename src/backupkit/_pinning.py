"""Pinning a backup, and unpinning it, at every destination that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from backupkit._operation import raise_all
from backupkit.errors import BackupNotFoundError, DestinationError, told
from backupkit.marks import write_pin
from backupkit.model import Backup, Pin
from backupkit.protocols import Destination


def pin_everywhere(
    backup: Backup,
    copies: Sequence[tuple[Destination, Backup]],
    silent: Sequence[DestinationError],
    pin: Pin | None,
    *,
    now: datetime,
) -> Backup:
    """The backup with the pin, or with None without one, recorded beside each copy.

    All are tried. Raises the error of the one that could not be reached or refused, or a group of them, `silent`
    being those that could not even say whether they hold it; asking again does no harm.
    """
    what = "unpinned" if pin is None else "pinned"
    if not copies and not silent:
        raise BackupNotFoundError(f"The backup {backup.id} is gone, and cannot be {what}: list the backups.")
    done: list[str] = []
    failures: list[tuple[str, Exception]] = [(error.location, error) for error in silent]
    for destination, copy in copies:
        try:
            write_pin(destination, copy, pin, now)
        except Exception as error:  # the other copies have it all the same
            failures.append((destination.location, error))
        else:
            done.append(destination.location)
    but = f"was {what} at {', '.join(done)}, but " if done else ""
    errors: list[DestinationError] = []
    for location, failure in failures:
        message = f"The backup {backup.id} {but}could not be {what} at {location}: {told(failure)}"
        errors.append(DestinationError(message, location=location))
        errors[-1].__cause__ = failure
    raise_all(f"The backup {backup.id} could not be {what} everywhere", errors)
    return replace(backup, pin=pin)
