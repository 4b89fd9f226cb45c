"""A real store beside a folder: slow, dead, and silent at the very end."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import KeepLast, Retry, open_destination, open_repository
from backupkit.protocols import Destination
from tests.fault_proxy import FaultProxy, Rule, fault_proxy
from tests.pipeline.shop import Make, MiB, Scripted, content, messages, stored
from tests.storage.s3 import S3Server

FOR_EVER = 1_000_000
FILES = {"uploads/a": b"a" * 10, "uploads/large": os.urandom(11 * MiB)}
IMPATIENT: dict[str, Any] = {"part_size": 5 * MiB, "time_limit": 1, "slowest": 1 << 40, "patience": 1.5}


@pytest.fixture
def source() -> Scripted:
    return Scripted("uploads", FILES)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def url(proxy: FaultProxy, bucket: str) -> str:
    proxy.forget()
    return f"s3://{bucket}/{uuid.uuid4().hex}"


def through(proxy: FaultProxy, server: S3Server, url: str, **options: Any) -> Destination:
    return open_destination(url, **{**server.options_by(proxy.port), "part_size": 5 * MiB, **options})


def test_a_slow_store_slows_the_run_and_has_all_of_it(
    make: Make, source: Scripted, tmp_path: Path, proxy: FaultProxy, s3_server: S3Server, url: str
) -> None:
    proxy.bandwidth = 10e6
    slow = through(proxy, s3_server, url)
    report = make(source, [slow, stored(tmp_path / "disk")], compressor="store").run()
    assert [one.outcome for one in report.destinations] == ["succeeded", "succeeded"]
    assert source.reads == [*FILES]
    proxy.bandwidth = 0.0
    assert content(open_repository(slow)) == FILES


def test_a_dead_store_is_dropped_by_its_own_limits_and_the_folder_has_all_of_it(
    make: Make, source: Scripted, tmp_path: Path, proxy: FaultProxy, s3_server: S3Server, url: str
) -> None:
    dead = through(proxy, s3_server, url, **IMPATIENT)
    disk = stored(tmp_path / "disk")
    pipeline = make(
        source, [dead, disk], compressor="store", retry=Retry(tries=1), retention=KeepLast(1), checks=[]
    )
    proxy.rules = [Rule("PUT ", "stall sending", times=FOR_EVER)]
    report = pipeline.run()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert "it did not answer in time" in messages(report.problems)[0]
    assert content(open_repository(disk)) == FILES
    proxy.rules = [Rule("", "reset", times=FOR_EVER)]
    assert [one.outcome for one in pipeline.monitor().destinations] == ["failed", "succeeded"]
    assert [one.outcome for one in pipeline.clean().destinations] == ["failed", "succeeded"]
    proxy.rules = []
    assert [one.outcome for one in pipeline.run(to=dead.location).destinations] == ["succeeded"]
    assert content(open_repository(dead)) == FILES


def test_a_store_that_falls_silent_at_the_end_is_unknown_and_shows_later_what_it_has(
    make: Make, source: Scripted, tmp_path: Path, proxy: FaultProxy, s3_server: S3Server, url: str
) -> None:
    """It has done what it was asked, and neither that answer nor any other arrives."""
    silent = through(proxy, s3_server, url, **IMPATIENT)
    committed = Rule(r"POST \S+uploadId=", "lose answer")

    class After(Rule):
        def befalls(self, line: str) -> bool:
            return committed.times == 0

    proxy.rules = [committed, After("", "reset")]
    pipeline = make(
        source, [silent, stored(tmp_path / "disk")], compressor="store", retry=Retry(tries=2, wait=0)
    )
    report = pipeline.run()
    assert [one.outcome for one in report.destinations] == ["unknown", "succeeded"]
    assert messages(report.problems)[0].startswith(f"Whether {silent.location} has kept the object")
    proxy.rules = []
    (late,) = open_repository(silent).list().backups
    assert (late.complete, late.good) == (None, False)
    assert open_repository(silent).verify(late).outcome == "succeeded"
    assert content(open_repository(silent)) == FILES


def test_the_runs_own_limit_ends_it_sooner_and_the_copy_finds_what_is_there(
    make: Make, source: Scripted, tmp_path: Path, proxy: FaultProxy, s3_server: S3Server, url: str
) -> None:
    patient = through(proxy, s3_server, url, time_limit=20, patience=1)
    proxy.rules = [Rule(r"POST \S+uploadId=", "stall answer")]
    disk = stored(tmp_path / "disk")
    report = make(
        source,
        [patient, disk],
        compressor="store",
        retry=Retry(tries=2, wait=0),
        stall_limit=timedelta(seconds=2),
    ).run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert source.reads == [*FILES]
    assert content(open_repository(patient)) == FILES
