"""The proxy does what it says, or the tests that use it prove nothing."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.fault_proxy import Answer, FaultProxy, Rule, fault_proxy


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def bodies() -> list[bytes]:
    return []


@pytest.fixture
def proxy(bodies: list[bytes]) -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.bodies = bodies  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with fault_proxy(server.server_port) as proxy:
            yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _put(proxy: FaultProxy, body: bytes, *, timeout: float = 10) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    try:
        connection.request("PUT", "/bucket/key", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


BODY = b"0123456789" * 100_000


def test_without_rules_everything_passes(proxy: FaultProxy, bodies: list[bytes]) -> None:
    assert _put(proxy, BODY) == (200, BODY)
    assert bodies == [BODY]
    assert proxy.seen == [("PUT /bucket/key", None)]


def test_an_answer_of_its_own_never_reaches_the_server(proxy: FaultProxy, bodies: list[bytes]) -> None:
    proxy.rules = [Rule("PUT", Answer(503, b"later"), skip=1)]
    assert [_put(proxy, BODY)[0] for _ in range(3)] == [200, 503, 200]
    assert len(bodies) == 2


@pytest.mark.parametrize(("wrong", "reached"), [("reset", 0), ("cut", 0), ("lose answer", 1)])
def test_a_connection_ends_before_or_after_the_server_has_the_request(
    proxy: FaultProxy, bodies: list[bytes], wrong: str, reached: int
) -> None:
    proxy.rules = [Rule("PUT", wrong)]  # type: ignore[arg-type]
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _put(proxy, BODY)
    assert len([body for body in bodies if body == BODY]) == reached


def test_an_answer_is_cut_short(proxy: FaultProxy) -> None:
    proxy.rules = [Rule("PUT", "truncate", after=1000)]
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        _put(proxy, BODY)


@pytest.mark.parametrize("wrong", ["stall answer", "stall sending"])
def test_a_connection_stalls(proxy: FaultProxy, wrong: str) -> None:
    proxy.rules = [Rule("PUT", wrong)]  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        _put(proxy, BODY * 20, timeout=0.5)
