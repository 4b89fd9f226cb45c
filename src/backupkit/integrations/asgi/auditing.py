"""Who did what, when, and from where: it is noted, and shown to whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request

from backupkit.errors import BackupKitError
from backupkit.history import AuditLine
from backupkit.integrations.actions import Action, plain_action
from backupkit.integrations.asgi.abilities import Visitor
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit


def note(visit: Visit, what: Action | Mapping[str, Any]) -> None:
    """Keep that this visitor asks for this: an action, or a verb with its arguments, without secrets, as JSON has it.

    If it cannot be kept, what is asked for goes on, and its answer says that it was not noted.
    """
    said = plain_action(what) if isinstance(what, Action) else what
    _write(visit.page, visit.request, visit.visitor, said, "asked")


def _write(
    page: Page,
    request: Request,
    visitor: Visitor,
    what: Mapping[str, Any],
    outcome: Literal["asked", "refused"],
) -> None:
    client = request.client
    line = AuditLine(
        time=page.clock(),
        who=visitor.who,
        what=what,
        pipeline=str(request.path_params.get("pipeline", "")),
        address=client.host if client else "",
        outcome=outcome,
    )
    try:
        page.audit.note(line)
    except BackupKitError:
        request.state.backupkit_unnoted = True


ROUTES: tuple[Route, ...] = ()
