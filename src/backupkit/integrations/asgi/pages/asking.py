"""What every button does: note who asked, ask the queue, and lead to where it can be followed."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.visit import Visit


def ask(visit: Visit, action: Action) -> Response:
    """Have it done with the pipeline in the address, and go to its operation."""
    return visit.go(visit.path("operations", submit(visit, action)))


def submit(visit: Visit, action: Action) -> str:
    """Have it done with the pipeline in the address; the id to follow it by."""
    auditing.note(visit, action)
    return visit.page.queue.submit(visit.name, action, visit.visitor.who)
