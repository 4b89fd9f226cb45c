"""The usual ways to say who may do what: by role, by password, by token, and one after another."""

from __future__ import annotations

import asyncio
import base64
import gc
import hmac
import inspect
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from backupkit import ConfigurationError
from backupkit.integrations.asgi import EVERYTHING, Visitor, by_password, by_role, by_token, first_of
from backupkit.integrations.asgi.access import authorizing
from backupkit.integrations.asgi.access.abilities import Ability, Authorize

PASSWORD, TOKEN, OTHER = "correct horse", "0123456789abcdef", "fedcba9876543210"
FLY: Any = {"fly"}
NO_SET: Any = "view"
NONE: Any = None
SEE: frozenset[Ability] = frozenset({"view"})


def said(authorize: Authorize, authorization: str | None = None, **scope: Any) -> Any:
    """What it says of a request with this header; of a refusal, what it raises."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    request = Request({"type": "http", "headers": headers, **scope})
    try:
        return asyncio.run(authorizing.asked(authorize, request))
    except HTTPException as error:
        return error.status_code, (error.headers or {}).get("WWW-Authenticate")


def basic(name: str, password: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode(encoding)).decode()


def test_only_the_two_roles_of_administrators_may_do_anything() -> None:
    def by(*roles: str) -> Any:
        return said(by_role(lambda request: roles))

    assert by("admin") == by("super_admin") == by("admin", "editor") == EVERYTHING
    assert by("editor") == by("Admin") == by("") == by() == frozenset()


def test_several_roles_may_do_what_they_allow_together() -> None:
    roles: Mapping[str, frozenset[Ability]] = {"support": SEE, "operator": frozenset({"run", "download"})}
    assert said(by_role(lambda request: {"support", "operator"}, roles)) == {"view", "run", "download"}
    assert said(by_role(lambda request: ["admin"], roles)) == frozenset(), (
        "the roles are those that are given"
    )


def test_roles_may_be_asked_for_asynchronously_and_have_a_name() -> None:
    async def roles_of(request: Request) -> list[str]:
        return ["admin"]

    async def name_of(request: Request) -> str:
        return "anna"

    assert said(by_role(roles_of, name_of=name_of)) == Visitor("anna", EVERYTHING)
    assert said(by_role(lambda request: [], name_of=name_of)) == frozenset()


def test_one_role_as_a_text_is_refused_for_it_would_be_many_letters() -> None:
    with pytest.raises(ConfigurationError, match="list"):
        said(by_role(lambda request: "admin"))


def test_a_name_and_its_password_let_in() -> None:
    authorize = by_password({"anna": (PASSWORD, EVERYTHING), "ben": ("päss wörd:x", SEE)})
    assert said(authorize, basic("anna", PASSWORD)) == Visitor("anna", EVERYTHING)
    assert said(authorize, basic("ben", "päss wörd:x")) == Visitor("ben", SEE)
    assert said(authorize, basic("ben", "päss wörd:x", "latin-1")) == Visitor("ben", SEE)
    assert said(authorize, basic("ben", "pa\u0308ss wo\u0308rd:x")) == Visitor("ben", SEE), "the same letters"
    assert said(authorize, basic("anna", PASSWORD).replace("Basic", "bAsIc")) == Visitor("anna", EVERYTHING)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Basic", "Basic ", "Basic !", "Basic /w==", f"Bearer {PASSWORD}", "Basic YW5uYQ=="),
        *(basic("anna", ""), basic("anna", PASSWORD + " "), basic("ben", PASSWORD), basic("", PASSWORD)),
        basic("anna", "\xff" * 4000),
    ],
)
def test_anything_else_is_asked_for_a_name_and_a_password(header: str | None) -> None:
    authorize = by_password({"anna": (PASSWORD, EVERYTHING), "ben": ("another horse", EVERYTHING)})
    assert said(authorize, header) == (401, 'Basic realm="Backups", charset="UTF-8"')


def test_a_token_lets_in_whom_it_belongs_to() -> None:
    authorize = by_token({"grafana": (TOKEN, SEE), "deploy": (OTHER, EVERYTHING)})
    assert said(authorize, f"Bearer {TOKEN}") == Visitor("grafana", SEE)
    assert said(authorize, f"bearer  {OTHER} ") == Visitor("deploy", EVERYTHING)
    for header in (
        None,
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN} {OTHER}",
    ):
        assert said(authorize, header) == (401, "Bearer")


def test_every_secret_is_compared_in_the_same_time_and_unknown_names_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    passwords = by_password({"anna": (PASSWORD, EVERYTHING), "ben": ("another horse", SEE)})
    counts = []
    for name, password in (("anna", PASSWORD), ("anna", "wrong"), ("nobody", PASSWORD)):
        compared.clear()
        said(passwords, basic(name, password))
        counts.append([(len(one), len(other)) for one, other in compared])
    assert counts == [[(32, 32)]] * 3
    tokens = by_token({"grafana": (TOKEN, SEE), "deploy": (OTHER, EVERYTHING)})
    for token in (TOKEN, OTHER, "wrong"):
        compared.clear()
        said(tokens, f"Bearer {token}")
        assert len(compared) == 2


@pytest.mark.parametrize("authorize", [by_password, by_token])
def test_of_secrets_only_digests_are_kept(authorize: Any) -> None:
    secret = "".join(["0123", "4567", "89ab", "cdef"])  # not a constant of this module
    made = authorize({"anna": (secret, EVERYTHING)})
    found: set[int] = set()
    left: list[Any] = [inspect.getclosurevars(made).nonlocals]
    while left:
        one: Any = left.pop()
        if id(one) not in found and not isinstance(one, type):
            found.add(id(one))
            assert one != secret
            assert secret not in repr(one)
            left += gc.get_referents(one) if not inspect.isfunction(one) else []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: by_password({}), "Nobody has a password"),
        (lambda: by_password({"anna": ("", EVERYTHING)}), "password of anna is missing or too short"),
        (lambda: by_password({"anna": (NONE, EVERYTHING)}), "password of anna is missing or too short"),
        (lambda: by_password({"an:na": (PASSWORD, EVERYTHING)}), "colon"),
        (lambda: by_password({"anna": (PASSWORD, FLY)}), "not abilities"),
        (lambda: by_password({"anna": (PASSWORD, EVERYTHING)}, realm='"'), "realm"),
        (lambda: by_password({"anna": (PASSWORD, EVERYTHING)}, realm="a\r\nb"), "realm"),
        (
            lambda: by_token({"anna": ("0123456789abcde", EVERYTHING)}),
            "token of anna is missing or too short",
        ),
        (lambda: by_token({"a": (TOKEN, SEE), "b": (TOKEN, EVERYTHING)}), "same token"),
        (lambda: by_role(lambda request: (), {"admin": FLY}), "not abilities"),
        (lambda: by_role(lambda request: (), {"admin": NO_SET}), "not abilities"),
        (lambda: first_of(), "lets in nobody"),
        (lambda: said(by_role(lambda request: "admin")), "list of roles"),
        (lambda: said(by_role(lambda request: {"admin": False})), "list of roles"),
        (lambda: Visitor("anna", {"delete": False}), "not abilities"),
        (lambda: Visitor("anna", "view"), "not abilities"),  # type: ignore[arg-type]
        (lambda: Visitor("", EVERYTHING), "no name"),
        (lambda: Visitor(NONE, EVERYTHING), "no name"),
    ],
)
def test_what_would_let_in_nobody_or_anybody_is_refused_at_once(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        make()
    assert PASSWORD not in str(caught.value)
    assert TOKEN not in str(caught.value)


LOGIN = RedirectResponse("/login")
TOKENS, PASSWORDS = by_token({"grafana": (TOKEN, SEE)}), by_password({"anna": (PASSWORD, EVERYTHING)})


def test_of_several_the_first_that_lets_in_decides() -> None:
    both = first_of(TOKENS, PASSWORDS)
    assert said(both, f"Bearer {TOKEN}") == Visitor("grafana", SEE)
    assert said(both, basic("anna", PASSWORD)) == Visitor("anna", EVERYTHING)
    assert said(first_of(TOKENS, by_role(lambda request: ["admin"]))) == EVERYTHING
    assert said(first_of(lambda request: Visitor("nobody", ()), lambda request: SEE)) == SEE


def test_whom_none_lets_in_hears_what_the_last_one_says() -> None:
    assert said(first_of(TOKENS, PASSWORDS)) == (401, 'Basic realm="Backups", charset="UTF-8"')
    assert said(first_of(TOKENS, lambda request: LOGIN)) is LOGIN
    assert said(first_of(lambda request: LOGIN, by_role(lambda request: ()))) == frozenset()


def test_a_wrong_secret_is_refused_though_another_one_would_let_in() -> None:
    """Or else whoever is logged in could guess the secrets of others without end."""
    anybody = by_role(lambda request: ["admin"])
    assert said(first_of(TOKENS, anybody), "Bearer wrong") == (401, "Bearer")
    assert said(first_of(PASSWORDS, anybody), basic("anna", "wrong"))[0] == 401
    assert said(first_of(TOKENS, anybody), basic("of", "a proxy")) == EVERYTHING
    refusal = Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
    assert said(first_of(lambda request: refusal, anybody), "Bearer wrong") is refusal
    assert said(first_of(lambda request: refusal, anybody)) == EVERYTHING


def test_a_refusal_of_another_kind_ends_the_questions() -> None:
    def closed(request: Request) -> Any:
        raise HTTPException(403, "closed")

    assert said(first_of(closed, by_role(lambda request: ["admin"])))[0] == 403
