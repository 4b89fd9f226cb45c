"""What comes of faults between a destination and S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.s3 import QuietS3FileSystem
from tests.destinations.faults import USUALLY, Behind, FaultTests, impatience
from tests.fault_proxy import Answer, FaultProxy, fault_proxy
from tests.storage.s3 import S3Server

MiB = 1 << 20


def _answer(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>wrong</Message></Error>"
    return Answer(status, body.encode(), (("Content-Type", "application/xml"),))


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def through(proxy: FaultProxy, s3_server: S3Server) -> S3FileSystem:
    return QuietS3FileSystem(**s3_server.options_by(proxy.port), skip_instance_cache=True)


@pytest.fixture(scope="module")
def direct(s3_server: S3Server) -> S3FileSystem:
    return QuietS3FileSystem(**s3_server.options, skip_instance_cache=True)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


class TestFaultsOfS3(FaultTests):
    outcomes = USUALLY

    @pytest.fixture
    def behind(
        self,
        request: pytest.FixtureRequest,
        proxy: FaultProxy,
        through: S3FileSystem,
        direct: S3FileSystem,
        bucket: str,
    ) -> Behind:
        proxy.forget()
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
