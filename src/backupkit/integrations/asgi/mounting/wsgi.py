"""The page as a WSGI application, for Flask and Django."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from functools import cache
from http.client import responses
from queue import SimpleQueue
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from starlette.types import ASGIApp, Message, Scope

_AHEAD = 2  # chunks on their way to the server
_LONGEST_BODY = (64 << 10) + 1  # with which the page refuses it


def as_wsgi(page: ASGIApp) -> WSGIApplication:
    """The page as a WSGI application, to be mounted by what mounts such ones.

    Answers are handed on as they are made, so that downloads take no memory, and what makes one is ended when the
    server closes it. `authorize` finds the WSGI environment in `request.scope["wsgi_environ"]`.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        loop = _loop(os.getpid())
        exchange = _Exchange(_body(environ))
        done = asyncio.run_coroutine_threadsafe(exchange.run(page, _scope(environ)), loop)
        try:
            while (message := exchange.messages.get()) is not None:
                if message["type"] == "http.response.start":
                    start_response(_status(message), _headers(message))
                    if environ["REQUEST_METHOD"] == "HEAD":
                        return
                elif message.get("body"):
                    yield message["body"]
                loop.call_soon_threadsafe(exchange.room.release)
            done.result()  # or else what went wrong, for the server's log
        finally:
            done.cancel()

    return application


class _Exchange:
    """One request: the page answers it in the loop, and a thread of the server takes message after message."""

    def __init__(self, body: bytes | None) -> None:
        self._body = body  # None if it did not come in full
        self._read = False
        self.messages: SimpleQueue[Message | None] = SimpleQueue()
        self.room = asyncio.Semaphore(_AHEAD)

    async def run(self, page: ASGIApp, scope: Scope) -> None:
        try:
            await page(scope, self._receive, self._send)
        finally:
            self.messages.put(None)

    async def _receive(self) -> Message:
        if self._body is None:
            return {"type": "http.disconnect"}
        if self._read:  # no server tells of a client that leaves; it closes the answer
            await asyncio.get_running_loop().create_future()
        self._read = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Message) -> None:
        await self.room.acquire()
        self.messages.put(message)


def _body(environ: WSGIEnvironment) -> bytes | None:
    """Read here, because some servers let only the request's own thread do so; None for one that was cut off."""
    length = environ.get("CONTENT_LENGTH")
    if not length:
        endless = not environ.get("wsgi.input_terminated")
        return b"" if endless else environ["wsgi.input"].read(_LONGEST_BODY)
    if not (length.isascii() and length.isdigit()):  # -1 would be read until the client leaves
        return None
    wanted = min(int(length[:10]), _LONGEST_BODY)
    body: bytes = environ["wsgi.input"].read(wanted)
    return body if len(body) == wanted else None


def _scope(environ: WSGIEnvironment) -> Scope:
    root, path = (_text(environ.get(name, "")) for name in ("SCRIPT_NAME", "PATH_INFO"))
    named = {name.removeprefix("HTTP_"): value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.0").removeprefix("HTTP/"),
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "root_path": root,
        "path": root + path,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "headers": [
            (name.lower().replace("_", "-").encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in named.items()
        ],
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "wsgi_environ": environ,
    }


def _text(path: str) -> str:
    """What WSGI writes byte by byte."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _status(message: Message) -> str:
    return f"{message['status']} {responses.get(message['status'], 'Unknown')}"


def _headers(message: Message) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """The loop of this process, begun by its first request: a server may fork before, and no thread follows."""
    loop = asyncio.new_event_loop()
    # A daemon, as are the threads that it starts, so that no open answer keeps the program from ending.
    threading.Thread(target=loop.run_forever, name="backupkit-page", daemon=True).start()
    return loop
