"""Google Cloud Storage, as fake-gcs-server plays it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.destinations.processes import Place, ProcessTests
from tests.fault_proxy import fault_proxy
from tests.storage.fake_gcs import FakeGCS, fake_gcs
from tests.storage.gcs_sessions import gcs_sessions

KiB = 1 << 10
MiB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGCS]:
    with fake_gcs() as server:
        yield server


class TestGCS(DestinationTests):
    @pytest.fixture
    def destination(self, server: FakeGCS) -> Destination:
        return open_destination(
            f"gs://{server.bucket()}/shop", endpoint_url=server.endpoint, token="anon", part_size=256 * KiB
        )


class TestProcessesOnGCS(ProcessTests):
    @pytest.fixture
    def place(self, server: FakeGCS) -> Iterator[Place]:
        with gcs_sessions(server) as sessions, fault_proxy(sessions.port) as proxy:
            yield Place(
                url=f"gs://{server.bucket()}/shop",
                options={"endpoint_url": sessions.endpoint, "token": "anon"},
                proxied={"endpoint_url": f"http://127.0.0.1:{proxy.port}", "token": "anon"},
                proxy=proxy,
                part=r"^PUT .*\[bytes \d",
            )
