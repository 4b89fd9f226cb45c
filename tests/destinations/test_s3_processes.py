"""Processes that write to S3 and are killed, end, fork or are interrupted; and how much memory they take."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backupkit import BackupPipeline, Directory
from backupkit.protocols import Destination, HasLeftovers
from tests.destinations.processes import KILLED, Place, ProcessTests, child_of, memory, until
from tests.fault_proxy import fault_proxy
from tests.storage.s3 import S3Server

MiB = 1 << 20


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def place(s3_server: S3Server, bucket: str) -> Iterator[Place]:
    with fault_proxy(s3_server.port) as proxy:
        yield Place(
            url=f"s3://{bucket}/{uuid.uuid4().hex}",
            options=s3_server.options,
            proxied=s3_server.options_by(proxy.port),
            proxy=proxy,
            part=r"PUT \S+partNumber=",
            part_size=5 * MiB,
            under_way=3,
        )


class TestProcessesOnS3(ProcessTests):
    @pytest.fixture
    def place(self, place: Place) -> Place:
        return place


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_parts_and_pieces_of_the_usual_size_take_little_memory(place: Place) -> None:
    assert memory(place, 160 * MiB, {}) < 150 * MiB


def test_a_process_killed_while_it_uploads_leaves_a_leftover_that_cleaning_sweeps(
    place: Place,
) -> None:
    with child_of(place, KILLED) as child:
        until(child, "under way")
        child.kill()
    destination = place.destination
    assert isinstance(destination, HasLeftovers)
    (leftover,) = destination.leftovers("shop/")
    assert leftover.name.startswith("shop/object#")
    assert 0 <= leftover.size <= 25 * MiB
    assert datetime.now(UTC) - leftover.modified < timedelta(minutes=5)
    assert [*destination.leftovers("other/")] == []
    _pipeline(destination, leftovers_after=timedelta(hours=24)).clean()
    assert [one.name for one in destination.leftovers()] == [leftover.name]
    _pipeline(destination, leftovers_after=timedelta(0)).clean()
    assert [*destination.leftovers()] == []
    destination.discard(leftover)  # gone already, which is no error
    assert destination.write("shop/object", [b"next try"]).size == 8


def _pipeline(destination: Destination, *, leftovers_after: timedelta) -> BackupPipeline:
    return BackupPipeline(
        "shop", [Directory("/etc")], destination, encryptor=None, leftovers_after=leftovers_after
    )


def test_cleaning_leaves_uploads_of_others_alone(s3_server: S3Server, bucket: str, place: Place) -> None:
    folder = place.url.removeprefix(f"s3://{bucket}/")
    keys = ["other", f"{folder}", f"{folder}-other/shop/x", f"{folder}/shop-other/x"]
    ids = {key: s3_server.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys}
    _pipeline(place.destination, leftovers_after=timedelta(0)).clean()
    found = s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
    assert {one["Key"]: one["UploadId"] for one in found}.items() >= ids.items()
    for key, upload in ids.items():
        s3_server.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
