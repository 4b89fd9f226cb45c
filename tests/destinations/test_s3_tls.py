"""S3 over TLS, as it is used: there the client signs other things, and older Ceph refuses checksums at the end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.s3 import QuietS3FileSystem
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage.s3 import S3Server

MiB = 1 << 20


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture(scope="module")
def secure(s3_server: S3Server) -> S3FileSystem:
    return QuietS3FileSystem(
        **{**s3_server.options, "endpoint_url": s3_server.secure_endpoint},
        client_kwargs={"verify": str(s3_server.certificate.certificate)},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


class TestS3OverTLS(DestinationTests):
    @pytest.fixture
    def destination(self, secure: S3FileSystem, bucket: str) -> Destination:
        return open_destination(f"{bucket}/{uuid.uuid4().hex}/shop", fs=secure)


def test_an_object_of_several_parts_is_read_back(secure: S3FileSystem, bucket: str) -> None:
    destination = open_destination(f"{bucket}/parts", fs=secure, part_size=5 * MiB)
    destination.write("object", [b"old"])
    content = os.urandom(11 * MiB)
    destination.write("object", _in_chunks(content), overwrite=True)
    assert b"".join(destination.read("object")) == content
    assert b"".join(destination.read("object", start=5 * MiB - 3, length=7)) == content[5 * MiB - 3 :][:7]


def _in_chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), MiB):
        yield content[start : start + MiB]
