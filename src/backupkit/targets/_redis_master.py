"""What a Redis server that replicates finds at its master: a short conversation, and an RDB file.

https://redis.io/docs/latest/operate/oss_and_stack/management/replication/ has the idea; the words are those
that replicas of all versions since 4 say: PING, AUTH, REPLCONF, PSYNC.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from itertools import islice
from types import TracebackType

from backupkit.databases.programs import ClientError, too_slow
from backupkit.databases.urls import LISTEN, DatabaseURL
from backupkit.errors import ConfigurationError

_CONNECTS = 30.0  # seconds: a replica tries once a second
_ASKS = 5.0  # seconds in which whoever connects has said what for: a stranger keeps nobody out for long
_COMMANDS = 20  # before that; a replica says five
_SILENCE = 300.0  # seconds in which a server that loads takes or says something
_LONGEST = 1 << 16  # bytes of all that a replica says before that
_WORDS = 64


class Master:
    """Listens for one server, which proves by its replication id that it is the one that was meant.

    `address` is what that server is to be told. Raises ClientError.
    """

    def __init__(self, url: DatabaseURL, *, identity: str, deadline: float | None) -> None:
        self._identity = identity.encode()
        self._deadline = deadline
        self._replica: socket.socket | None = None
        host, port = _place(url)
        self._listener = _listening(host, port)
        self.address: tuple[str, int] = (host, self._listener.getsockname()[1])

    def __enter__(self) -> Master:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Cut the server off; whatever it has not got whole it drops."""
        if self._replica is not None:
            self._replica.close()
        self._listener.close()

    def send(self, chunks: Iterator[bytes]) -> None:
        """Give the server the RDB file and wait until it has gone over to it."""
        replica = self._replica = self._awaited()
        mark = os.urandom(20).hex().encode()
        self._give(replica, b"+FULLRESYNC %s 0\r\n$EOF:%s\r\n" % (os.urandom(20).hex().encode(), mark))
        for chunk in chunks:
            self._give(replica, chunk)
        self._give(replica, mark)
        self._await_acknowledgement(replica)

    def _give(self, replica: socket.socket, data: bytes) -> None:
        replica.settimeout(self._left(_SILENCE))
        try:
            replica.sendall(data)
        except OSError as error:
            raise _broken_off() from error

    def _awaited(self) -> socket.socket:
        """The connection of the right server, which has asked for the file."""
        end = time.monotonic() + _CONNECTS
        while (left := end - time.monotonic()) > 0:
            self._listener.settimeout(self._left(left))
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                break
            try:
                if self._asks_for_the_file(connection, time.monotonic() + self._left(_ASKS)):
                    return connection
            except (OSError, ValueError):
                pass  # it is no Redis server, has given up, or does not come to the point
            connection.close()
        host, port = self.address
        raise ClientError(
            f"the server did not connect to {host} port {port}, where this program waits for it: give an address "
            f"of this machine that it can reach, by ?{LISTEN}=address:port in the URL."
        )

    def _asks_for_the_file(self, connection: socket.socket, end: float) -> bool:
        for command in islice(_words(_Heard(connection, end)), _COMMANDS):
            match command[0].upper():
                case b"PING":
                    connection.sendall(b"+PONG\r\n")
                case b"PSYNC":
                    # What a server that was a master asks with is its own id, which only those who may ask it know.
                    return command[1:2] == [self._identity]
                case b"AUTH" | b"REPLCONF":
                    connection.sendall(b"+OK\r\n")
                case _:
                    connection.sendall(b"-ERR this is no server\r\n")
        return False

    def _await_acknowledgement(self, replica: socket.socket) -> None:
        """Wait for REPLCONF ACK; while it loads it sends empty lines."""
        heard = b""
        while b"ACK" not in heard:
            replica.settimeout(self._left(_SILENCE))
            try:
                data = replica.recv(4096)
            except OSError as error:
                raise _broken_off() from error
            if not data:
                raise _broken_off()
            heard = heard[-1024:] + data

    def _left(self, most: float) -> float:
        if self._deadline is None:
            return most
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise too_slow()
        return min(most, left)


def _place(url: DatabaseURL) -> tuple[str, int]:
    """The address that the server can reach this machine at, and the port, 0 for any."""
    if LISTEN in url.options:
        host, _, port = url.options[LISTEN].rpartition(":")
        if not port.isdecimal() or not host or int(port) > 65535:
            raise ConfigurationError(
                f"{LISTEN}={url.options[LISTEN]!r} in the URL of {url}: write address:port."
            )
        return host.strip("[]"), int(port)
    if url.socket:
        return "127.0.0.1", 0
    try:
        with socket.create_connection(
            (url.host or "127.0.0.1", url.port or 6379), timeout=_CONNECTS
        ) as connection:
            return str(connection.getsockname()[0]), 0
    except OSError as error:
        raise ClientError(f"the server cannot be reached ({error.strerror or error}).") from error


def _listening(host: str, port: int) -> socket.socket:
    """Listen at that address, or at all if it is one of a machine in between."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError:
        pass
    try:
        return socket.create_server(("", port), family=family)
    except OSError as error:
        raise ClientError(
            f"port {port} of this machine cannot be listened on ({error.strerror or error})."
        ) from error


class _Heard:
    """What the other side says until `end`, and no more of it than a replica would; OSError or ValueError else."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end
        self._data = bytearray()
        self._length = 0

    def line(self) -> bytes:
        while b"\n" not in self._data:
            self._receive()
        return self.take(self._data.index(b"\n") + 1).strip()

    def take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._receive()
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def _receive(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        data = self._connection.recv(4096)
        self._length += len(data)
        if not data or self._length > _LONGEST:
            raise ConnectionError
        self._data += data


def _words(heard: _Heard) -> Iterator[list[bytes]]:
    """Command by command; ValueError if that is not Redis's protocol."""
    while True:
        line = heard.line()
        if not line.startswith(b"*"):
            if words := line.split():
                yield words
            continue
        count = int(line[1:])
        if count not in range(1, _WORDS):
            raise ValueError
        words = []
        for _ in range(count):
            length = int(heard.line()[1:])
            if length not in range(_LONGEST):
                raise ValueError
            words.append(heard.take(length + 2)[:-2])
        yield words


def _broken_off() -> ClientError:
    return ClientError(
        "the server broke off before it had loaded the dump, and keeps what it had: its log says why (a file that "
        "is damaged, memory that is too small, a repl-timeout that is too short).",
        retryable=True,
    )
