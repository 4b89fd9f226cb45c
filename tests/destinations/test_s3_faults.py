"""What comes of faults between a destination and S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.s3 import QuietS3FileSystem
from tests.destinations.faults import FAULTS, Behind, FaultTests, impatience
from tests.fault_proxy import Answer, FaultProxy, fault_proxy
from tests.storage.s3 import S3Server

MiB = 1 << 20


def _answer(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>wrong</Message></Error>"
    return Answer(status, body.encode(), (("Content-Type", "application/xml"),))


@pytest.fixture(scope="module")
def shared_proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(shared_proxy: FaultProxy, s3_server: S3Server) -> S3FileSystem:
    endpoint = f"http://127.0.0.1:{shared_proxy.port}"
    return QuietS3FileSystem(**{**s3_server.options, "endpoint_url": endpoint}, skip_instance_cache=True)


@pytest.fixture(scope="module")
def direct(s3_server: S3Server) -> S3FileSystem:
    return QuietS3FileSystem(**s3_server.options, skip_instance_cache=True)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The one there is, which forgets what was: a client for each would take longer than the tests."""
    shared_proxy.seen.clear()
    yield shared_proxy
    shared_proxy.rules, shared_proxy.bandwidth, shared_proxy.latency = [], 0.0, 0.0


class TestFaultsOfS3(FaultTests):
    outcomes = {  # noqa: RUF012 - declared by the class above
        **dict.fromkeys(FAULTS, "stored"),
        "a part: overloaded for ever": "DestinationError (retryable)",
        "a part: sending stalls for ever": "DestinationError (retryable)",
        "a part: no answer for ever": "DestinationError (retryable)",
        "a part: the store is full": "DestinationError",
        "a part: credentials expired": "AccessDeniedError",
        "wrong clock": "DestinationError",
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
        through: S3FileSystem,
        direct: S3FileSystem,
        bucket: str,
    ) -> Behind:
        place = f"{bucket}/{uuid.uuid4().hex}"
        return Behind(
            proxy=proxy,
            through=open_destination(place, fs=through, part_size=5 * MiB, **impatience(request)),
            direct=open_destination(place, fs=direct),
            part=5 * MiB,
            requests={
                "part": r"PUT \S+partNumber=",
                "commit": r"POST \S+uploadId=",
                "small": r"PUT [^?]+$",
                "read": r"GET [^?]+/shop/\w+$",
                "list": r"GET \S+list-type=2",
            },
            busy=_answer(503, "SlowDown"),
            throttled=_answer(429, "TooManyRequests"),
            full=_answer(403, "QuotaExceeded"),
            expired=_answer(400, "ExpiredToken"),
            skewed=_answer(403, "RequestTimeTooSkewed"),
        )
