"""Destinations and file systems at the Dropbox of the tests, for each test in a folder of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backupkit.destinations.opening import open_destination
from backupkit.destinations.remote import RemoteDestination
from backupkit.filesystems.dropbox.file_system import DropboxFileSystem
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.storage.certificates import Certificate
from tests.storage.dropbox_route import certificate_of_dropbox, connect_proxy
from tests.storage.fake_dropbox import FakeDropbox, fake_dropbox


@dataclass(frozen=True)
class Reached:
    """A server, and the options by which it is reached: those that any user behind a proxy would give."""

    server: FakeDropbox
    certificate: Certificate
    options: dict[str, Any]
    folder: str = field(default_factory=lambda: f"/{uuid.uuid4().hex}")

    @property
    def url(self) -> str:
        return f"dropbox://{self.folder}"

    def destination(self, **options: Any) -> RemoteDestination:
        opened = open_destination(self.url, **{"token": "TOKEN", **self.options, **options})
        assert isinstance(opened, RemoteDestination)
        return opened

    def file_system(self, **options: Any) -> DropboxFileSystem:
        given = {"token": "TOKEN", **self.options, **options}
        return DropboxFileSystem(**given, skip_instance_cache=True)


@contextmanager
def reached_dropbox(folder: Path) -> Iterator[Reached]:
    """A server that runs, whose certificate is in this folder."""
    certificate = certificate_of_dropbox(folder)
    with fake_dropbox(certificate.context) as server, connect_proxy(server.port) as proxy:
        yield Reached(server, certificate, reached_by(proxy, certificate))


@dataclass(frozen=True)
class Link:
    """The way to a server, and the options of the one that leads through a proxy in which things go wrong."""

    reached: Reached
    proxy: FaultProxy
    options: dict[str, Any]


@contextmanager
def linked_dropbox(folder: Path) -> Iterator[Link]:
    """A server that runs, behind such a proxy."""
    with (
        reached_dropbox(folder) as reached,
        fault_proxy(reached.server.plain_port, tls=reached.certificate.context) as proxy,
        connect_proxy(proxy.port) as port,
    ):
        yield Link(reached, proxy, reached_by(port, reached.certificate))


def reached_by(proxy: int, certificate: Certificate) -> dict[str, Any]:
    """The options that lead through the proxy on this port."""
    return {
        "proxies": {"https": f"http://127.0.0.1:{proxy}"},
        "ca_certs": str(certificate.certificate),
    }
