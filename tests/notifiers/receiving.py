"""Receivers of mail and of HTTP calls, real ones, on free ports of this machine."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from tempfile import NamedTemporaryFile
from typing import Any, Literal

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from tests.servers import free_port

HERE = "127.0.0.1"
SLACK = "https://hooks.slack.com/services/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"
DISCORD = "https://discord.com/api/webhooks/123456789012345678/dSECRET4-dSECRET4_dSECRET4"


@dataclass
class Mailbox:
    """What a mail server took. It answers as `answers` says, by address; all else it takes."""

    port: int = 0
    login: tuple[str, str] | None = None
    goodbye: str = "221 Bye"
    answers: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logged_in: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd asks for it
        self, server: object, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (answer := self.answers.get(address)) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: object, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.goodbye

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        self.logged_in.append(bool(session.authenticated))
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self.recipients.append([str(one) for one in envelope.rcpt_tos])
        return "250 OK"

    def authenticate(
        self, server: object, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        given = data if isinstance(data, LoginPassword) else LoginPassword(b"", b"")
        right = self.login == (given.login.decode(), given.password.decode())
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    *, login: tuple[str, str] | None = None, encryption: Literal["starttls", "ssl"] | None = None
) -> Iterator[Mailbox]:
    box = Mailbox(login=login)
    settings: dict[str, Any] = {}
    if login is not None:
        settings = {"authenticator": box.authenticate, "auth_require_tls": False}
    if encryption == "starttls":
        settings |= {"tls_context": untrusted(), "require_starttls": True}
    elif encryption == "ssl":
        settings |= {"ssl_context": untrusted()}
    controller = Controller(box, hostname=HERE, port=free_port(), **settings)
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()


def untrusted() -> ssl.SSLContext:
    """With a certificate that a server has made for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HERE)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HERE))]), critical=False)
        .sign(key, SHA256())
    )
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(text + certificate.public_bytes(pem))
        file.flush()
        context.load_cert_chain(file.name)
    return context


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """What an HTTP server got. `answer` says what it answers: each status once, and the last one ever after.

    The status 0 breaks off; "hang" waits until the test is over.
    """

    url: str
    body: bytes = b"ok"
    location: str = ""
    statuses: list[int | str] = field(default_factory=lambda: [200])
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, *statuses: int | str) -> None:
        self.statuses = list(statuses)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def texts(self) -> list[str]:
        return [request.body.decode() for request in self.requests]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]


@contextmanager
def http_server(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            receiver.requests.append(Request(self.command, self.path, headers, body))
            status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
            if status == "hang":
                receiver.released.wait(30)
            if not isinstance(status, int) or not status:
                self.close_connection = True
                return
            answer = b"" if status == 204 else receiver.body
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET: Callable[..., None] = handle_any  # noqa: N815 - as http.server wants it
        do_POST: Callable[..., None] = handle_any  # noqa: N815

    with ThreadingHTTPServer((HERE, 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        receiver = Receiver(f"{'http' if tls is None else 'https'}://{HERE}:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()


def redirect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """This is where Slack and Discord are, as far as Apprise knows."""
    monkeypatch.setattr(NotifySlack, "webhook_url", f"{url}/services")
    monkeypatch.setattr(NotifySlack, "api_url", f"{url}/api/{{}}")
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"{url}/api/webhooks")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says anything."""
    with socket.create_server((HERE, 0)) as server:
        yield server.getsockname()[1]
