"""A link to a store far away: so many bytes a second for each connection and direction, and a round trip's time.

    python benchmarks/slow_link.py PORT --bandwidth 20e6 --round-trip 0.025

Prints the port of its own, on which it listens, and passes connections on to that port of this machine until its
standard input ends. It knows nothing of HTTP. A byte arrives when those before it have passed, and half a round
trip later; so much is on its way at once, and no more is taken from who sends. A new connection takes a round trip.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass

_PIECE = 128 << 10
_BUFFER = 256 << 10  # of the system, on each side, which would otherwise hold some megabytes


@dataclass(frozen=True)
class Link:
    upstream: int
    bandwidth: float
    round_trip: float

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        listener = _small(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        accepting = asyncio.create_task(self._accept(listener))
        await loop.run_in_executor(None, sys.stdin.read)
        accepting.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connections = set()
        while True:
            client, _ = await loop.sock_accept(listener)
            connection = asyncio.create_task(self._connected(client))
            connections.add(connection)
            connection.add_done_callback(connections.discard)

    async def _connected(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client, _small(socket.socket()) as server:
            for one in (client, server):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.sleep(self.round_trip)
            with suppress(ConnectionError):
                await loop.sock_connect(server, ("127.0.0.1", self.upstream))
                ways = self._one_way(client, server), self._one_way(server, client)
                await asyncio.gather(*map(_quietly, ways))

    async def _one_way(self, sender: socket.socket, receiver: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(
            2 + int(self.bandwidth * self.round_trip / 2 / _PIECE)
        )

        async def deliver() -> None:
            while True:
                due, piece = await under_way.get()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                if not piece:
                    receiver.shutdown(socket.SHUT_WR)
                    return
                await loop.sock_sendall(receiver, piece)

        delivering = asyncio.create_task(_quietly(deliver()))
        passed = loop.time()
        try:
            while True:
                piece = await loop.sock_recv(sender, _PIECE)
                passed = max(passed, loop.time()) + len(piece) / self.bandwidth
                await under_way.put((passed + self.round_trip / 2, piece))
                if not piece:
                    break
            await delivering
        finally:
            delivering.cancel()


async def _quietly(way: Coroutine[None, None, None]) -> None:
    with suppress(OSError):  # either side may break off
        await way


def _small(one: socket.socket) -> socket.socket:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return one


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--bandwidth", type=float, required=True)
    parser.add_argument("--round-trip", type=float, required=True)
    arguments = parser.parse_args()
    asyncio.run(Link(arguments.port, arguments.bandwidth, arguments.round_trip).serve())


if __name__ == "__main__":
    main()
