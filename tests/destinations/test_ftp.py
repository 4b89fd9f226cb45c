from __future__ import annotations

import gc
import socket
import threading
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.errors import AccessDeniedError, ConfigurationError, DestinationError, ObjectNotFoundError
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.certificates import self_signed
from tests.storage.pyftpd import PASSWORD, FTPServer, ftp_server

MiB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FTPServer]:
    with ftp_server(tmp_path_factory.mktemp("ftp")) as server:
        yield server


@pytest.fixture
def destination(server: FTPServer) -> RemoteDestination:
    destination = open_destination(server.url(uuid.uuid4().hex), patience=0.1)
    assert isinstance(destination, RemoteDestination)
    return destination


class TestFTP(DestinationTests):
    @pytest.fixture
    def destination(self, server: FTPServer) -> Destination:
        return open_destination(server.url(uuid.uuid4().hex))

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return (PASSWORD,)


def test_what_a_killed_process_would_leave_is_a_leftover(destination: RemoteDestination) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 32 * MiB
        assert [*destination.list()] == []
        (leftover,) = destination.leftovers("shop/")
        assert leftover.name.startswith("shop/object#")

    destination.write("shop/object", chunks())
    assert [*destination.leftovers()] == []


def test_a_wrong_password_is_said_to_be_wrong(server: FTPServer) -> None:
    url = server.url("shop").replace(PASSWORD, "wrong")
    with pytest.raises(AccessDeniedError, match="credentials") as caught:
        open_destination(url).write("object", [b"content"])
    assert not caught.value.retryable


def test_a_folder_that_is_denied_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    """The reply has the number of one that is missing."""
    with ftp_server(tmp_path, denied="shop/secret") as server:
        for url in (server.url("shop"), server.url("shop/secret")):
            with pytest.raises(AccessDeniedError):
                list(open_destination(url, patience=0.1).list())


def test_ftp_over_the_network_is_refused_unless_it_is_encrypted_or_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="anybody on the way can read"):
        open_destination("ftp://backup@storage.example/shop")
    open_destination("ftp://backup@storage.example/shop", tls=True)
    open_destination("ftp://backup@storage.example/shop", allow_plaintext=True)


def test_encrypted_ftp_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = self_signed(tmp_path)
    certificate = tmp_path / "both.pem"
    certificate.write_text(made.key.read_text() + made.certificate.read_text())
    with ftp_server(tmp_path, certificate) as server:
        with pytest.raises(DestinationError, match="certificate") as caught:
            open_destination(server.url("shop"), tls=True, patience=0.1).write("object", [b"content"])
        assert not caught.value.retryable
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        destination = open_destination(server.url("shop"), tls=True)
        destination.write("object", [b"content"])
        assert b"".join(destination.read("object")) == b"content"


def test_a_connection_that_was_lost_is_made_anew(server: FTPServer) -> None:
    destination = open_destination(server.url(uuid.uuid4().hex))
    assert isinstance(destination, RemoteDestination)
    destination.write("one", [b"content"])
    store, _ = destination._root.store()
    store.fs.ftp.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    assert [one.name for one in destination.list()] == ["one"]
    store.fs.ftp.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
    assert b"".join(destination.read("one")) == b"content"


def test_a_connection_ends_with_its_destination_after_failures_too(server: FTPServer) -> None:
    destination = open_destination(server.url(uuid.uuid4().hex))
    gc.disable()
    try:
        sock = _socket(destination)
        assert [*destination.list()] == []  # the server's answer is an error
        with pytest.raises(ObjectNotFoundError):
            destination.stat("object")
        destination.write("folder/object", [b"content"])
        with pytest.raises(DestinationError):
            destination.write("folder", [b"fails at its end"])
        with pytest.raises(ZeroDivisionError):
            destination.write("another", (bytes(1 // number) for number in (1, 0)))
        assert sock.fileno() != -1
        del destination
        assert sock.fileno() == -1
    finally:
        gc.enable()


def test_a_connection_that_was_refused_is_ended_at_once(server: FTPServer) -> None:
    gc.collect()
    before = _connections_to(server)
    gc.disable()
    try:
        with pytest.raises(AccessDeniedError):
            open_destination(server.url("shop").replace(PASSWORD, "wrong")).stat("object")
        for thread in threading.enumerate():
            if thread.name == "backupkit connecting":
                thread.join()
        assert _connections_to(server) <= before
    finally:
        gc.enable()


def test_a_connection_that_the_collector_finds_is_ended_in_order(server: FTPServer) -> None:
    destination = open_destination(server.url(uuid.uuid4().hex))
    sock = _socket(destination)
    circle: list[object] = [destination]
    circle.append(circle)
    del destination
    gc.collect()  # which moves what is found by way of the circle behind the socket, which is found by itself
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del sock, circle
        gc.collect()
    assert [str(one.message) for one in caught] == []


def _connections_to(server: FTPServer) -> set[str]:
    """Of this process, by what tells them apart."""
    known = (repr(one) for one in gc.get_objects() if issubclass(type(one), socket.socket))
    return {text for text in known if f"raddr=('127.0.0.1', {server.port})" in text}


def _socket(destination: Destination) -> socket.socket:
    assert isinstance(destination, RemoteDestination)
    store, _ = destination._root.store()
    sock: socket.socket = store.fs.ftp.sock  # type: ignore[attr-defined]
    return sock


def test_a_server_that_has_gone_is_an_error_and_no_empty_list(tmp_path: Path) -> None:
    with ftp_server(tmp_path) as server:
        destination = open_destination(server.url("shop"), patience=0.1)
        destination.write("object", [b"content"])
        server.process.kill()
        server.process.wait()
        for call in (lambda: [*destination.list()], lambda: destination.stat("object")):
            with pytest.raises(DestinationError, match="could not be reached") as caught:
                call()
            assert caught.value.retryable
