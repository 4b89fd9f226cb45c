"""Destinations on S3, held against real servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import pytest
from s3fs import S3FileSystem

from backupkit.destinations.opening import open_destination
from backupkit.filesystems.s3 import QuietS3FileSystem
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests
from tests.storage import moto
from tests.storage.seaweedfs import SECRET, S3Server

MiB = 1 << 20


@pytest.fixture(scope="module")
def bucket(seaweedfs_server: S3Server) -> str:
    return seaweedfs_server.new_bucket()


@pytest.fixture(scope="module")
def administrator(seaweedfs_server: S3Server) -> S3FileSystem:
    """Connected once: making a client takes longer than most of these tests."""
    return QuietS3FileSystem(**seaweedfs_server.options, use_listings_cache=False, skip_instance_cache=True)


@pytest.fixture
def destination(administrator: S3FileSystem, bucket: str) -> Destination:
    return open_destination(f"{bucket}/{uuid.uuid4().hex}/shop", fs=administrator)


class TestSeaweedFS(DestinationTests):
    @pytest.fixture
    def destination(self, administrator: S3FileSystem, bucket: str) -> Destination:
        return open_destination(f"{bucket}/{uuid.uuid4().hex}/shop", fs=administrator)

    @pytest.fixture
    def secrets(self) -> Sequence[str]:
        return [SECRET]


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    with moto.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def moto_file_system(moto_endpoint: str) -> S3FileSystem:
    return QuietS3FileSystem(
        **moto.options(moto_endpoint), use_listings_cache=False, skip_instance_cache=True
    )


@pytest.fixture(scope="module")
def moto_bucket(moto_endpoint: str) -> str:
    return moto.new_bucket(moto_endpoint)


class TestMoto(DestinationTests):
    @pytest.fixture
    def destination(self, moto_file_system: S3FileSystem, moto_bucket: str) -> Destination:
        return open_destination(f"{moto_bucket}/{uuid.uuid4().hex}", fs=moto_file_system)
