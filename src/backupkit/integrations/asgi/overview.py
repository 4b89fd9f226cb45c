"""The first page: how all pipelines stand."""

from __future__ import annotations

from starlette.responses import Response

from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit


def show(visit: Visit) -> Response:
    looks = {name: visit.page.looks.at(name) for name in visit.page.pipelines}
    return visit.html("overview.html", looks=looks)


ROUTES = (Route("GET", "/", "view", show),)
