"""What every button does: note who asked, ask the queue or end what it does, and lead to where that is shown."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.pages.works import known
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work


def ask(visit: Visit, action: Action) -> Response:
    """Have it done with the pipeline in the address, unless it is under way already, and go to its operation."""
    return visit.go(visit.path("operations", under_way(visit, action) or submit(visit, action)))


def cancel(visit: Visit, work: Work) -> None:
    """Have work ended that is waiting or under way."""
    auditing.note(visit, "cancel", operation=work.id)
    visit.page.queue.cancel(work.id, visit.visitor.who)


def under_way(visit: Visit, action: Action) -> str | None:
    """The very same that was asked for and is not over: whoever presses a button twice means it once."""
    works = known(visit, visit.name)
    return next((one.id for one in works if one.action == action and not one.is_over), None)


def submit(visit: Visit, action: Action, *, after: str | None = None) -> str:
    """Have it done with the pipeline in the address; the id to follow it by. `after` is as for `Queue`."""
    auditing.note(visit, action)
    return visit.page.queue.submit(visit.name, action, visit.visitor.who, after=after)
