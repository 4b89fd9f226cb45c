"""What is under way or has ended lately: asked for, followed live, cancelled."""

from __future__ import annotations

from typing import cast

from starlette.responses import Response

from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.asking import ask
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Contents


def run(visit: Visit) -> Response:
    only = cast("Contents | None", visit.form.get("only") or None)
    return ask(visit, Action(verb="run", only=only))


def verify(visit: Visit) -> Response:
    return ask(visit, Action(verb="verify"))


def drill(visit: Visit) -> Response:
    return ask(visit, Action(verb="drill"))


def monitor(visit: Visit) -> Response:
    return ask(visit, Action(verb="monitor"))


ROUTES: tuple[Route, ...] = (
    Route("POST", "/pipelines/{pipeline}/run", "run", run),
    Route("POST", "/pipelines/{pipeline}/verify", "run", verify),
    Route("POST", "/pipelines/{pipeline}/drill", "run", drill),
    Route("POST", "/pipelines/{pipeline}/monitor", "run", monitor),
)
