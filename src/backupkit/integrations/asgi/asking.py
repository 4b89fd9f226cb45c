"""What every button does: ask the queue, note who did, and lead to where it can be followed."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import auditing
from backupkit.integrations.asgi.visit import Visit


def ask(visit: Visit, action: Action) -> Response:
    """Have it done with the pipeline in the address, and go to its operation."""
    auditing.note(visit, action)
    id_ = visit.page.queue.submit(visit.name, action, visit.visitor.who)
    return visit.go(visit.path("operations", id_))
