"""What becomes of a backup when things go wrong on the way to Azure Blob Storage."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.azure import NamedAzureFileSystem
from tests.destinations.faults import Behind, FaultTests, impatience, usually_without
from tests.fault_proxy import Answer, FaultProxy, fault_proxy
from tests.storage.azurite import Azurite, azurite, connection_string

KiB = 1 << 10


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    with azurite() as server:
        yield server


@pytest.fixture(scope="module")
def container(server: Azurite) -> str:
    return server.container()


@pytest.fixture(scope="module")
def proxy(server: Azurite) -> Iterator[FaultProxy]:
    with fault_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(proxy: FaultProxy) -> NamedAzureFileSystem:
    return NamedAzureFileSystem(connection_string=connection_string(proxy.port), skip_instance_cache=True)


@pytest.fixture(scope="module")
def direct(server: Azurite) -> NamedAzureFileSystem:
    return NamedAzureFileSystem(connection_string=server.connection_string, skip_instance_cache=True)


def _error(status: int, code: str, detail: str = "") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{detail}</Message></Error>"
    headers = (("Content-Type", "application/xml"), ("x-ms-error-code", code))
    return Answer(status, body.encode(), headers)


class TestFaultsOfAzure(FaultTests):
    outcomes = usually_without("a part: the store is full")

    @pytest.fixture
    def behind(
        self,
        request: pytest.FixtureRequest,
        proxy: FaultProxy,
        through: NamedAzureFileSystem,
        direct: NamedAzureFileSystem,
        container: str,
    ) -> Behind:
        proxy.forget()
        place = f"{container}/{uuid.uuid4().hex}"
        return Behind(
            proxy=proxy,
            through=open_destination(place, fs=through, part_size=256 * KiB, **impatience(request)),
            direct=open_destination(place, fs=direct),
            part=256 * KiB,
            requests={
                "part": r"^PUT .*comp=block&",
                "commit": r"^PUT .*comp=blocklist",
                "small": r"^PUT .*comp=blocklist",
                "read": r"^GET .*/shop/",
                "list": r"^GET .*comp=list",
            },
            busy=_error(503, "ServerBusy"),
            throttled=_error(503, "ServerBusy"),
            full=None,
            expired=_error(403, "AuthenticationFailed", "Signature not valid in the specified time frame"),
            skewed=_error(403, "AuthenticationFailed", "Request date header too old"),
        )
