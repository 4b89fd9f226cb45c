"""The usual ways to say who may do what, for `authorize=`: by role, by password, by token, and several of them."""

from __future__ import annotations

import base64
import hmac
import inspect
import secrets
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.asgi.access.abilities import EVERYTHING, Ability, Allowed, Authorize, Visitor

Roles: TypeAlias = Mapping[str, Collection[Ability]]
Secrets: TypeAlias = Mapping[str, tuple[str, Collection[Ability]]]
"""By the name of whom it lets in, a password or a token, and what they may do then."""

ADMINISTRATORS: Roles = {"admin": EVERYTHING, "super_admin": EVERYTHING}
"""Only these two roles may do anything, and they may do everything."""

_SHORTEST_PASSWORD, _SHORTEST_TOKEN = 8, 16


def by_role(
    roles_of: Callable[[Request], Iterable[str] | Awaitable[Iterable[str]]],
    roles: Roles = ADMINISTRATORS,
    *,
    name_of: Callable[[Request], str | Awaitable[str]] | None = None,
) -> Authorize:
    """Whoever has one of these roles may do what they allow together; other roles allow nothing.

    `roles_of` tells the roles of a request's visitor, and `name_of` what the audit calls them; without it that is
    what Starlette's authentication says, if it is used.
    """
    checked = _checked(roles)

    async def authorize(request: Request) -> Allowed:
        has = await asked(roles_of, request)
        if isinstance(has, str | Mapping):
            raise ConfigurationError("roles_of must return a list of roles, and no text or mapping.")
        allowed = abilities_of(has, checked)
        return Visitor(await asked(name_of, request), allowed) if name_of and allowed else allowed

    return authorize


def by_password(users: Secrets, *, realm: str = "Backups") -> Authorize:
    """HTTP basic: browsers ask for a name and a password, and send them with each request. Use it over TLS only."""
    known = _Known(users, "password", _SHORTEST_PASSWORD)
    if '"' in realm or "\\" in realm or not realm.isprintable() or not realm.isascii():
        raise ConfigurationError("realm= can have no quotes, backslashes and special characters.")
    if any(":" in name for name in users):
        raise ConfigurationError("A user of HTTP basic cannot have a colon in their name.")

    def authorize(request: Request) -> Allowed:
        visitor = known.named(*_basic(request))
        if visitor is None:
            challenge = f'Basic realm="{realm}", charset="UTF-8"'
            raise HTTPException(401, "This needs a name and a password.", {"WWW-Authenticate": challenge})
        return visitor

    return authorize


def by_token(tokens: Secrets) -> Authorize:
    """`Authorization: Bearer …`, for programs: each has a token of its own, of 16 characters or more, at random."""
    known = _Known(tokens, "token", _SHORTEST_TOKEN)

    def authorize(request: Request) -> Allowed:
        visitor = known.bearing(_credentials(request, "bearer"))
        if visitor is None:
            raise HTTPException(401, "This needs a token.", {"WWW-Authenticate": "Bearer"})
        return visitor

    return authorize


def first_of(*several: Authorize) -> Authorize:
    """Ask one after another, until one lets in; whom none does, hears what the last one says.

    Who sends a password or token that one of them finds wrong is refused at once, and nobody else is asked.
    """
    if not several:
        raise ConfigurationError("first_of() lets in nobody: give it what is to be asked.")

    async def authorize(request: Request) -> Allowed:
        for one in several[:-1]:
            try:
                allowed: Allowed = await asked(one, request)
            except HTTPException as error:
                if error.status_code != 401 or _is_about(request, error.headers):
                    raise
                continue
            if isinstance(allowed, Response):
                if allowed.status_code == 401 and _is_about(request, allowed.headers):
                    return allowed
            elif allowed.abilities if isinstance(allowed, Visitor) else allowed:
                return allowed
        return cast("Allowed", await asked(several[-1], request))

    return authorize


async def asked(callback: Callable[[Request], Any], request: Request) -> Any:
    """What it says of the request; it may be asynchronous, and otherwise gets a thread."""
    if inspect.iscoroutinefunction(callback):
        return await callback(request)
    found = await run_in_threadpool(callback, request)
    return await found if inspect.isawaitable(found) else found


def abilities_of(has: Iterable[str], roles: Roles) -> frozenset[Ability]:
    """What these roles allow together."""
    return frozenset(one for role in has for one in roles.get(role, ()))


def _checked(roles: Roles) -> Roles:
    return {name: frozenset(Visitor(name, abilities).abilities) for name, abilities in roles.items()}


class _Known:
    """Who may do what with which secret. Of the secrets, only digests under a key of this process are kept."""

    def __init__(self, given: Secrets, kind: str, shortest: int) -> None:
        self._key = secrets.token_bytes(32)
        self._digests: dict[str, bytes] = {}
        self._visitors: dict[str, Visitor] = {}
        for who, (secret, abilities) in given.items():
            if not isinstance(secret, str) or len(secret) < shortest:
                raise ConfigurationError(
                    f"The {kind} of {who} is missing or too short: give {shortest} characters or more."
                )
            self._visitors[who] = Visitor(who, frozenset(Visitor(who, abilities).abilities))
            self._digests[who] = self._digest(secret)
        if len({*self._digests.values()}) < len(self._digests) and kind == "token":
            raise ConfigurationError("Two have the same token: give each one of their own.")
        if not given:
            raise ConfigurationError(
                f"Nobody has a {kind}: give one at least, by the name of whom it lets in."
            )
        self._nobodys = secrets.token_bytes(32)

    def named(self, who: str, secret: str) -> Visitor | None:
        """The visitor of this name, if this is their secret. Unknown names take as long as known ones."""
        is_right = hmac.compare_digest(self._digests.get(who, self._nobodys), self._digest(secret))
        return self._visitors.get(who) if is_right else None

    def bearing(self, secret: str) -> Visitor | None:
        """The visitor whose secret this is; all are compared."""
        digest = self._digest(secret)
        found = [who for who, one in self._digests.items() if hmac.compare_digest(one, digest)]
        return self._visitors[found[0]] if found else None

    def _digest(self, secret: str) -> bytes:
        text = unicodedata.normalize("NFC", secret)
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), "sha256")


def _credentials(request: Request, scheme: str) -> str:
    """What follows the scheme in the header, "" for another scheme."""
    said, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if said.lower() == scheme else ""


def _basic(request: Request) -> tuple[str, str]:
    try:
        raw = base64.b64decode(_credentials(request, "basic"), validate=True)
    except ValueError:
        return "", ""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # as older browsers send it
    name, _, password = text.partition(":")
    return name, password


def _is_about(request: Request, headers: Mapping[str, str] | None) -> bool:
    """Whether a refusal is about what the request has said of itself, by the scheme that both name."""
    said = request.headers.get("authorization", "").partition(" ")[0].lower()
    wanted = {name.lower(): value for name, value in (headers or {}).items()}.get("www-authenticate", "")
    return said != "" and wanted.partition(" ")[0].lower() == said
