"""One run of a pipeline at a time on a machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupAlreadyRunningError, BackupPipeline, MachineLock, Report
from backupkit.protocols import Lease
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Make, Scripted, names, stored

SHORT, LONG = timedelta(milliseconds=200), timedelta(minutes=2)


@dataclass
class Blocked:
    """A run that is in the middle of its source until it is let go."""

    pipeline: BackupPipeline
    go: threading.Event
    thread: threading.Thread
    reports: list[Report]

    def end(self) -> Report:
        self.go.set()
        self.thread.join()
        return self.reports[0]


@pytest.fixture
def blocked(make: Make, tmp_path: Path) -> Iterator[Blocked]:
    reading, go = threading.Event(), threading.Event()
    source = Scripted("app", {"app/a": [[b"a", reading.set, go.wait, b"b"]]})
    pipeline = make(source, stored(tmp_path / "backups"))
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(pipeline.run()))
    thread.start()
    assert reading.wait(60)
    blocked = Blocked(pipeline, go, thread, reports)
    yield blocked
    blocked.end()


def another(make: Make, tmp_path: Path, **options: object) -> BackupPipeline:
    """The same pipeline as another process of the application would have it."""
    return make(Scripted("app", {"app/a": b"a"}), stored(tmp_path / "backups"), **options)


def test_a_second_run_in_another_thread_is_refused_and_the_first_goes_on(
    make: Make, tmp_path: Path, blocked: Blocked
) -> None:
    second = another(make, tmp_path)
    with pytest.raises(BackupAlreadyRunningError) as caught:
        second.run()
    assert caught.value.report is not None
    assert caught.value.report.outcome == "failed"
    assert second.list().backups == ()
    assert blocked.end().outcome == "succeeded"
    assert second.run().outcome == "succeeded"
    assert len(second.list().backups) == 2


def test_one_pipeline_object_refuses_a_second_run_of_itself(blocked: Blocked) -> None:
    with pytest.raises(BackupAlreadyRunningError):
        blocked.pipeline.run()
    assert blocked.end().outcome == "succeeded"


def test_a_second_run_waits_no_longer_than_it_was_told(make: Make, tmp_path: Path, blocked: Blocked) -> None:
    with pytest.raises(BackupAlreadyRunningError):
        another(make, tmp_path).run(wait=SHORT)


def test_a_second_run_that_waits_goes_on_when_the_first_has_ended(
    make: Make, tmp_path: Path, blocked: Blocked
) -> None:
    asked = threading.Event()

    @dataclass
    class Told:
        inner: MachineLock

        def hold(self, name: str, *, wait: timedelta) -> AbstractContextManager[Lease]:
            asked.set()
            return self.inner.hold(name, wait=wait)

    second = another(make, tmp_path, lock=Told(MachineLock(tmp_path / "locks")))
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(second.run(wait=LONG)))
    thread.start()
    assert asked.wait(60)
    thread.join(0.3)
    assert reports == []
    assert blocked.end().outcome == "succeeded"
    thread.join()
    assert [report.outcome for report in reports] == ["succeeded"]
    assert len(second.list().backups) == 2


PROGRAM = """
import sys
from backupkit import *
folder, locks = sys.argv[1:]
class Waits:
    name, contents = "app", "files"
    def entries(self):
        print("reading", flush=True)
        sys.stdin.read()
        yield Entry(path="app", kind="directory")
BackupPipeline("shop", Waits(), folder, encryptor=None, lock=MachineLock(locks)).run()
"""


def test_a_second_run_in_another_process_is_refused_and_the_first_goes_on(make: Make, tmp_path: Path) -> None:
    second = another(make, tmp_path)
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "backups"), str(tmp_path / "locks")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"reading\n"
        with pytest.raises(BackupAlreadyRunningError):
            second.run()
        first.communicate()
        assert first.returncode == 0
    assert second.run().outcome == "succeeded"
    assert len(second.list().backups) == 2


def test_pipelines_of_one_name_with_other_destinations_do_not_wait_for_each_other(
    make: Make, tmp_path: Path, blocked: Blocked
) -> None:
    source = Scripted("app", {"app/a": b"a"})
    for destinations in ([MemoryDestination()], [stored(tmp_path / "backups"), MemoryDestination()]):
        assert make(source, destinations).run().outcome == "succeeded"


def test_pipelines_of_other_names_do_not_wait_for_each_other(
    make: Make, tmp_path: Path, blocked: Blocked
) -> None:
    assert another(make, tmp_path, name="blog").run().outcome == "succeeded"


def test_a_run_to_one_of_the_destinations_is_a_run_of_the_pipeline(make: Make, tmp_path: Path) -> None:
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    second = make(Scripted("app", {"app/a": b"a"}), [two, one])
    refused: list[Exception] = []

    def run_second() -> None:
        try:
            second.run(to=two.location)
        except BackupAlreadyRunningError as error:
            refused.append(error)

    first = make(Scripted("app", {"app/a": [[run_second, b"a"]]}), [one, two])
    assert first.run(to=one.location).outcome == "succeeded"
    assert len(refused) == 1


def test_looking_and_restoring_need_no_lock(make: Make, tmp_path: Path, blocked: Blocked) -> None:
    two = another(make, tmp_path, name="blog")
    two.run()
    for pipeline in (two, blocked.pipeline):
        pipeline.list()
        pipeline.monitor()
        pipeline.clean()
    two.verify()
    two.restore(to=tmp_path / "restored")
    assert names(tmp_path / "restored") == ["app/a"]
    assert blocked.end().outcome == "succeeded"
