"""What becomes of a backup when things go wrong on the way to Google Cloud Storage."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.gcs import PlainGCSFileSystem
from tests.destinations.faults import Behind, FaultTests, impatience, usually_without
from tests.fault_proxy import Answer, FaultProxy, fault_proxy
from tests.storage.fake_gcs import fake_gcs
from tests.storage.gcs_sessions import Sessions, gcs_sessions

KiB = 1 << 10


@pytest.fixture(scope="module")
def sessions() -> Iterator[Sessions]:
    with fake_gcs() as server, gcs_sessions(server) as sessions:
        yield sessions


@pytest.fixture(scope="module")
def bucket(sessions: Sessions) -> str:
    return sessions.server.bucket()


@pytest.fixture(scope="module")
def proxy(sessions: Sessions) -> Iterator[FaultProxy]:
    with fault_proxy(sessions.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(proxy: FaultProxy) -> PlainGCSFileSystem:
    endpoint = f"http://127.0.0.1:{proxy.port}"
    return PlainGCSFileSystem(endpoint_url=endpoint, token="anon", skip_instance_cache=True)


@pytest.fixture(scope="module")
def direct(sessions: Sessions) -> PlainGCSFileSystem:
    return PlainGCSFileSystem(endpoint_url=sessions.endpoint, token="anon", skip_instance_cache=True)


def _error(status: int, reason: str) -> Answer:
    return Answer(status, json.dumps({"error": {"code": status, "errors": [{"reason": reason}]}}).encode())


class TestFaultsOfGCS(FaultTests):
    outcomes = usually_without("wrong clock")

    @pytest.fixture
    def behind(
        self,
        request: pytest.FixtureRequest,
        proxy: FaultProxy,
        through: PlainGCSFileSystem,
        direct: PlainGCSFileSystem,
        bucket: str,
    ) -> Behind:
        proxy.forget()
        place = f"{bucket}/{uuid.uuid4().hex}"
        return Behind(
            proxy=proxy,
            through=open_destination(place, fs=through, part_size=256 * KiB, **impatience(request)),
            direct=open_destination(place, fs=direct),
            part=256 * KiB,
            requests={
                "part": r"^PUT .*\[bytes \d",
                "commit": r"^PUT .*\[bytes (\d+-\d+/\d+|\*/\*)\]",  # or, after a failure, how much is there
                "small": r"^POST .*uploadType=multipart",
                "read": r"^GET .*alt=media",
                "list": r"^GET .*/o\?",
            },
            busy=_error(503, "backendError"),
            throttled=_error(429, "rateLimitExceeded"),
            full=_error(403, "quotaExceeded"),
            expired=_error(401, "authError"),
            skewed=None,
        )
