"""Processes that write to S3 and are killed, end, fork or are interrupted; and how much memory they take."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from backupkit import BackupPipeline, Directory
from backupkit.destinations.opening import open_destination
from backupkit.protocols import Destination, HasLeftovers
from tests.fault_proxy import FaultProxy, Rule, fault_proxy
from tests.storage.s3 import S3Server

MiB = 1 << 20

BEGINNING = """
import json, os, signal, sys, threading, time
from backupkit.destinations.opening import open_destination
url, options = json.loads(sys.argv[1])
destination = open_destination(url, **options)
def chunks(count):
    for number in range(count):
        yield bytes([number % 251]) * (1 << 20)
def said(text):
    print(text, flush=True)
"""


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def url(bucket: str) -> str:
    return f"s3://{bucket}/{uuid.uuid4().hex}"


@pytest.fixture
def destination(s3_server: S3Server, url: str) -> Destination:
    return open_destination(url, **s3_server.options)


@pytest.fixture
def stalled(s3_server: S3Server) -> Iterator[FaultProxy]:
    """A proxy that takes the first part of an upload, and then nothing of any."""
    with fault_proxy(s3_server.port) as proxy:
        proxy.rules = [Rule(r"PUT \S+partNumber=", "stall sending", times=1000, skip=1)]
        yield proxy


def _child(program: str, url: str, options: dict[str, object]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGINNING + program, json.dumps([url, options])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdout is not None
    found = child.stdout.readline().strip()
    assert found == line, child.communicate()[1]


def test_a_process_killed_while_it_uploads_leaves_a_leftover_that_cleaning_sweeps(
    s3_server: S3Server, url: str, destination: Destination
) -> None:
    program = """
def slowly():
    yield from chunks(11)
    said("under way")
    time.sleep(3600)
destination.write("shop/backup.zip", slowly())
"""
    child = _child(program, url, {**s3_server.options, "part_size": 5 * MiB})
    _until(child, "under way")
    child.kill()
    child.communicate()
    assert [*destination.list()] == []
    assert isinstance(destination, HasLeftovers)
    (leftover,) = destination.leftovers("shop/")
    assert leftover.name.startswith("shop/backup.zip#")
    assert 0 <= leftover.size <= 10 * MiB
    assert datetime.now(UTC) - leftover.modified < timedelta(minutes=5)
    assert [*destination.leftovers("other/")] == []
    _pipeline(destination, leftovers_after=timedelta(hours=24)).clean()
    assert [one.name for one in destination.leftovers()] == [leftover.name]
    _pipeline(destination, leftovers_after=timedelta(0)).clean()
    assert [*destination.leftovers()] == []
    destination.discard(leftover)  # gone already, which is no error
    assert destination.write("shop/backup.zip", [b"next try"]).size == 8


def _pipeline(destination: Destination, *, leftovers_after: timedelta) -> BackupPipeline:
    return BackupPipeline(
        "shop", [Directory("/etc")], destination, encryptor=None, leftovers_after=leftovers_after
    )


def test_cleaning_leaves_uploads_of_others_alone(
    s3_server: S3Server, bucket: str, url: str, destination: Destination
) -> None:
    folder = url.removeprefix(f"s3://{bucket}/")
    keys = ["other", f"{folder}", f"{folder}-other/shop/x", f"{folder}/shop-other/x"]
    ids = {key: s3_server.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys}
    _pipeline(destination, leftovers_after=timedelta(0)).clean()
    found = s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
    assert {one["Key"]: one["UploadId"] for one in found}.items() >= ids.items()
    for key, upload in ids.items():
        s3_server.client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)


def test_a_child_that_was_forked_uses_what_its_parent_has_used(
    s3_server: S3Server, url: str, destination: Destination
) -> None:
    program = """
destination.write("parent", chunks(6))
pid = os.fork()
if not pid:
    destination.write("child", chunks(6))
    os._exit(0 if sum(map(len, destination.read("parent"))) == 6 << 20 else 1)
assert os.waitpid(pid, 0)[1] == 0
destination.write("parent-again", chunks(6))
"""
    child = _child(program, url, {**s3_server.options, "part_size": 5 * MiB})
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == 0, errors
    assert [one.name for one in destination.list()] == ["child", "parent", "parent-again"]


def test_a_process_that_ends_while_a_thread_writes_ends_at_once(
    stalled: FaultProxy, s3_server: S3Server, url: str, destination: Destination
) -> None:
    program = """
def last():
    yield from chunks(11)
    said("under way")
    yield from chunks(100)
threading.Thread(target=lambda: destination.write("object", last()), daemon=True).start()
sys.stdin.readline()
"""
    options = {**s3_server.options, "endpoint_url": f"http://127.0.0.1:{stalled.port}"}
    child = subprocess.Popen(
        [sys.executable, "-c", BEGINNING + program, json.dumps([url, {**options, "part_size": 5 * MiB}])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(child, "under way")
    begun = time.monotonic()
    errors = child.communicate("end\n", timeout=60)[1]
    assert time.monotonic() - begun < 30
    assert child.returncode == 0, errors
    assert [*destination.list()] == []


def test_ctrl_c_ends_an_upload_that_stalls_at_once(
    stalled: FaultProxy, s3_server: S3Server, url: str, destination: Destination
) -> None:
    program = """
def last():
    yield from chunks(11)
    said("under way")
    yield from chunks(100)
try:
    destination.write("object", last())
except KeyboardInterrupt:
    said("interrupted")
"""
    options = {**s3_server.options, "endpoint_url": f"http://127.0.0.1:{stalled.port}"}
    child = _child(program, url, {**options, "part_size": 5 * MiB})
    _until(child, "under way")
    stalled.rules.append(Rule("DELETE ", "stall answer", times=1000))  # that it gives up is not heard either
    while stalled.requests(r"PUT \S+partNumber=") < 4:  # all are under way, and the writer waits for one
        time.sleep(0.01)
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    _until(child, "interrupted")
    errors = child.communicate(timeout=60)[1]
    assert time.monotonic() - begun < 30
    assert child.returncode == 0, errors
    assert [*destination.list()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_objects_are_sent_and_read_in_little_memory(s3_server: S3Server, url: str) -> None:
    program = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
destination.write("small", chunks(1))
before = peak()
destination.write("large", chunks(160))
assert sum(map(len, destination.read("large"))) == 160 << 20
said(peak() - before)
"""
    child = _child(program, url, s3_server.options)
    output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    assert int(output) < 150 * MiB
