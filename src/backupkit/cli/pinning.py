"""The verbs `pin` and `unpin`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import Json, Url, WhichOne, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import minutes
from backupkit.errors import ConfigurationError
from backupkit.model import Backup
from backupkit.printable import printable


@grouped
def pin(
    url: Url = None,
    *,
    backup: WhichOne,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; it stands in listings and plans.", show_default=False)
    ],
    until: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="To the end of that day in UTC, such as 2027-03-31, or a time with its zone, such as "
            "2027-03-31T12:00+02:00. Default: until it is unpinned.",
            show_default=False,
        ),
    ] = None,
    opening: Opening,
    json: Json = False,
) -> None:
    """Keep clean from removing a backup.

    It is pinned at every destination that holds it; only snapshots need their passphrase for that. Pinning it
    again replaces reason and date.

    \b
    Examples:
      backupkit pin --app shop.backups:pipeline --backup latest --reason 'before the upgrade'
      backupkit pin /mnt/backup --backup 2026-03-01T02 --reason 'audit of 2026' --until 2027-03-31
    """
    output = Output(json=json)
    with output.ending():
        end = None if until is None else end_of(until)
        place = opening.at(url)
        pinned = place.use(lambda backups, _: backups.pin(backup, reason=reason, until=end))
        output.told(pinned, _pinned_lines(pinned))


@grouped
def unpin(
    url: Url = None,
    *,
    backup: WhichOne,
    opening: Opening,
    json: Json = False,
) -> None:
    """Let clean remove a backup again.

    \b
    Examples:
      backupkit unpin --app shop.backups:pipeline --backup 2026-03-01T02
      backupkit unpin /mnt/backup --backup 2026-03-01T02
    """
    output = Output(json=json)
    with output.ending():
        place = opening.at(url)
        unpinned = place.use(lambda backups, _: backups.unpin(backup))
        output.told(unpinned, [f"{unpinned.id} is not pinned."])


def _pinned_lines(backup: Backup) -> Iterator[str]:
    if backup.pin is not None:
        until = "until it is unpinned" if backup.pin.until is None else f"until {minutes(backup.pin.until)}"
        yield f"{backup.id} is pinned {until}: {printable(backup.pin.reason)}"


def end_of(until: str, *, option: str = "--until") -> datetime:
    """The end of the day, or the time, that the option names."""
    try:
        day = date.fromisoformat(until) + timedelta(days=1)
    except OverflowError:  # the last day of the calendar has no end of its own
        return datetime.max.replace(tzinfo=UTC)
    except ValueError:
        pass
    else:
        return datetime.combine(day, time(0), UTC)
    try:
        end = datetime.fromisoformat(until)
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        raise ConfigurationError(
            f"{option} {until!r} is not clear: write it as 2027-03-31, or as 2027-03-31T12:00+00:00."
        )
    return end
