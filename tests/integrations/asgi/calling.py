"""Requests as a server hands them over, of any path and bytes, and whether an answer does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import backupkit
from backupkit.integrations.asgi.access.guard import COOKIE, FIELD, token_of
from backupkit.integrations.asgi.access.headers import HEADERS
from backupkit.integrations.work import Work, id_after

BASE = "/admin/backups"
SECRET = b"not to be guessed"
NONCE = "n" * 43
HARM = "<script>alert(1)</script>"
PRODUCT = "1787569"  # of {{1337*1337}}
HOSTILE = (
    *("..", "../../../../../../etc/passwd", "%2e%2e%2fetc%2fpasswd", "/etc/passwd", "a\0b", "x" * 9000),
    *("\udcff한💾\u202e", "a\r\nX-Evil: 1\r\n\r\nb", "{{1337*1337}}", f"'\"><svg/onload=alert(1)>{HARM}"),
    *("-1", "9" * 30, "", "//evil.test/", "http://evil.test/", "javascript:alert(1)"),
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass
class Caller:
    """Whoever asks an application; `who` and `abilities` are what `as_said` goes by."""

    app: Any
    runner: asyncio.Runner
    base: str = BASE
    headers: dict[str, str] = field(default_factory=dict)
    client: tuple[str, int] | None = ("192.0.2.7", 1234)
    scheme: str = "http"

    def get(self, path: str, query: Mapping[str, str] | str = "", **headers: str) -> Answer:
        return self.ask("GET", path, query, headers=headers)

    def post(self, path: str, fields: Iterable[tuple[str, str]] = (), **headers: str) -> Answer:
        """A form of the page: with the cookie and the token that belong together."""
        pairs = [(FIELD, token_of(SECRET, NONCE, "anna")), *fields]
        body = urlencode(pairs, errors="surrogateescape").encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "cookie": f"{COOKIE}={NONCE}"}
        return self.ask("POST", path, body=body, headers={**kind, **headers})

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | str = "",
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer; what the application raises, after it has answered, is raised here."""
        text = query if isinstance(query, str) else urlencode(query, errors="surrogateescape")
        all_headers = {"host": "page.test", **self.headers, **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": self.base + path,
            "raw_path": quote(self.base + path, errors="surrogateescape").encode(),
            "root_path": self.base,
            "query_string": text.encode(),
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in all_headers.items()
            ],
            "client": self.client,
            "server": ("page.test", 80),
        }
        return self.runner.run(_answer(self.app, scope, body))


async def _answer(app: Any, scope: dict[str, Any], body: bytes) -> Answer:
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in asked:
            return message
        await asyncio.Event().wait()  # nobody goes away
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    start, *rest = sent
    raw = tuple(start["headers"])
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
    return Answer(start["status"], headers, b"".join(one.get("body", b"") for one in rest), raw)


def assert_harmless(answer: Answer, base: str = BASE) -> None:
    """No fault of ours, nothing of what was sent as code, the headers of the page, and no way to elsewhere."""
    assert answer.status < 500, answer.text
    assert_has_headers(answer)
    location = answer.headers.get("location")
    assert location is None or location.startswith(f"{base}/"), location
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert HARM not in answer.text
        assert "<svg/onload" not in answer.text
        assert PRODUCT not in answer.text
    for secret in ("Traceback", str(Path(backupkit.__file__).parent), "root:x:0:"):
        assert secret not in answer.text


def assert_has_headers(answer: Answer) -> None:
    expected = {name.lower(): value for name, value in HEADERS.items()}
    if "content-disposition" in answer.headers:
        expected["content-security-policy"] = "default-src 'none'; sandbox"
        assert answer.headers["content-disposition"].startswith("attachment")
    assert {name: answer.headers.get(name) for name in expected} == expected
    for name, value in answer.raw_headers:
        assert not set(name + value) & {0, 10, 13}, (name, value)


@dataclass
class Held:
    """A queue that does nothing but remember what it was asked for; each work has ended at once."""

    works: dict[str, Work] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    clock: Any = None

    def submit(self, pipeline: str, action: Any, who: str, *, after: str | None = None) -> str:
        id_ = f"work-{len(self.works)}" if after is None else id_after(after)
        now = self.clock()
        self.works[id_] = Work(
            id=id_, pipeline=pipeline, action=action, who=who, asked=now, stage="ended", began=now, ended=now
        )
        return id_

    def get(self, id: str) -> Work | None:
        return self.works.get(id)

    def recent(self) -> list[Work]:
        return [*self.works.values()][::-1]

    def ends(self, pipeline: str) -> object:
        return len(self.works)

    def cancel(self, id: str, who: str | None = None) -> None:
        self.cancelled.append(id)

    def close(self) -> None:
        pass
