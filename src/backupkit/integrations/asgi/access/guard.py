"""Who comes in, and how: every route that there is asks the host, and what changes something is not forged."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from backupkit.errors import ConfigurationError
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.access.abilities import Allowed, Authorize, Visitor
from backupkit.integrations.asgi.access.attempts import Attempts, address_of
from backupkit.integrations.asgi.access.authorizing import asked
from backupkit.integrations.asgi.forms import fields
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit, mount_path

if TYPE_CHECKING:
    from backupkit.integrations.asgi.page import Page

COOKIE = "backupkit_csrf"
FIELD = "csrf_token"
HEADER = "x-csrf-token"


class Guard:
    """Lets requests in to the handlers of routes, or refuses them."""

    def __init__(self, page: Page, authorize: Authorize, secret: bytes) -> None:
        self._page = page
        self._authorize = authorize
        self._secret = secret
        self._attempts = Attempts()

    async def answer(self, route: Route, request: Request) -> Response:
        """What the handler answers, if its visitor may ask it."""
        visitor = await self._visitor(request)
        if isinstance(visitor, Response):
            response, cookie = _for_a_part(request, visitor), None
        else:
            response, cookie = await self._let_in(route, request, visitor)
        if cookie is not None:
            response.set_cookie(
                COOKIE,
                cookie,
                path=mount_path(request.scope) or "/",
                secure=request.scope["scheme"] == "https",
                httponly=True,
                # Not "strict": a link to the page from elsewhere would replace it, and end the forms of other tabs.
                samesite="lax",
            )
        response.headers.setdefault("Cache-Control", "no-store")
        if request.method == "HEAD" and isinstance(response, StreamingResponse):
            response.body_iterator = _nothing()  # a server sends no body then, but would pull all of it
        return response

    async def _let_in(self, route: Route, request: Request, visitor: Visitor) -> tuple[Response, str | None]:
        """What the handler answers, and the cookie that is to be set for it."""
        if not visitor.may(route.ability):
            await self._refuse(request, visitor, f"This needs the ability to {route.ability}.")
        cookie = request.cookies.get(COOKIE, "")
        nonce = cookie if _is_nonce(cookie) else secrets.token_urlsafe(32)
        token = token_of(self._secret, nonce, visitor.who)
        form: Mapping[str, Any] = {}
        if route.method != "GET":
            form = await fields(request)
            if not _is_genuine(request, form, token):
                await self._refuse(
                    request, visitor, "This form is out of date or came from elsewhere: open the page again."
                )
        visit = Visit(page=self._page, request=request, visitor=visitor, form=form, token=token)
        response = await run_in_threadpool(route.handler, visit)
        auditing.tell_if_unnoted(request, response)
        return response, None if nonce == cookie or _is_program(request) else nonce

    async def _refuse(self, request: Request, visitor: Visitor, sentence: str) -> NoReturn:
        if visitor.abilities:  # or else anybody could fill the audit
            await run_in_threadpool(auditing.note_refusal, self._page, request, visitor)
        raise HTTPException(403, sentence)

    async def _visitor(self, request: Request) -> Visitor | Response:
        """Who it is, by the host's word; whoever has said wrong passwords too often is not even asked about."""
        if "authorization" not in request.headers:
            return await self._allowed(request)
        address = address_of(request)
        self._let_try(address)
        try:
            allowed = await self._allowed(request)
        except HTTPException as error:
            self._let_know(address, error.status_code)
            raise
        self._let_know(address, allowed.status_code if isinstance(allowed, Response) else 200)
        return allowed

    def _let_try(self, address: str) -> None:
        wait = self._attempts.wait(address)
        if wait:
            raise HTTPException(
                429,
                "Too many wrong passwords came from this address: try again later.",
                {"Retry-After": str(wait)},
            )

    def _let_know(self, address: str, status: int) -> None:
        """Many may have been asked about at the same moment: after so many, all hear the same, right or wrong."""
        self._let_try(address)
        if status == 401:
            self._attempts.failed(address)

    async def _allowed(self, request: Request) -> Visitor | Response:
        try:
            allowed: Allowed = await asked(self._authorize, request)
            if isinstance(allowed, Visitor | Response):
                return allowed
            if allowed is None or isinstance(allowed, str):
                raise ConfigurationError(
                    "authorize= must return a set of abilities, a Visitor or a response."
                )
            return Visitor(_name_of(request), cast("Any", allowed))
        except ConfigurationError as error:
            raise RuntimeError("authorize= cannot be used") from error  # for the log, and not for visitors


def _for_a_part(request: Request, answer: Response) -> Response:
    """The host's answer; where it leads away, a browser that asked for a part of a page gets the page anew.

    Otherwise it would follow unseen, and put the form of a login into the page, or nothing.
    """
    if request.headers.get("hx-request") != "true" or not 300 <= answer.status_code < 400:
        return answer
    return Response(status_code=401, headers={"HX-Refresh": "true"})


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def token_of(secret: bytes, nonce: str, who: str) -> str:
    """What the forms of this visitor send back, in the browser that has this cookie."""
    return hmac.new(secret, f"{nonce}\n{who}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _is_genuine(request: Request, form: Mapping[str, Any], token: str) -> bool:
    """Whether a page of ours has sent it, or a program."""
    if not _is_from_here(request):
        return False
    if _is_program(request):
        return True
    given = request.headers.get(HEADER) or form.get(FIELD)
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _is_from_here(request: Request) -> bool:
    """What the browser says: every one does over TLS, and of old ones and without TLS the origin is compared."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or origin.partition("://")[2].lower() == request.headers.get("host", "").lower()


def _is_program(request: Request) -> bool:
    """Whether it bears a token, which no browser sends by itself, and nothing that one does.

    With a cookie, a host may go by that and not look at a token that anybody could have made up.
    """
    bears = request.headers.get("authorization", "").lower().startswith("bearer ")
    return bears and not request.cookies.keys() - {COOKIE}


def _is_nonce(cookie: str) -> bool:
    return len(cookie) == 43 and all(one.isalnum() or one in "-_" for one in cookie) and cookie.isascii()


def _name_of(request: Request) -> str:
    """Whom Starlette's authentication has found, if the host uses that."""
    user = request.scope.get("user")
    return str(getattr(user, "display_name", "") or "somebody")
