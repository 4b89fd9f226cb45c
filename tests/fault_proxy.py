"""A proxy before an HTTP server, in which things go wrong as they do between a program and a store far away."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tests.serving import serving

_PIECE = 1 << 16
_FOR_EVER = 3600.0


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy's own; the request is read, and the server never sees it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Wrong: TypeAlias = (
    Answer | Literal["reset", "cut", "lose answer", "stall sending", "stall answer", "truncate"]
)
"""What goes wrong.

"reset": the connection, before anything is read of the body. "cut": it, once `after` bytes of the body have
reached the server. "lose answer": the server did as asked, and the connection ends before its answer. "stall
sending": nothing is read after `after` bytes of the body. "stall answer": all is read, and no answer comes.
"truncate": the connection ends after `after` bytes of the answer's body.
"""


@dataclass
class Rule:
    """For requests whose first line (`PUT /bucket/key?x=y`) matches: the first `skip` pass, `times` go wrong.

    If a request says which part of all its content is, that stands behind the line: `[bytes 0-9/*]`.
    """

    match: str
    wrong: Wrong
    times: int = 1
    skip: int = 0
    after: int = 1 << 16

    def befalls(self, line: str) -> bool:
        if not re.search(self.match, line) or not self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class FaultProxy:
    """`port` is where it listens; `rules` may change at any time.

    `seen` are the first lines of the requests so far, and what went wrong. `most_at_once` is how many requests were
    waiting for an answer at one moment, at most. `bandwidth` is bytes a second of each
    connection, each way; `latency` seconds before each request.
    """

    upstream: int
    tls: ssl.SSLContext | None = None
    bandwidth: float = 0.0
    latency: float = 0.0
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, Wrong | None]] = field(default_factory=list)
    expecting: int = 0  # requests that asked whether they may send their body
    port: int = 0
    most_at_once: int = 0
    under_way: int = 0

    def befell(self) -> Sequence[Wrong]:
        """What went wrong so far."""
        return [wrong for _, wrong in self.seen if wrong is not None]

    def requests(self, match: str) -> int:
        """How many requests came whose first line matches."""
        return sum(1 for line, _ in self.seen if re.search(match, line))

    def forget(self) -> None:
        """Be as it was at first, for the next test: a client for each would take longer than the tests."""
        self.rules, self.seen, self.bandwidth, self.latency = [], [], 0.0, 0.0

    def _wrong(self, line: str) -> Rule | None:
        rule = next((one for one in self.rules if one.befalls(line)), None)
        self.seen.append((line, rule.wrong if rule else None))
        return rule


@contextmanager
def fault_proxy(
    upstream: int, *, tls: ssl.SSLContext | None = None, bandwidth: float = 0.0, latency: float = 0.0
) -> Iterator[FaultProxy]:
    """A running proxy before the server on this port of this machine; with `tls` it is spoken to by TLS."""
    proxy = FaultProxy(upstream, tls, bandwidth, latency)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(proxy, reader, writer).run()

    with serving(handle, tls=tls) as proxy.port:
        yield proxy


class _Connection:
    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = reader, writer
        self._from_server: asyncio.StreamReader | None = None
        self._to_server: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        try:
            while True:
                await self._one()
        except (
            asyncio.IncompleteReadError,
            ConnectionError,
            _EndError,
            ssl.SSLError,
            asyncio.CancelledError,
        ):
            pass
        finally:
            for writer in (self._to_client, self._to_server):
                if writer is not None:
                    writer.transport.abort()

    async def _one(self) -> None:
        head = _Head(await self._from_client.readuntil(b"\r\n\r\n"))
        rule = self._proxy._wrong(head.line)
        self._proxy.expecting += head.expects
        self._proxy.under_way += 1
        self._proxy.most_at_once = max(self._proxy.most_at_once, self._proxy.under_way)
        try:
            await self._answered(head, rule)
        finally:
            self._proxy.under_way -= 1

    async def _answered(self, head: _Head, rule: Rule | None) -> None:
        if self._proxy.latency:
            await asyncio.sleep(self._proxy.latency)
        wrong = rule.wrong if rule else None
        if wrong == "reset":
            raise _EndError
        if head.expects and wrong is not None:
            self._to_client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if isinstance(wrong, Answer):
            await self._body(head, None)
            await self._answer(wrong)
            return
        if wrong == "stall answer":
            await self._body(head, None)
            await asyncio.sleep(_FOR_EVER)
        if wrong == "stall sending" and rule:
            # A little buffer, and then nobody reads any more: the sender's system fills up, and it waits.
            await self._from_client.readexactly(head.no_more_than(rule.after))
            self._to_client.transport.pause_reading()  # type: ignore[attr-defined]  # a reader is behind it
            await asyncio.sleep(_FOR_EVER)
        if self._to_server is None:
            self._from_server, self._to_server = await asyncio.open_connection(
                "127.0.0.1", self._proxy.upstream, limit=1 << 20
            )
        self._to_server.write(head.raw)
        if wrong == "cut" and rule:
            await self._pump(self._from_client, self._to_server, head.no_more_than(rule.after))
            raise _EndError
        if head.expects and wrong is None:
            answer = await self._read_head()
            self._to_client.write(answer.raw)
            if answer.status != 100:
                await self._finish(head, answer, rule)
                return
        await self._body(head, self._to_server)
        answer = await self._read_head()
        while answer.status == 100:
            answer = await self._read_head()
        if wrong == "lose answer":
            raise _EndError
        self._to_client.write(answer.raw)
        await self._finish(head, answer, rule)

    async def _finish(self, head: _Head, answer: _Head, rule: Rule | None) -> None:
        assert self._from_server is not None
        if head.method == "HEAD" or answer.status in (204, 304):
            pass
        elif rule is not None and rule.wrong == "truncate":
            await self._pump(self._from_server, self._to_client, min(rule.after, answer.length))
            raise _EndError
        elif answer.chunked:
            await self._chunks(self._from_server, self._to_client)
        elif answer.has_length:
            await self._pump(self._from_server, self._to_client, answer.length)
        else:
            await self._pump(self._from_server, self._to_client, None)
            raise _EndError
        await self._to_client.drain()
        if answer.closes:
            raise _EndError

    async def _read_head(self) -> _Head:
        assert self._from_server is not None
        return _Head(await self._from_server.readuntil(b"\r\n\r\n"))

    async def _body(self, head: _Head, to: asyncio.StreamWriter | None) -> None:
        if head.chunked:
            await self._chunks(self._from_client, to)
        else:
            await self._pump(self._from_client, to, head.length)

    async def _chunks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        while True:
            line = await reader.readuntil(b"\r\n")
            if writer is not None:
                writer.write(line)
            size = int(line.split(b";")[0], 16)
            await self._pump(reader, writer, size + 2)
            if size == 0:
                return

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, length: int | None
    ) -> None:
        left = length
        while left is None or left > 0:
            piece = await reader.read(_PIECE if left is None else min(_PIECE, left))
            if not piece:
                if left is None:
                    return
                raise _EndError
            if writer is not None:
                writer.write(piece)
                await writer.drain()
            if left is not None:
                left -= len(piece)
            if self._proxy.bandwidth:
                await asyncio.sleep(len(piece) / self._proxy.bandwidth)

    async def _answer(self, answer: Answer) -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        head = f"HTTP/1.1 {answer.status} Wrong\r\n{headers}Content-Length: {len(answer.body)}\r\n\r\n"
        self._to_client.write(head.encode() + answer.body)
        await self._to_client.drain()


class _EndError(Exception):
    """The connection is to end here."""


class _Head:
    """The head of a request or an answer."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        first, *rest = raw.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in rest)
            if colon
        }
        span = headers.get("content-range")
        self.line = first.rsplit(" HTTP/", 1)[0] + (f" [{span}]" if span else "")
        self.method = first.split(" ")[0]
        self.status = int(first.split(" ")[1]) if first.startswith("HTTP/") else 0
        self.has_length = "content-length" in headers
        self.length = int(headers.get("content-length", "0"))
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.expects = headers.get("expect", "").lower() == "100-continue"
        self.closes = headers.get("connection", "").lower() == "close"

    def no_more_than(self, size: int) -> int:
        """So many bytes of the body, or all of it; of one in chunks nobody knows how long it is."""
        return size if self.chunked else min(size, self.length)
