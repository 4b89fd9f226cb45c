"""The way from unmodified clients of Dropbox to a server of tests: a CONNECT proxy, a certificate for its names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.serving import serving
from tests.storage.certificates import Certificate, self_signed

_HOSTS = ("api.dropboxapi.com", "content.dropboxapi.com", "notify.dropboxapi.com")


def certificate_of_dropbox(folder: Path) -> Certificate:
    """One for Dropbox's names, in this folder."""
    return self_signed(folder, _HOSTS)


@contextmanager
def connect_proxy(target: int) -> Iterator[int]:
    """The port of a proxy that leads every tunnel to Dropbox to a port of this machine, and refuses others."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 18):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            verb, address = head.decode("latin-1").split(" ")[:2]
            if verb != "CONNECT" or address.removesuffix(":443") not in _HOSTS:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                writer.close()
                return
            from_server, to_server = await asyncio.open_connection("127.0.0.1", target)
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(pipe(reader, to_server), pipe(from_server, writer))

    with serving(handle) as port:
        yield port
