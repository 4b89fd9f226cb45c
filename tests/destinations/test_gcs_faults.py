"""What becomes of a backup when things go wrong on the way to Google Cloud Storage."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.gcs import PlainGCSFileSystem
from tests.destinations.faults import FAULTS, Behind, FaultTests, impatience
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
def shared_proxy(sessions: Sessions) -> Iterator[FaultProxy]:
    with fault_proxy(sessions.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(shared_proxy: FaultProxy) -> PlainGCSFileSystem:
    """One for all: connecting anew for each would take longer than the tests."""
    endpoint = f"http://127.0.0.1:{shared_proxy.port}"
    return PlainGCSFileSystem(endpoint_url=endpoint, token="anon", skip_instance_cache=True)


@pytest.fixture(scope="module")
def direct(sessions: Sessions) -> PlainGCSFileSystem:
    return PlainGCSFileSystem(endpoint_url=sessions.endpoint, token="anon", skip_instance_cache=True)


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The one there is, which forgets what was."""
    shared_proxy.seen.clear()
    yield shared_proxy
    shared_proxy.rules, shared_proxy.bandwidth, shared_proxy.latency = [], 0.0, 0.0


def _error(status: int, reason: str) -> Answer:
    return Answer(status, json.dumps({"error": {"code": status, "errors": [{"reason": reason}]}}).encode())


class TestFaultsOfGCS(FaultTests):
    outcomes = {  # noqa: RUF012 - declared by the class above
        **dict.fromkeys(FAULTS.keys() - {"wrong clock"}, "stored"),
        "a part: overloaded for ever": "DestinationError (retryable)",
        "a part: sending stalls for ever": "DestinationError (retryable)",
        "a part: no answer for ever": "DestinationError (retryable)",
        "a part: the store is full": "DestinationError",
        "a part: credentials expired": "AccessDeniedError",
        "the end: no answer for ever": "DestinationError (retryable)",
        "the end: its answer lost, and nothing answers after": "unknown",
        "the end: credentials expired": "AccessDeniedError",
        "a small object: sending stalls for ever": "DestinationError (retryable)",
        "reading: no answer for ever": "DestinationError (retryable)",
    }

    @pytest.fixture
    def behind(
        self,
        request: pytest.FixtureRequest,
        proxy: FaultProxy,
        through: PlainGCSFileSystem,
        direct: PlainGCSFileSystem,
        bucket: str,
    ) -> Behind:
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
