"""Addresses with a slash too many at their end, and the one of the mount itself, which lacks one."""

from __future__ import annotations

from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from backupkit.integrations.asgi.visit import mount_path, path_below


async def mend_slashes(scope: Scope, receive: Receive, send: Send) -> None:
    """For what no route answers: on to the address that was meant, or 404.

    Where it leads to is below the mount, and names no scheme and no host, which proxies may have changed.
    """
    if scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
        return
    asked = path_below(scope)
    if scope["method"] not in ("GET", "HEAD") or not (asked == "" or asked.endswith("/")):
        raise HTTPException(404, "There is no such page.")
    meant = f"{mount_path(scope)}/{quote(asked.strip('/'), errors='surrogateescape')}"
    query = scope["query_string"].decode("ascii", "replace")
    answer = RedirectResponse(f"{meant}?{query}" if query else meant, 307)
    await answer(scope, receive, send)
