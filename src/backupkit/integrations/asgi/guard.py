"""Who comes in, and how: every route that there is asks the host, and what changes something is not forged."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.asgi.abilities import Authorize, Visitor
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit

if TYPE_CHECKING:
    from backupkit.integrations.asgi.page import Page

COOKIE = "backupkit_csrf"
FIELD = "csrf_token"
HEADER = "x-csrf-token"
_LONGEST_BODY = 64 << 10


class Guard:
    """Lets requests in to the handlers of routes, or refuses them."""

    def __init__(self, page: Page, authorize: Authorize, secret: bytes) -> None:
        self._page = page
        self._authorize = authorize
        self._secret = secret

    async def answer(self, route: Route, request: Request) -> Response:
        """What the handler answers, if its visitor may ask it."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        if not visitor.may(route.ability):
            raise HTTPException(403, f"This needs the ability to {route.ability}.")
        cookie = request.cookies.get(COOKIE, "")
        nonce = cookie if _is_nonce(cookie) else secrets.token_urlsafe(32)
        token = self._token(nonce, visitor.who)
        form: Mapping[str, Any] = {}
        if route.method != "GET":
            form = await _fields(request)
            if not self._is_genuine(request, form, token):
                raise HTTPException(
                    403, "This form is out of date or came from elsewhere: open the page again."
                )
        visit = Visit(page=self._page, request=request, visitor=visitor, form=form, token=token)
        response = await run_in_threadpool(route.handler, visit)
        if nonce != cookie:
            response.set_cookie(
                COOKIE,
                nonce,
                path=visit.base or "/",
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _visitor(self, request: Request) -> Visitor | Response:
        """Who it is, by the host's word; its callback may be asynchronous, and otherwise gets a thread."""
        if inspect.iscoroutinefunction(self._authorize):
            allowed = await self._authorize(request)
        else:
            allowed = await run_in_threadpool(self._authorize, request)
            if inspect.isawaitable(allowed):
                allowed = await allowed
        if isinstance(allowed, Visitor | Response):
            return allowed
        if allowed is None or isinstance(allowed, str):
            raise ConfigurationError("authorize= must return a set of abilities, a Visitor or a response.")
        return Visitor(_name_of(request), cast("Any", allowed))

    def _token(self, nonce: str, who: str) -> str:
        return hmac.new(
            self._secret, f"{nonce}\n{who}".encode("utf-8", "replace"), hashlib.sha256
        ).hexdigest()

    def _is_genuine(self, request: Request, form: Mapping[str, Any], token: str) -> bool:
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            return True  # no browser sends that by itself
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        given = request.headers.get(HEADER) or form.get(FIELD)
        return isinstance(given, str) and hmac.compare_digest(given.encode(), token.encode())


async def _fields(request: Request) -> Mapping[str, Any]:
    """The fields of a form, or of a JSON object, of a body that is not too long."""
    body = b""
    async with asyncio.timeout(30):
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY:
                raise HTTPException(413, "That is more than this page takes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, "This is no JSON.") from None
        if not isinstance(found, dict):
            raise HTTPException(400, "This is no JSON object.")
        return found
    if kind == "application/x-www-form-urlencoded":
        from urllib.parse import parse_qsl

        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=2000
            )
        except ValueError:
            raise HTTPException(400, "This form cannot be read.") from None
        fields: dict[str, Any] = {}
        for name, value in pairs:
            if name in fields:  # of a list of boxes, all that are ticked
                before = fields[name]
                fields[name] = [*before, value] if isinstance(before, list) else [before, value]
            else:
                fields[name] = value
        return fields
    if body:
        raise HTTPException(415, "Send a form or JSON.")
    return {}


def _is_nonce(cookie: str) -> bool:
    return len(cookie) == 43 and all(one.isalnum() or one in "-_" for one in cookie) and cookie.isascii()


def _name_of(request: Request) -> str:
    """Whom Starlette's authentication has found, if the host uses that."""
    user = request.scope.get("user")
    return str(getattr(user, "display_name", "") or "somebody")
