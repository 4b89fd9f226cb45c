"""Deleting one backup: what would be left, and a confirmation that nobody gives by mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from backupkit._deleting import Objection, objections
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.pages.asking import ask
from backupkit.integrations.asgi.pages.backup import PATH, copies_of
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup


@dataclass(frozen=True, slots=True)
class Left:
    """What there is without a copy: so many `good` ones of the same contents, and the `newest` of these.

    `objection` is what speaks against deleting it.
    """

    copy: Backup
    objection: Objection | None
    good: int
    newest: Backup | None


def show(visit: Visit) -> Response:
    return _asked(visit)


def delete(visit: Visit) -> Response:
    """Have it deleted, if it was typed which one is meant, and what speaks against it gives way."""
    backup = visit.backup()
    at = _said(visit, "at")
    if _said(visit, "typed").strip() != backup.id:
        return _asked(visit, "What was typed is not the id of this backup, so nothing was deleted.")
    concerned = [one for one in _left(visit, backup) if at in ("", one.copy.location)]
    against = [one.objection for one in concerned if one.objection]
    if any(not one.gives_way for one in against):
        return _asked(visit, "It is pinned, so nothing was deleted: unpin it first.")
    force = _said(visit, "force") == "yes"
    if against and not force:
        return _asked(
            visit,
            "It is the newest good one, so nothing was deleted: tick the box to delete it all the same.",
        )
    return ask(visit, Action(verb="delete", backup=backup.id, at=at or None, force=force and bool(against)))


def _asked(visit: Visit, refused: str | None = None) -> Response:
    backup = visit.backup()
    left = _left(visit, backup)
    return visit.html(
        "delete.html",
        400 if refused else 200,
        name=visit.name,
        backup=backup,
        left=left,
        silent=[one for one in visit.page.looks.at(visit.name) if not one.answers],
        deletable=[one for one in left if one.objection is None or one.objection.gives_way],
        last=any(one.objection is not None and one.objection.gives_way for one in left),
        refused=refused,
        action=Action(verb="delete", backup=backup.id, at=backup.location),
    )


def _left(visit: Visit, backup: Backup) -> Sequence[Left]:
    """For each copy, what there is without it."""
    found = []
    for copy in copies_of(visit, backup):
        if copy.backup is None or copy.look.overview is None:
            continue
        there = copy.look.overview.backups
        against = next(objections(copy.backup, there, now=visit.page.clock()), None)
        others = [
            one
            for one in there
            if one.id != backup.id
            and one.name == backup.name
            and one.good
            and one.contents == backup.contents
        ]
        found.append(Left(copy.backup, against, len(others), others[0] if others else None))
    return found


def _said(visit: Visit, name: str) -> str:
    """A field that is one text."""
    value = visit.form.get(name, "")
    return value if isinstance(value, str) else ""


ROUTES: tuple[Route, ...] = (
    Route("GET", f"{PATH}/delete", "delete", show),
    Route("POST", f"{PATH}/delete", "delete", delete),
)
