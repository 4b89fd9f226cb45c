"""Who did what, when, and from where, as it is noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from backupkit.errors import BackupKitError
from backupkit.history import AuditLine
from backupkit.integrations.actions import Action, plain_action
from backupkit.integrations.asgi.access.abilities import Visitor
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.visit import Visit, path_below

_LONGEST_ADDRESS = 500
_UNNOTED = "unnoted"


def note(visit: Visit, what: Action | str, **said: str | None) -> None:
    """Keep that this visitor asks for this: an action, or a verb with what was said of it, free of secrets.

    If it cannot be kept, what is asked for goes on, and its answer says that it was not noted.
    """
    named = {name: value for name, value in said.items() if value is not None}
    asked = plain_action(what) if isinstance(what, Action) else {"verb": what, **named}
    _write(visit.page, visit.request, visit.visitor, asked, "asked")


def note_refusal(page: Page, request: Request, visitor: Visitor) -> None:
    """Keep that this visitor was not let in to what they asked for."""
    said = {"method": request.method, "address": path_below(request.scope)[:_LONGEST_ADDRESS]}
    _write(page, request, visitor, said, "refused")


def tell_if_unnoted(request: Request, response: Response) -> None:
    """Let the answer say so: in a header, for programs, and by the address it leads to, for the layout of pages."""
    if not getattr(request.state, "backupkit_unnoted", False):
        return
    response.headers["Backupkit-Audit"] = "not written"
    if (address := response.headers.get("location")) is not None:
        response.headers["location"] = f"{address}{'&' if '?' in address else '?'}{_UNNOTED}=1"


def _write(
    page: Page,
    request: Request,
    visitor: Visitor,
    what: Mapping[str, Any],
    outcome: Literal["asked", "refused"],
) -> None:
    client = request.client
    name = str(request.path_params.get("pipeline", ""))
    line = AuditLine(
        time=page.clock(),
        who=visitor.who,
        what=what,
        # One that somebody has made up would never come again, and its lines never be old enough to go.
        pipeline=name if name in page.pipelines else "",
        address=client.host if client else "",
        outcome=outcome,
    )
    try:
        page.audit.note(line)
    except BackupKitError:
        request.state.backupkit_unnoted = True
