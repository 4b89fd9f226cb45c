"""The page of a shop, below a path of a host's, on a real server."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from backupkit.integrations.asgi import EVERYTHING, Allowed, BackupManager, Visitor
from tests.browser.shop import Shop

AT = "/admin/backups"
PASSWORD = "a password of the test's"
USERS: Mapping[str, Visitor] = {
    "anna": Visitor("anna", EVERYTHING),
    "rosa": Visitor("rosa", {"view", "run"}),
    "vera": Visitor("vera", {"view"}),
}


@dataclass(frozen=True)
class Site:
    """Where the page is, and what is behind it."""

    url: str
    manager: BackupManager
    shop: Shop


def by_password(request: Request) -> Allowed:
    """Whom the browser says it is, with the password."""
    for name, visitor in USERS.items():
        said = "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        if request.headers.get("authorization") == said:
            return visitor
    return Response("Who?", 401, {"WWW-Authenticate": 'Basic realm="backups"'})


@contextmanager
def served(shop: Shop) -> Iterator[Site]:
    """Its page, on a port of this machine. The shop's clock goes on from where it stands."""
    manager = BackupManager(
        shop.pipelines,
        schedule=shop.schedule,
        authorize=by_password,
        scratch=shop.root / "restored",
        places={"the other machine": shop.other},
        secret="not to be guessed",
        clock=shop.clock,
    )
    app = Starlette(routes=[Mount(AT, manager)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # who comes before it is ready, waits
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}{AT}", manager, shop)
        finally:
            manager.close()
            server.should_exit = server.force_exit = True
            thread.join()
