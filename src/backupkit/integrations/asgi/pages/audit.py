"""The audit: who did what, when, and from where."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.asgi.pages.filters import ROWS, page_number
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit


def show(visit: Visit) -> Response:
    who, pipeline = visit.query.get("who") or None, visit.query.get("pipeline") or None
    number = page_number(visit)
    count = visit.page.audit.count_noted(pipeline, who)
    lines = visit.page.audit.noted(pipeline, who, limit=ROWS, skip=(number - 1) * ROWS)
    return visit.html(
        "audit.html",
        lines=lines,
        count=count,
        number=number,
        pages=max(1, -(-count // ROWS)),
        who=who or "",
        pipeline=pipeline or "",
    )


ROUTES = (Route("GET", "/audit", "administer", show),)
