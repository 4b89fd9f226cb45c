"""Google's resumable uploads, as documented, before a fake-gcs-server, which has only their shape.

https://cloud.google.com/storage/docs/performing-resumable-uploads and, for the checksum at the end,
https://cloud.google.com/storage/docs/data-validation. Everything else is passed on.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import google_crc32c

from tests.storage.fake_gcs import FakeGCS

_SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_STEP = 256 << 10


@dataclass
class _Session:
    path: str
    about: bytes
    content: bytearray = field(default_factory=bytearray)
    made: bytes | None = None


@dataclass
class Sessions:
    """`keeps` is how much of each chunk is kept at most; the client has to send the rest again.

    With `spoils`, one byte of each object is another than was sent, and no checksum is looked at. `open` are the
    uploads that have begun.
    """

    server: FakeGCS
    port: int = 0
    keeps: int | None = None
    spoils: bool = False
    open: dict[str, _Session] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def gcs_sessions(server: FakeGCS) -> Iterator[Sessions]:
    """A server before this one."""
    sessions = Sessions(server)
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            body = self._body()
            if query.get("uploadType") != ["resumable"]:
                self._pass_on(body)
                return
            if self._fails(parts.path, query, json.loads(body)["name"]):
                return
            name = str(next(numbers))
            sessions.open[name] = _Session(self.path.replace("=resumable", "=multipart"), body)
            where = f"http://{self.headers['Host']}{parts.path}?uploadType=resumable&upload_id={name}"
            self._answer(200, b"", {"Location": where})

        def do_PUT(self) -> None:
            body = self._body()
            session = sessions.open.get(parse_qs(urlsplit(self.path).query)["upload_id"][0])
            span = _SPAN.fullmatch(self.headers["Content-Range"])
            assert span
            if session is None:
                self._answer(404)
                return
            start = int(span[1] or len(session.content))
            if session.made is None and body:
                if start > len(session.content) or (span[3] == "*" and len(body) % _STEP):
                    self._answer(400)
                    return
                kept = body if sessions.keeps is None else body[: sessions.keeps]
                session.content[start:] = kept
                complete = span[3] != "*" and len(session.content) == int(span[3])
                if complete and not self._make(session):
                    return
            if session.made is not None:
                self._answer(200, session.made)
            else:
                has = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
                self._answer(308, b"", has)

        def do_DELETE(self) -> None:
            name = parse_qs(urlsplit(self.path).query).get("upload_id", [""])[0]
            if not name:
                self._pass_on(b"")
                return
            known = sessions.open.pop(name, None)
            self._answer(499 if known else 404)

        def do_GET(self) -> None:
            self._pass_on(b"")

        def _fails(self, path: str, query: dict[str, list[str]], name: str) -> bool:
            """Refuse what may not be begun, as Google does at once."""
            from urllib.parse import quote

            bucket = path.removeprefix("/upload")
            status, _ = self._ask("GET", f"{bucket}?maxResults=1", b"", {})
            if status == 200 and query.get("ifGenerationMatch") == ["0"]:
                there, _ = self._ask("GET", f"{bucket}/{quote(name, safe='')}", b"", {})
                status = 412 if there == 200 else 200
            if status != 200:
                self._answer(status)
            return status != 200

        def _make(self, session: _Session) -> bool:
            """Make the object, or refuse to."""
            content = bytes(session.content)
            if sessions.spoils:
                content = bytes([content[0] ^ 255]) + content[1:]
            crc = b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
            said = self.headers.get("X-Goog-Hash", f"crc32c={crc}")
            if said != f"crc32c={crc}" and not sessions.spoils:
                self._answer(400)
                return False
            boundary = b"====of-the-test===="
            body = b"\r\n".join(
                [
                    *(b"--" + boundary, b"Content-Type: application/json\r\n", session.about),
                    *(b"--" + boundary, b"Content-Type: application/octet-stream\r\n", content),
                    b"--" + boundary + b"--\r\n",
                ]
            )
            kind = {"Content-Type": f'multipart/related; boundary="{boundary.decode()}"'}
            status, made = self._ask("POST", session.path, body, kind)
            if status != 200:
                self._answer(status, made)
                return False
            session.made = made
            return True

        def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", sessions.server.port)
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                self._headers = response.getheaders()
                return response.status, response.read()
            finally:
                connection.close()

        def _pass_on(self, body: bytes) -> None:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
            status, answer = self._ask(self.command, self.path, body, headers)
            dropped = {"content-length", "transfer-encoding", "connection", "date"}
            kept = {key: value for key, value in self._headers if key.lower() not in dropped}
            self._answer(status, answer, kept)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as front:
        front.daemon_threads = True
        front.block_on_close = False
        sessions.port = front.server_address[1]
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield sessions
        finally:
            front.shutdown()
            thread.join()
