"""What is told of destinations that do not answer, and of backups that are not good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backupkit import BackupNotFoundError, Directory, IntegrityError, SourceError, open_repository
from backupkit.testing.destinations import MemoryDestination
from tests.pipeline.shop import Clock, Make, MiB, Scripted, messages, stored

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
    with pytest.raises(BackupNotFoundError, match=r"Several pipelines .*\(blog, shop\)"):
        open_repository(place).find()
    assert open_repository(place, name="shop").find().name == "shop"
    assert open_repository(place.folder / "blog").find().name == "blog"


def test_no_id_at_all_means_no_backup(make: Make) -> None:
    pipeline = make(Scripted("uploads", FILES), MemoryDestination())
    pipeline.run()
    with pytest.raises(BackupNotFoundError):
        pipeline.find("")


def test_the_last_bytes_of_an_opened_entry_are_given_out_only_when_all_is_authenticated(make: Make) -> None:
    content = os.urandom(3 * MiB)
    memory = MemoryDestination()
    pipeline = make(Scripted("uploads", {"uploads/a": content}), memory)
    pipeline.run()
    (name,) = (name for name in memory.objects if name.endswith(".zip"))
    archive = bytearray(memory.objects[name])
    archive[len(content) // 2] ^= 1
    memory.objects[name] = bytes(archive)
    with pipeline.open("latest", "uploads/a") as file, pytest.raises(IntegrityError):
        file.read(len(content))


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs Linux's /proc")
def test_a_file_that_says_it_is_empty_and_is_not_is_an_error(make: Make) -> None:
    source = Directory("/proc/version", name="kernel")
    with pytest.raises(SourceError, match="says that it is empty and is not"):
        make(source, MemoryDestination()).run()
