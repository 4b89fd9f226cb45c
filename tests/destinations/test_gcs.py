"""Google Cloud Storage, as fake-gcs-server plays it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.fake_gcs import FakeGCS, fake_gcs

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
