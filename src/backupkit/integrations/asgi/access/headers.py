"""The headers of every answer: what a browser must not do with the page."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer", by which browsers would say of our own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def with_headers(app: ASGIApp) -> ASGIApp:
    """The same application, of which every answer has the headers, errors included."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "content-disposition" in headers:  # a file that somebody has stored is no page of ours
                    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


def on_this_machine(app: ASGIApp) -> ASGIApp:
    """The same application for requests that name this machine as it calls itself.

    A page of elsewhere, whose name was made to lead here, would send its own name.
    """
    return with_headers(TrustedHostMiddleware(app, ["127.0.0.1", "localhost"], www_redirect=False))
