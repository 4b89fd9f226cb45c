"""A host's application with the page at a path of it, for hosts that mount nothing themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from starlette.types import ASGIApp, Receive, Scope, Send

from backupkit.errors import ConfigurationError
from backupkit.integrations.asgi.mounting.wsgi import as_wsgi
from backupkit.integrations.asgi.visit import path_below


def mounted_wsgi(host: WSGIApplication, path: str, page: ASGIApp) -> WSGIApplication:
    """The host's application of WSGI, with the page at this path and below it.

    `app.wsgi_app = mounted_wsgi(app.wsgi_app, "/admin/backups", manager)` for Flask, and for Django, in wsgi.py,
    `application = mounted_wsgi(get_wsgi_application(), "/admin/backups", manager)`.
    """
    prefix = _checked(path).encode().decode("latin-1")  # as WSGI writes paths
    bridge = as_wsgi(page)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.get("PATH_INFO", "")
        if not _is_below(asked, prefix):
            return host(environ, start_response)
        inner = {**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + prefix}
        inner["PATH_INFO"] = asked.removeprefix(prefix)
        return bridge(inner, start_response)

    return application


def mounted_asgi(host: Callable[..., Awaitable[None]], path: str, page: ASGIApp) -> ASGIApp:
    """The host's application of ASGI, with the page at this path and below it.

    For Django, in asgi.py, `application = mounted_asgi(get_asgi_application(), "/admin/backups", manager)`;
    Starlette and FastAPI have `app.mount("/admin/backups", manager)`.
    """
    prefix = _checked(path)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not _is_below(path_below(scope), prefix):
            await host(scope, receive, send)
            return
        root = scope.get("root_path", "").rstrip("/")
        await page({**scope, "root_path": root + prefix}, receive, send)

    return application


def _checked(path: str) -> str:
    prefix = path.rstrip("/")
    if not prefix.startswith("/"):
        raise ConfigurationError(
            f"The page cannot be mounted at {path!r}: give a path such as /admin/backups."
        )
    return prefix


def _is_below(asked: str, prefix: str) -> bool:
    return asked == prefix or asked.startswith(f"{prefix}/")
