"""Who comes in: nothing is forged, nobody guesses for long, and no answer goes out without its headers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.history import DatabaseHistory
from backupkit.integrations.asgi import EVERYTHING, BackupManager, Visitor, by_password
from backupkit.integrations.asgi import forms as reading
from backupkit.integrations.asgi import manager as managing
from backupkit.integrations.asgi.access import guard as guarding
from backupkit.integrations.asgi.access import secret
from backupkit.integrations.asgi.access.attempts import MOST, Attempts, address_of
from backupkit.integrations.asgi.access.guard import COOKIE, FIELD, HEADER, token_of
from backupkit.integrations.asgi.access.secret import page_secret
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from tests.integrations.asgi.calling import NONCE, SECRET, Caller, assert_has_headers
from tests.integrations.asgi.visitor import as_said

FORM = {"content-type": "application/x-www-form-urlencoded"}
WITH_COOKIE = {"cookie": f"{COOKIE}={NONCE}"}
RIGHT = token_of(SECRET, NONCE, "anna")


def told(visit: Visit) -> Response:
    """What a handler sees of a request."""
    return PlainTextResponse(
        json.dumps({"who": visit.visitor.who, "form": dict(visit.form), "token": visit.token})
    )


def stumbling(visit: Visit) -> Response:
    raise ZeroDivisionError("a secret of this program")


def complaining(visit: Visit) -> Response:
    raise ConfigurationError("There is no <caf\udce9>.")


def endless(visit: Visit) -> Response:
    """Something that no server may pull to its end."""

    def pieces() -> Iterator[bytes]:
        visit.page.places["pulled"] = ""  # type: ignore[index]
        yield b"a piece"

    return StreamingResponse(pieces(), headers={"X-Kind": "stream"})


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


Made = Callable[..., Caller]


@pytest.fixture
def made(tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A page with two addresses, which asks this callback."""
    routes = (
        Route("GET", "/", "view", told),
        Route("POST", "/do", "run", told),
        Route("GET", "/broken", "view", stumbling),
        Route("GET", "/api/broken", "view", stumbling),
        Route("GET", "/wrong", "view", complaining),
        Route("GET", "/stream", "view", endless),
        Route("GET", "/api/wrong", "view", complaining),
    )
    monkeypatch.setattr(managing, "ROUTES", routes)
    history = DatabaseHistory(f"sqlite:///{tmp_path}/records.sqlite3")
    pipeline = BackupPipeline(
        "shop", [Directory(tmp_path)], tmp_path / "there", encryptor=None, history=history
    )

    def make(authorize: Any = as_said) -> Caller:
        return Caller(BackupManager(pipeline, authorize=authorize, secret=SECRET), runner)

    return make


def test_a_form_of_the_page_is_let_in(made: Made) -> None:
    answer = made().post("/do", [("only", "files")])
    assert json.loads(answer.text)["form"]["only"] == "files"


def test_the_token_may_come_in_a_header_as_htmx_sends_it(made: Made) -> None:
    assert made().ask("POST", "/do", headers={**WITH_COOKIE, HEADER: RIGHT}).status == 200
    assert made().ask("POST", "/do", headers={**WITH_COOKIE, HEADER: "0" * 64}).status == 403


def test_a_token_of_another_browser_or_secret_is_refused(made: Made) -> None:
    for token in (token_of(SECRET, "m" * 43, "anna"), token_of(b"another secret ..", NONCE, "anna")):
        assert made().ask("POST", "/do", headers={**WITH_COOKIE, HEADER: token}).status == 403


@pytest.mark.parametrize("token", [b"%ff", b"0" * 64, b"", RIGHT.encode() + b"&csrf_token=" + RIGHT.encode()])
def test_a_token_that_is_none_is_refused(made: Made, token: bytes) -> None:
    answer = made().ask("POST", "/do", body=FIELD.encode() + b"=" + token, headers={**FORM, **WITH_COOKIE})
    assert answer.status == 403


def test_the_cookie_is_new_for_each_browser_and_stays(made: Made) -> None:
    page = made()
    first, second = page.get("/"), page.get("/")
    cookie = first.headers["set-cookie"]
    assert cookie != second.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert [part.strip() for part in cookie.split(";")[1:]] == [
        "HttpOnly",
        "Path=/admin/backups",
        "SameSite=lax",
    ]
    assert "set-cookie" not in page.get("/", cookie=cookie.partition(";")[0]).headers
    page.scheme = "https"
    assert "; Secure" in page.get("/").headers["set-cookie"]


def test_a_cookie_that_somebody_chose_for_the_browser_is_no_good_for_somebody_else(made: Made) -> None:
    theirs = json.loads(made(lambda request: Visitor("eve", EVERYTHING)).get("/", **WITH_COOKIE).text)[
        "token"
    ]
    body = f"{FIELD}={theirs}".encode()
    assert made().ask("POST", "/do", body=body, headers={**FORM, **WITH_COOKIE}).status == 403


@pytest.mark.parametrize("cookie", ["", "n" * 42, "n" * 44, "n" * 42 + "\xe9", "n" * 42 + "."])
def test_a_cookie_of_another_form_is_replaced(made: Made, cookie: str) -> None:
    assert "set-cookie" in made().get("/", cookie=f"{COOKIE}={cookie}").headers


def test_a_program_with_a_token_needs_no_form_and_gets_no_cookie(made: Made) -> None:
    bearing = {"authorization": "Bearer t0ken"}
    answer = made().ask("POST", "/do", headers=bearing)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "of_a_browser",
    [
        {"cookie": "session=anna"},
        {"cookie": f"{COOKIE}={NONCE}; session=anna"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://page.test"},
    ],
)
def test_a_made_up_token_beside_what_a_browser_sends_is_no_way_around_the_form(
    made: Made, of_a_browser: dict[str, str]
) -> None:
    assert (
        made().ask("POST", "/do", headers={"authorization": "Bearer made-up", **of_a_browser}).status == 403
    )


def test_a_password_is_sent_by_browsers_themselves_and_needs_the_form(made: Made) -> None:
    page = made(by_password({"anna": ("correct horse", EVERYTHING)}))
    page.headers["authorization"] = "Basic YW5uYTpjb3JyZWN0IGhvcnNl"
    assert page.ask("POST", "/do").status == 403
    assert page.post("/do").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin", "origin": "http://page.test"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://page.test"}, 200),
        ({"origin": "https://PAGE.test", "host": "page.TEST"}, 200),
        ({"origin": "http://page.test:8080"}, 403),
        ({"origin": "http://page.test.evil.test"}, 403),
        ({"origin": "http://["}, 403),
    ],
)
def test_where_a_form_comes_from_is_what_the_browser_says(
    made: Made, headers: dict[str, str], status: int
) -> None:
    page = made()
    page.headers = headers
    assert page.post("/do").status == status


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"[1]", 400),
        ("application/json", b"[" * 60_000, 400),
        ("application/json", b"\xff\xfe\x00", 400),
        ("application/x-www-form-urlencoded", "é".encode(), 400),
        ("application/x-www-form-urlencoded", b"a=1&" * 2001, 400),
        ("application/x-www-form-urlencoded", b"a" * (65 << 10), 413),
        ("multipart/form-data; boundary=x", b"--x", 415),
        ("text/plain", b"a=1", 415),
        ("", b"a=1", 415),
    ],
)
def test_what_is_no_form_and_no_json_is_told_so(made: Made, kind: str, body: bytes, status: int) -> None:
    answer = made().ask(
        "POST", "/do", body=body, headers={**WITH_COOKIE, HEADER: RIGHT, "content-type": kind}
    )
    assert answer.status == status
    assert_has_headers(answer)


def test_of_a_name_that_comes_several_times_all_values_are_there(made: Made) -> None:
    answer = made().post("/do", [("include", "a"), ("include", "b"), ("include", "c")])
    assert json.loads(answer.text)["form"]["include"] == ["a", "b", "c"]


def test_a_request_that_does_not_end_is_not_waited_for(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PATIENCE", 0)
    monkeypatch.setattr(Request, "stream", _endless)
    assert made().post("/do").status == 408


async def _endless(request: Request) -> Any:
    await asyncio.Event().wait()
    yield b""


@pytest.mark.parametrize("path", ["/broken", "/api/broken"])
def test_what_goes_wrong_here_is_told_without_details_and_with_the_headers(made: Made, path: str) -> None:
    page = made()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = page.app
    page.app = lambda scope, receive, _: app(scope, receive, send)
    with pytest.raises(ZeroDivisionError):  # for the log of the server
        page.get(path)
    assert sent[0]["status"] == 500
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert b"secret" not in sent[1]["body"]
    assert b"Traceback" not in sent[1]["body"]


def test_an_error_of_ours_is_a_sentence_for_people_and_for_programs(made: Made) -> None:
    assert "There is no &lt;caf?&gt;." in made().get("/wrong").text
    answer = made().get("/api/wrong")
    assert (answer.status, json.loads(answer.text)) == (400, {"error": "There is no <caf?>."})


def test_nothing_is_pulled_for_who_asks_only_what_would_come(made: Made) -> None:
    page = made()
    answer = page.ask("HEAD", "/stream")
    assert (answer.status, answer.headers["x-kind"], answer.body) == (200, "stream", b"")
    assert "pulled" not in page.app.page.places
    assert page.get("/stream").body == b"a piece"
    assert "pulled" in page.app.page.places


def test_nothing_of_the_page_is_kept_by_a_cache(made: Made) -> None:
    for authorize in (as_said, lambda _: (), lambda _: RedirectResponse("/login")):
        answer = made(authorize).get("/")
        assert answer.headers["cache-control"] == "no-store"


def test_the_hosts_own_answer_is_sent_as_it_is(made: Made) -> None:
    answer = made(lambda request: PlainTextResponse("log in", 401, {"WWW-Authenticate": "Negotiate"})).get(
        "/"
    )
    assert (answer.status, answer.text, answer.headers["www-authenticate"]) == (401, "log in", "Negotiate")
    assert_has_headers(answer)


def test_a_part_of_a_page_is_not_replaced_by_where_one_logs_in(made: Made) -> None:
    page = made(lambda request: RedirectResponse("/login", 303))
    assert page.get("/").headers["location"] == "/login"
    answer = page.get("/", hx_request="true")
    assert (answer.status, answer.headers["hx-refresh"], answer.body) == (401, "true", b"")
    assert "location" not in answer.headers
    assert_has_headers(answer)


def test_the_callback_may_be_asynchronous_an_object_or_a_function(made: Made) -> None:
    async def late(request: Request) -> Any:
        await asyncio.sleep(0)
        return Visitor("late", {"view"})

    class Asked:
        async def __call__(self, request: Request) -> Any:
            return Visitor("object", {"view"})

    assert '"late"' in made(late).get("/").text
    assert '"object"' in made(Asked()).get("/").text
    assert '"somebody"' in made(lambda _: {"view"}).get("/").text


@pytest.mark.parametrize("said", [None, "view", {"fly"}, {"view": False}, 3, True])
def test_a_mistake_of_the_callback_lets_in_nobody_and_tells_nothing(made: Made, said: Any) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        made(lambda request: said).get("/")


WRONG = {"authorization": "Basic YW5uYTp3cm9uZw=="}
GOOD = {"authorization": "Basic YW5uYTpjb3JyZWN0IGhvcnNl"}


def test_who_guesses_has_to_wait_and_is_not_even_looked_at(made: Made) -> None:
    known = by_password({"anna": ("correct horse", EVERYTHING)})
    asked = []

    def authorize(request: Request) -> Any:
        asked.append(request)
        return known(request)

    page = made(authorize)
    assert [page.get("/", **WRONG).status for _ in range(MOST)] == [401] * MOST
    count = len(asked)
    answer = page.get("/", **GOOD)
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= 300
    assert_has_headers(answer)
    assert len(asked) == count
    assert page.get("/").status == 401, "who says nothing of themselves is asked as ever"
    page.client = ("192.0.2.8", 1)
    assert page.get("/", **GOOD).status == 200


def test_a_response_that_refuses_counts_and_what_is_right_does_not(made: Made) -> None:
    page = made(lambda request: Response(status_code=401))
    assert [page.get("/", **WRONG).status for _ in range(MOST + 1)] == [401] * MOST + [429]
    page = made(by_password({"anna": ("correct horse", EVERYTHING)}))
    assert [page.get("/", **GOOD).status for _ in range(MOST + 1)] == [200] * (MOST + 1)
    assert [page.get("/").status for _ in range(MOST + 1)] == [401] * (MOST + 1)


@pytest.mark.parametrize(
    "said",
    [EVERYTHING, (), Response(status_code=401), HTTPException(401), HTTPException(403)],
    ids=["right", "without abilities", "refused", "wrong", "forbidden"],
)
def test_of_many_guesses_at_the_same_moment_all_after_the_limit_hear_the_same_right_or_wrong(
    made: Made, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    attempts = Attempts()
    monkeypatch.setattr(guarding, "Attempts", lambda: attempts)

    def authorize(request: Request) -> Any:
        for _ in range(MOST):  # the others, which fail while this one is being asked about
            attempts.failed("192.0.2.7")
        if isinstance(said, HTTPException):
            raise said
        return said

    assert made(authorize).get("/", **GOOD).status == 429


def test_an_attempt_is_forgotten_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    attempts = Attempts()
    for _ in range(MOST):
        assert attempts.wait("a") == 0
        attempts.failed("a")
    assert attempts.wait("a") == 300
    assert attempts.wait("b") == 0
    now += 301
    assert attempts.wait("a") == 0


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_a_customers_network_counts_as_one_address(host: str | None, counted: str) -> None:
    scope = {"type": "http", "client": None if host is None else (host, 1)}
    assert address_of(Request(scope)) == counted


def test_the_secret_of_a_machine_is_made_once_and_for_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret, "state_folder", lambda: str(tmp_path / "state"))
    made = page_secret(None)
    assert (len(made), page_secret(None)) == (32, made)
    (key,) = (tmp_path / "state").iterdir()
    assert (key.name, key.stat().st_mode & 0o777) == ("page.key", 0o600)
    key.write_bytes(made[:20])
    for given, says in ((None, "holds no secret"), ("fifteen of them", "too short")):
        with pytest.raises(ConfigurationError, match=says):
            page_secret(given)


def test_the_host_may_refuse_by_an_exception_of_starlettes(made: Made) -> None:
    def authorize(request: Request) -> Any:
        raise HTTPException(403, "Not from here.")

    answer = made(authorize).get("/")
    assert (answer.status, "Not from here." in answer.text) == (403, True)
