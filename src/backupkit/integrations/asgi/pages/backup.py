"""The page of one backup: what is known of it, where else it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.responses import Response

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.pages.backups import verdicts_on
from backupkit.integrations.asgi.pages.equivalents import download_equivalent, folder_equivalent
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup, Kept, Removed

PATH = "/pipelines/{pipeline}/backups/{backup}"


@dataclass(frozen=True, slots=True)
class Copy:
    """The backup at one of the destinations, None if it is not there, or nobody knows."""

    look: Look
    backup: Backup | None


def show(visit: Visit) -> Response:
    listed = visit.backup()
    facts = visit.page.shelves.facts(visit.name, listed)
    backup = facts.backup
    return visit.html(
        "backup.html",
        name=visit.name,
        backup=backup,
        facts=facts,
        copies=copies_of(visit, backup),
        verdict=_verdict(visit, backup),
        actions={
            "verify": Action(verb="verify", backup=backup.id, at=backup.location),
            "drill": Action(verb="drill", backup=backup.id, at=backup.location),
            "pin": Action(verb="pin", backup=backup.id, reason="why it must stay"),
            "unpin": Action(verb="unpin", backup=backup.id),
        },
        folder=folder_equivalent(visit.name, backup.id, at=backup.location),
        download=download_equivalent(visit.name, backup.id, backup.location),
        until=_last_day(visit, backup),
        pinned=backup.pin is not None and backup.pin.holds(visit.page.clock()),
    )


def copies_of(visit: Visit, backup: Backup) -> Sequence[Copy]:
    """The backup at each destination of its pipeline."""
    return [
        Copy(
            look,
            next(
                (
                    one
                    for one in (look.overview.backups if look.overview else ())
                    if (one.id, one.name) == (backup.id, backup.name)
                ),
                None,
            ),
        )
        for look in visit.page.looks.at(visit.name)
    ]


def _verdict(visit: Visit, backup: Backup) -> Kept | Removed | None:
    for look in visit.page.looks.at(visit.name):
        if look.overview is not None and look.location == backup.location:
            return verdicts_on([backup], look.overview).get((backup.name, backup.id))
    return None


def _last_day(visit: Visit, backup: Backup) -> date | None:
    """Until which day a pin holds, as the form has it, by whose end it is over."""
    until = backup.pin.until if backup.pin else None
    return None if until is None else (until - timedelta(microseconds=1)).astimezone(visit.page.zone).date()


ROUTES: tuple[Route, ...] = (Route("GET", PATH, "view", show),)
