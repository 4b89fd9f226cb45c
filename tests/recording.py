"""Databases for what is recorded, one new on each kind of server; and a wire to one that can be cut."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from backupkit.tables import AUDIT, MEMORY, NOTIFICATIONS, REPORTS, Records
from tests.servers import Server

KINDS = ("sqlite", "postgresql", "mariadb")
DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}


@contextmanager
def database_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a new database of this kind, which goes afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/records.sqlite3"
        return
    server: Server = request.getfixturevalue(f"{kind}_server")
    name = f"records_{uuid4().hex[:12]}"
    administrator = "postgres" if kind == "postgresql" else ""
    url = server.url(administrator).replace(kind, DRIVERS[kind], 1)
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            yield server.url(name)
        finally:
            connection.execute(sa.text(f"DROP DATABASE {name}"))


def emptied(url: str) -> str:
    """The same URL, of a database without any of the tables."""
    engine = Records(url, ()).engine
    for table in (REPORTS, AUDIT, MEMORY, NOTIFICATIONS):
        table.drop(engine, checkfirst=True)
    return url


@dataclass
class Wire:
    """Passes bytes on to a server, until the client says `cut_at`; then both ends find it gone."""

    port: int
    cut_at: bytes = b"\0nothing"
    cuts: list[bytes] = field(default_factory=list)


@contextmanager
def wire_to(url: str) -> Iterator[tuple[Wire, str]]:
    """A wire to the server of the URL, and the URL that goes over it."""
    port = sa.make_url(url).port
    assert port is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        wire = Wire(listener.getsockname()[1])
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                with client, socket.create_connection(("127.0.0.1", port)) as server:
                    _pass(wire, client, server)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield wire, url.replace(f":{port}/", f":{wire.port}/")
        finally:
            ended.set()
            thread.join()


def _pass(wire: Wire, client: socket.socket, server: socket.socket) -> None:
    while True:
        for end in select.select([client, server], [], [])[0]:
            data = end.recv(1 << 16)
            if end is client and wire.cut_at in data:
                wire.cuts.append(data)
                return
            if not data:
                return
            (server if end is client else client).sendall(data)
