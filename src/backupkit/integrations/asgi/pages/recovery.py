"""The recovery sheet: what a stranger needs besides the passphrase, to be printed and kept apart."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.errors import BackupKitError
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.pages.downloads import disposition
from backupkit.integrations.asgi.pages.equivalents import sheet_equivalent
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit


def show(visit: Visit) -> Response:
    """The sheet as a page to print, or with `as=text` as a file."""
    pipeline = visit.pipeline
    try:
        sheet = visit.page.shelves.within(f"The place of {visit.name}", pipeline.recovery_sheet)
    except ExceptionGroup as group:
        said = " ".join(str(one) for one in group.exceptions if isinstance(one, BackupKitError))
        raise HTTPException(502, f"The recovery sheet could not be made. {said}") from group
    auditing.note(visit, "recovery sheet")
    if visit.query.get("as") == "text":
        headers = {"Content-Disposition": disposition(f"recovery-sheet-{visit.name}.md")}
        return Response(sheet.encode("utf-8", "replace"), 200, headers, "text/plain; charset=utf-8")
    return visit.html("recovery.html", name=visit.name, sheet=sheet, lines=sheet_equivalent(visit.name))


ROUTES: tuple[Route, ...] = (Route("GET", "/pipelines/{pipeline}/recovery-sheet", "administer", show),)
