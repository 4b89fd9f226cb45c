from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.wsgidav import PASSWORD, WebDAVServer, webdav_server

MiB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDAVServer]:
    with webdav_server(tmp_path_factory.mktemp("webdav")) as server:
        yield server


class TestWebDAV(DestinationTests):
    @pytest.fixture
    def destination(self, server: WebDAVServer) -> Destination:
        return open_destination(server.url(f"backups/{uuid.uuid4().hex}"), password=PASSWORD)

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return (PASSWORD,)
