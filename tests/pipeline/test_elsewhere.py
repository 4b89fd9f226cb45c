"""What is told of destinations that do not answer, and of backups that are not good."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import (
    BackupAlreadyRunningError,
    BackupNotFoundError,
    Directory,
    IntegrityError,
    OperationCancelledError,
    SourceError,
    open_repository,
)
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Clock, Make, MiB, Script, Scripted, content, messages, stored

FILES = {"uploads/a": b"a"}


def test_verifying_tells_of_a_destination_that_does_not_answer(make: Make, tmp_path: Path) -> None:
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    pipeline = make(Scripted("uploads", FILES), [one, two])
    pipeline.run()
    two.folder.rename(tmp_path / "away")
    report = pipeline.verify()
    assert report.outcome == "incomplete"
    assert sorted((result.location, result.outcome) for result in report.destinations) == [
        (one.location, "succeeded"),
        (two.location, "failed"),
    ]


def test_restoring_tells_that_a_newer_backup_may_be_where_nobody_answers(make: Make, tmp_path: Path) -> None:
    clock = Clock()
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    pipeline = make(Scripted("uploads", FILES), [one, two], clock=clock)
    pipeline.run()
    clock.forward(hours=1)
    pipeline.run(to=two.location)
    two.folder.rename(tmp_path / "away")
    report = pipeline.restore(to=tmp_path / "restored")
    assert report.outcome == "succeeded"
    assert "A newer backup may be at a destination that did not answer" in messages(report.problems)[0]


def test_restoring_what_is_incomplete_says_so(make: Make, tmp_path: Path) -> None:
    memory = MemoryDestination()
    pipeline = make(Scripted("uploads", FILES | {"uploads/b": [[OSError(5, "input/output error")]]}), memory)
    report = pipeline.run()
    assert report.outcome == "incomplete"
    (backup,) = pipeline.list().backups
    restored = pipeline.restore(backup.id, to=tmp_path / "restored")
    assert messages(restored.problems) == [
        f"The backup {backup.id} is incomplete: something may be missing from it."
    ]


def test_the_latest_of_several_pipelines_is_not_guessed(make: Make, tmp_path: Path) -> None:
    place = stored(tmp_path / "place")
    for name in ("blog", "shop"):
        make(Scripted("uploads", FILES), place, name=name).run()
    with pytest.raises(BackupNotFoundError, match=r"several names .*\(blog, shop\)"):
        open_repository(place).get()
    assert open_repository(place, name="shop").get().name == "shop"
    assert open_repository(place.folder / "blog").get().name == "blog"


def test_no_id_at_all_means_no_backup(make: Make) -> None:
    pipeline = make(Scripted("uploads", FILES), MemoryDestination())
    pipeline.run()
    with pytest.raises(BackupNotFoundError):
        pipeline.get("")


def test_the_last_bytes_of_an_opened_entry_are_given_out_only_when_all_is_authenticated(make: Make) -> None:
    noise = os.urandom(3 * MiB)
    memory = MemoryDestination()
    pipeline = make(Scripted("uploads", {"uploads/a": noise}), memory)
    pipeline.run()
    (name,) = (name for name in memory.objects if name.endswith(".zip"))
    archive = bytearray(memory.objects[name])
    archive[len(noise) // 2] ^= 1
    memory.objects[name] = bytes(archive)
    with pipeline.open("latest", "uploads/a") as file, pytest.raises(IntegrityError):
        file.read(len(noise))


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs Linux's /proc")
def test_a_file_that_says_it_is_empty_and_is_not_is_an_error(make: Make) -> None:
    source = Directory("/proc/version", name="kernel")
    with pytest.raises(SourceError, match="says that it is empty and is not"):
        make(source, MemoryDestination()).run()


def test_cancelling_is_heard_while_another_run_holds_the_lock(make: Make) -> None:
    cancel = threading.Event()

    class Busy:
        @contextmanager
        def hold(self, name: str, *, wait: timedelta) -> Iterator[None]:
            cancel.set()
            raise BackupAlreadyRunningError("another run is under way")
            yield

    pipeline = make(Scripted("uploads", FILES), MemoryDestination(), lock=Busy())
    with pytest.raises(OperationCancelledError):
        pipeline.run(wait=timedelta(hours=1), cancel=cancel)


def test_cancelling_while_a_program_is_silent_leaves_no_backup(make: Make) -> None:
    cancel, memory = threading.Event(), MemoryDestination()
    source = Scripted("uploads", {"uploads/a": b"a", "uploads/late": cancel.set})
    with pytest.raises(OperationCancelledError):
        make(source, memory).run(cancel=cancel)
    assert memory.objects == {}


def test_a_report_counts_what_is_in_the_backup_however_often_it_was_read(make: Make) -> None:
    again = SourceError("again", path="uploads/a", retryable=True)
    lost = SourceError("lost", path="uploads/b")
    files: dict[str, list[Script]] = {
        "uploads/a": [[b"a" * 100, again], [b"a" * 100]],
        "uploads/b": [[b"b" * 50, lost]],
    }
    report = make(Scripted("uploads", files), MemoryDestination()).run()
    assert (report.entries, report.read) == (1, 100)


def test_what_was_known_of_a_backup_that_is_gone_is_forgotten(make: Make) -> None:
    memory = MemoryDestination()
    pipeline = make(Scripted("uploads", FILES), memory)
    pipeline.run()
    pipeline.verify()
    for name in [name for name in memory.objects if name.startswith("shop/")]:
        memory.delete(name)
    assert [name.split("/")[0] for name in memory.objects] == ["backupkit"]
    assert pipeline.clean().outcome == "succeeded"
    assert memory.objects == {}


def test_an_absolute_pattern_means_the_path_however_the_folder_is_written(make: Make, tmp_path: Path) -> None:
    tree(tmp_path / "releases" / "1", {"secret": "s", "kept": "k"})
    (tmp_path / "current").symlink_to("releases/1")
    for folder in (tmp_path / "current", tmp_path / "releases" / ".." / "releases" / "1"):
        for written in (tmp_path / "releases" / "1" / "secret", folder / "secret"):
            memory = MemoryDestination()
            make(Directory(folder, name="app", exclude=[str(written)]), memory).run()
            assert [*content(open_repository(memory))] == ["app/kept"]


def test_a_restore_reports_which_backup_it_used(make: Make, tmp_path: Path) -> None:
    memory = MemoryDestination()
    pipeline = make(Scripted("uploads", FILES), memory)
    made = pipeline.run().destinations[0].backup
    assert made is not None
    (used,) = pipeline.restore(to=tmp_path / "restored").destinations
    assert used.backup is not None
    assert (used.backup.id, used.location) == (made.id, "memory:memory")
