"""The page below a path of a host: of Starlette, FastAPI and WSGI, in this process."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from wsgiref.types import WSGIApplication

import pytest
from fastapi import FastAPI
from flask import Flask, session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, EnvironBuilder

from backupkit import BackupPipeline, ConfigurationError
from backupkit.integrations.asgi import (
    EVERYTHING,
    Allowed,
    BackupManager,
    as_wsgi,
    mounted_asgi,
    mounted_wsgi,
)
from backupkit.integrations.asgi.access.guard import COOKIE

AT = "/admin/backups"
ADDRESSES = re.compile(r'(href|src|action|hx-get|hx-post|sse-connect)="([^"#]+)')


def in_starlette(manager: BackupManager) -> Any:
    return TestClient(Starlette(routes=[Mount(AT, manager)]), follow_redirects=False)


def in_fastapi(manager: BackupManager) -> Any:
    app = FastAPI()
    app.mount(AT, manager)
    return TestClient(app, follow_redirects=False)


def in_werkzeug(manager: BackupManager) -> Any:
    return Client(DispatcherMiddleware(Flask("host"), {AT: as_wsgi(manager)}))


def in_flask(manager: BackupManager) -> Any:
    return with_page(Flask("host"), manager).test_client()


def with_page(app: Flask, manager: BackupManager) -> Flask:
    app.wsgi_app = mounted_wsgi(app.wsgi_app, AT, manager)  # type: ignore[method-assign, assignment]
    return app


def beside_another(manager: BackupManager) -> Any:
    return TestClient(mounted_asgi(FastAPI(), AT, manager), follow_redirects=False)


MOUNTS: tuple[Callable[[BackupManager], Any], ...] = (
    *(in_starlette, in_fastapi, beside_another),
    *(in_werkzeug, in_flask),
)


@pytest.mark.parametrize("mount", MOUNTS)
def test_all_addresses_of_a_page_are_below_its_mount_and_answer(
    mount: Callable[[BackupManager], Any], manager: BackupManager
) -> None:
    client = mount(manager)
    answer = client.get(f"{AT}/")
    assert answer.status_code == 200
    found = {*ADDRESSES.findall(answer.text)}
    assert found
    assert [one for _, one in found if not one.startswith(f"{AT}/")] == []
    answers = {one: client.get(one) for kind, one in found if kind not in ("action", "hx-post")}
    assert [one for one, answer in answers.items() if not answer.text or answer.status_code != 200] == []


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_mount_without_a_slash_and_an_address_with_one_too_many_lead_to_the_page(
    mount: Callable[[BackupManager], Any], manager: BackupManager
) -> None:
    client = mount(manager)
    for address, meant in [(AT, f"{AT}/"), (f"{AT}/backups/?q=a", f"{AT}/backups?q=a")]:
        answer = client.get(address)
        assert answer.status_code in (307, 308)
        assert answer.headers["location"].removeprefix("http://testserver") == meant


@pytest.mark.parametrize("mount", MOUNTS)
def test_the_cookie_is_for_the_mount_alone(
    mount: Callable[[BackupManager], Any], manager: BackupManager
) -> None:
    set_ = mount(manager).get(f"{AT}/").headers["set-cookie"]
    assert set_.startswith(COOKIE)
    assert f"; Path={AT};" in f"{set_};"


@pytest.mark.parametrize("mount", MOUNTS)
def test_only_the_headers_are_asked_for(
    mount: Callable[[BackupManager], Any], manager: BackupManager
) -> None:
    answer = mount(manager).head(f"{AT}/")
    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "/https://evil.example/"])
def test_no_address_leads_to_another_host(path: str, manager: BackupManager) -> None:
    answer = TestClient(manager, follow_redirects=False).get(f"http://page.test{path}")
    assert re.match(r"/(?![/\\])", answer.headers["location"])


def test_a_mount_of_any_name_is_written_as_addresses_are(manager: BackupManager) -> None:
    client = TestClient(Starlette(routes=[Mount("/our shop/über", manager)]))
    answer = client.get("/our%20shop/%C3%BCber/")
    assert 'href="/our%20shop/%C3%BCber/static/style.css"' in answer.text
    assert "Path=/our%20shop/%C3%BCber;" in answer.headers["set-cookie"]


def test_behind_a_proxy_the_prefix_and_the_scheme_are_the_visitors(manager: BackupManager) -> None:
    app: Any = Starlette(routes=[Mount(AT, manager)])
    host: Any = ProxyHeadersMiddleware(app, trusted_hosts="*")
    client = TestClient(host, root_path="/prefix")  # as `uvicorn --root-path`
    answer = client.get(f"/prefix{AT}/", headers={"x-forwarded-proto": "https"})
    assert f'href="/prefix{AT}/static/style.css"' in answer.text
    assert f"; Path=/prefix{AT};" in answer.headers["set-cookie"]
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_wsgi_server_below_a_prefix_and_tls_says_both(manager: BackupManager) -> None:
    client = Client(mounted_wsgi(Flask("host"), AT, manager))
    answer = client.get(f"{AT}/", base_url="https://page.test/prefix/")
    assert f'href="/prefix{AT}/static/style.css"' in answer.text
    assert f"; Path=/prefix{AT};" in answer.headers["set-cookie"].replace("path", "Path")
    assert "; Secure" in answer.headers["set-cookie"]


def test_what_is_not_below_the_path_stays_with_the_host(manager: BackupManager) -> None:
    theirs = "/admin/backups-of-mine"
    flask, fastapi = Flask("host"), FastAPI()
    flask.add_url_rule(theirs, "theirs", lambda: "the host's")
    fastapi.get(theirs)(lambda: "the host's")
    assert with_page(flask, manager).test_client().get(theirs).text == "the host's"
    assert TestClient(mounted_asgi(fastapi, AT, manager)).get(theirs).json() == "the host's"


@pytest.mark.parametrize("path", ["", "/", "admin"])
def test_a_path_that_leaves_nothing_to_the_host_is_refused(path: str, manager: BackupManager) -> None:
    with pytest.raises(ConfigurationError, match="give a path such as /admin/backups"):
        mounted_wsgi(Flask("host"), path, manager)


def test_the_session_of_flask_says_who_comes_in(shop: BackupPipeline) -> None:
    app = Flask("host")
    app.secret_key = "only here"

    def by_session(request: Request) -> Allowed:
        with app.request_context(request.scope["wsgi_environ"]):
            return EVERYTHING if session.get("role") == "admin" else set()

    manager = BackupManager(shop, authorize=by_session, secret="not to be guessed")
    client = with_page(app, manager).test_client()
    assert client.get(f"{AT}/").status_code == 403
    with client.session_transaction() as inside:
        inside["role"] = "admin"
    assert client.get(f"{AT}/").status_code == 200


# The bridge by itself


class Answer:
    """An application that answers chunk after chunk, as long as it is asked for more."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await run_in_threadpool(
                int
            )  # by a thread that waits for more to do, as long as the answer is open
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"chunk", "more_body": True})
                self.sent += 1
        finally:
            self.ended.set()


def asked(app: WSGIApplication, environ: Mapping[str, Any] | None = None, **how: Any) -> Iterator[bytes]:
    """What the application answers, as its server takes it."""
    made = EnvironBuilder(base_url="http://page.test", **how).get_environ()
    return iter(app({**made, **(environ or {})}, lambda *_: lambda _: None))


def test_an_answer_is_handed_on_as_it_is_made_and_ends_with_its_client() -> None:
    endless = Answer()
    chunks = asked(as_wsgi(endless))
    assert [next(chunks) for _ in range(10)] == [b"chunk"] * 10
    assert endless.sent < 15  # and no further ahead
    assert not endless.ended.is_set()
    chunks.close()  # type: ignore[attr-defined]
    assert endless.ended.wait(30)


def test_of_an_endless_answer_the_headers_can_be_had_alone() -> None:
    endless = Answer()
    assert list(asked(as_wsgi(endless), method="HEAD")) == []
    assert endless.ended.wait(30)


class Asked:
    """An application that keeps what it was asked."""

    scope: Scope
    messages: list[Message]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.messages = scope, [await receive()]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("said", "key", "found"),
    [
        ({"PATH_INFO": "/\xc3\xbc/\xff"}, "path", "/ü/\N{REPLACEMENT CHARACTER}"),
        ({"QUERY_STRING": "q=\xe9"}, "query_string", b"q=\xe9"),
        ({"REMOTE_ADDR": "192.0.2.7"}, "client", ("192.0.2.7", 0)),  # not each server says the port
    ],
)
def test_what_is_odd_in_a_request_is_asked_as_a_server_of_asgi_would(
    said: Mapping[str, str], key: str, found: object
) -> None:
    page = Asked()
    list(asked(as_wsgi(page), said))
    assert page.scope[key] == found


def test_a_body_arrives() -> None:
    page = Asked()
    list(asked(as_wsgi(page), method="POST", data=b"a=1"))
    assert page.messages == [{"type": "http.request", "body": b"a=1", "more_body": False}]


@pytest.mark.parametrize("length", ["3", "-1", "two", "²", "9" * 5000])
def test_a_body_that_was_cut_off_or_of_no_length_is_no_request(length: str) -> None:
    page = Asked()
    list(asked(as_wsgi(page), {"wsgi.input": io.BytesIO(b"a="), "CONTENT_LENGTH": length}, method="POST"))
    assert page.messages == [{"type": "http.disconnect"}]


def test_what_goes_wrong_is_raised_for_the_servers_log() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(asked(as_wsgi(broken)))


_FORKED = """
import os, threading
from tests.integrations.asgi.test_mounts import Answer, as_wsgi, asked

endless = as_wsgi(Answer())
assert next(asked(endless)) == b"chunk"
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
open_ = asked(endless)
assert next(open_) == b"chunk"
"""


def test_it_answers_after_a_fork_and_an_open_answer_keeps_no_program_from_ending() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", _FORKED], check=True, timeout=60)
