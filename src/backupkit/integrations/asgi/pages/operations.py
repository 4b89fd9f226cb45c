"""What is under way or has ended lately: asked for, shown, cancelled."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import cast

from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.pages import asking
from backupkit.integrations.asgi.pages.asking import submit, under_way
from backupkit.integrations.asgi.pages.following import events_of
from backupkit.integrations.asgi.pages.works import lately, work_of
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work
from backupkit.model import Contents

_PATIENCE = 2.0  # seconds that a request waits for what is quick
_OFTEN = 0.05


def show_all(visit: Visit) -> Response:
    chosen = visit.query.get("pipeline") or None
    return visit.html("operations.html", lately=lately(visit, chosen), chosen=chosen)


def show(visit: Visit) -> Response:
    return visit.html("operation.html", work=work_of(visit))


def events(visit: Visit) -> Response:
    return events_of(visit, work_of(visit))


def cancel(visit: Visit) -> Response:
    work = work_of(visit)
    asking.cancel(visit, work)
    _waited_for(visit, work.id)
    return visit.go(visit.path("operations", work.id))


def run(visit: Visit) -> Response:
    return _begun(visit, Action(verb="run", only=cast("Contents | None", _said(visit, "only"))))


def verify(visit: Visit) -> Response:
    return _begun(visit, Action(verb="verify"))


def drill(visit: Visit) -> Response:
    return _begun(visit, Action(verb="drill"))


def monitor(visit: Visit) -> Response:
    return _begun(visit, Action(verb="monitor"))


def verify_backup(visit: Visit) -> Response:
    return _begun(visit, Action(verb="verify", backup=visit.backup().id, at=_at(visit)))


def drill_backup(visit: Visit) -> Response:
    return _begun(visit, Action(verb="drill", backup=visit.backup().id, at=_at(visit)))


def pin(visit: Visit) -> Response:
    reason = _said(visit, "reason")
    if reason is None:
        raise ConfigurationError("Say why this backup must be kept: whoever finds the pin will want to know.")
    action = Action(verb="pin", backup=visit.backup().id, reason=reason, until=_until(visit))
    return _begun(visit, action, then="backups")


def unpin(visit: Visit) -> Response:
    return _begun(visit, Action(verb="unpin", backup=visit.backup().id), then="backups")


def _begun(visit: Visit, action: Action, then: str = "operations") -> Response:
    """Have it done, unless the very same is under way, and go to where that is shown.

    That is the page of the backup instead, if it was quick.
    """
    _ = visit.pipeline  # or 404
    id = under_way(visit, action) or submit(visit, action)
    if then == "backups" and action.backup is not None:
        work = _waited_for(visit, id)
        if work is not None and work.is_over and not work.failed:
            return visit.go(visit.path("pipelines", visit.name, "backups", action.backup, at=_at(visit)))
    return visit.go(visit.path("operations", id))


def _waited_for(visit: Visit, id: str) -> Work | None:
    """How it stands when it is over, or when that has taken too long."""
    end = time.monotonic() + _PATIENCE
    while (work := visit.page.queue.get(id)) and not work.is_over and time.monotonic() < end:
        time.sleep(_OFTEN)
    return work


def _said(visit: Visit, name: str) -> str | None:
    said = visit.form.get(name)
    if said is not None and not isinstance(said, str):
        raise ConfigurationError(f"{name} is given several times, or is no text: give it once.")
    return (said or "").strip() or None


def _at(visit: Visit) -> str | None:
    return visit.query.get("at") or _said(visit, "at")


def _until(visit: Visit) -> datetime | None:
    """The end of the day that was said, on the clock of the page."""
    said = _said(visit, "until")
    if said is None:
        return None
    try:
        day = date.fromisoformat(said) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ConfigurationError(f"until={said!r} is no date: write one such as 2030-01-31.") from None
    return datetime(day.year, day.month, day.day, tzinfo=visit.page.zone)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/operations", "view", show_all),
    Route("GET", "/operations/{operation}", "view", show),
    Route("GET", "/operations/{operation}/events", "view", events),
    Route("POST", "/operations/{operation}/cancel", "run", cancel),
    Route("POST", "/pipelines/{pipeline}/run", "run", run),
    Route("POST", "/pipelines/{pipeline}/verify", "run", verify),
    Route("POST", "/pipelines/{pipeline}/drill", "run", drill),
    Route("POST", "/pipelines/{pipeline}/monitor", "run", monitor),
    Route("POST", "/pipelines/{pipeline}/backups/{backup}/verify", "run", verify_backup),
    Route("POST", "/pipelines/{pipeline}/backups/{backup}/drill", "run", drill_backup),
    Route("POST", "/pipelines/{pipeline}/backups/{backup}/pin", "run", pin),
    Route("POST", "/pipelines/{pipeline}/backups/{backup}/unpin", "delete", unpin),
)
