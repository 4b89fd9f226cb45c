"""Azure Blob Storage, as Azurite plays it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.destinations.processes import Place, ProcessTests
from tests.fault_proxy import fault_proxy
from tests.storage.azurite import KEY, Azurite, azurite, connection_string

KiB = 1 << 10
MiB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


class TestAzure(DestinationTests):
    @pytest.fixture
    def destination(self, server: Azurite) -> Destination:
        return open_destination(
            f"abfs://{server.container()}/shop",
            connection_string=server.connection_string,
            part_size=256 * KiB,
        )

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return [KEY]


class TestProcessesOnAzure(ProcessTests):
    @pytest.fixture
    def place(self, server: Azurite) -> Iterator[Place]:
        with fault_proxy(server.port) as proxy:
            yield Place(
                url=f"abfs://{server.container()}/shop",
                options={"connection_string": server.connection_string},
                proxied={"connection_string": connection_string(proxy.port)},
                proxy=proxy,
                part=r"^PUT .*comp=block&",
            )
