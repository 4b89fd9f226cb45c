"""A destination's disk becomes full at every stage of a run: a clear error, and older backups unharmed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import Backup, BackupPipeline, DestinationError
from tests.pipeline.shop import KiB, Make, MiB, Scripted, content, kinds, names, small_disk, stored

PAGE = os.sysconf("SC_PAGE_SIZE")
FILES = {"app/a": b"a", "app/noise": os.urandom(800 * KiB), "app/z": b"z"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", f"size={2 * MiB},nr_inodes=100") as place:
        yield place


@pytest.fixture
def backups(disk: Path) -> Path:
    return stored(disk / "backups").folder


@pytest.fixture
def source() -> Scripted:
    return Scripted("app", FILES)


@pytest.fixture
def older(make: Make, backups: Path) -> Backup:
    """A small backup from before there was so much."""
    pipeline = make(Scripted("app", {"app/a": b"an older a"}), backups)
    pipeline.run()
    return pipeline.get()


def leave_pages(disk: Path, count: int) -> None:
    """Fill the disk until so many pages are free."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bfree
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (free - count) * PAGE)
    assert os.statvfs(disk).f_bfree == count


def leave_inodes(disk: Path, count: int) -> None:
    for number in range(os.statvfs(disk).f_ffree - count):
        (disk / f"inode-{number}").touch()
    assert os.statvfs(disk).f_ffree == count


def assert_unharmed(pipeline: BackupPipeline, older: Backup) -> None:
    assert pipeline.get() == older
    assert content(pipeline) == {"app/a": b"an older a"}
    assert pipeline.verify(older).outcome == "succeeded"


@pytest.mark.parametrize("free", [0, PAGE, 100 * KiB, 700 * KiB])
def test_a_disk_that_becomes_full_fails_the_run_and_leaves_nothing(
    make: Make, source: Scripted, disk: Path, backups: Path, older: Backup, free: int
) -> None:
    pipeline = make(source, backups)
    before = names(backups)
    leave_pages(disk, free // PAGE)
    with pytest.raises(DestinationError, match="the disk is full: free some space on it") as caught:
        pipeline.run()
    assert caught.value.report is not None
    assert caught.value.report.outcome == "failed"
    assert names(backups) == before
    assert source.walks == 1, "trying again at once would not help"

    (disk / "filler").unlink()
    assert_unharmed(pipeline, older)
    assert pipeline.run().outcome == "succeeded"
    assert content(pipeline) == FILES


def test_at_no_number_of_free_pages_does_a_run_pass_for_more_than_it_is(
    make: Make, disk: Path, backups: Path, older: Backup, tmp_path: Path
) -> None:
    elsewhere = stored(tmp_path / "elsewhere").folder
    make(Scripted("app", FILES), elsewhere).run()
    (archive,) = elsewhere.rglob("*.zip")
    needed = -(-archive.stat().st_size // PAGE)
    ends: list[str] = []
    for free in range(needed - 2, needed + 3):
        pipeline = make(Scripted("app", FILES), backups)
        leave_pages(disk, free)
        before = names(backups)
        try:
            ends.append(pipeline.run().outcome)
        except DestinationError:
            new = sorted({*names(backups)} - {*before})
            assert [Path(name).suffix for name in new] in ([], [".zip"])
            ends.append("failed, and unconfirmed" if new else "failed")
        (disk / "filler").unlink()
        latest = pipeline.get()
        if ends[-1] == "succeeded":
            assert content(pipeline) == FILES
        else:
            assert latest == older
            listed = [one.complete for one in pipeline.list().backups if one.id != older.id]
            assert listed == ([None] if "unconfirmed" in ends[-1] else [])
        for one in pipeline.list().backups:
            if one.id != older.id:
                for path in backups.glob(f"shop/{one.id}*"):
                    path.unlink()
    assert ends == sorted(ends), "fewer pages never lead further"
    assert set(ends) == {"failed", "failed, and unconfirmed", "succeeded"}
    assert_unharmed(make(Scripted("app", FILES), backups), older)


@pytest.mark.parametrize("free", [0, 1])
def test_a_disk_without_room_for_names_fails_the_run_and_leaves_nothing(
    make: Make, source: Scripted, disk: Path, backups: Path, older: Backup, free: int
) -> None:
    pipeline = make(source, backups)
    before = names(backups)
    leave_inodes(disk, free)
    with pytest.raises(DestinationError, match="the disk is full"):
        pipeline.run()
    assert names(backups) == before
    for path in disk.glob("inode-*"):
        path.unlink()
    assert_unharmed(pipeline, older)
    assert pipeline.run().outcome == "succeeded"


def test_a_full_disk_is_one_destinations_trouble(
    make: Make, source: Scripted, disk: Path, backups: Path, tmp_path: Path
) -> None:
    other = stored(tmp_path / "other")
    leave_pages(disk, 10)
    report = make(source, [backups, other]).run()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert names(backups) == []
    assert kinds(other.folder) == ["complete.json", "zip"]
    assert source.walks == 1


def test_cleaning_works_on_a_full_disk(make: Make, source: Scripted, disk: Path, backups: Path) -> None:
    from backupkit import KeepLast

    pipeline = make(source, backups, retention=KeepLast(1))
    for _ in range(2):
        pipeline.run()
    leave_pages(disk, 0)
    report = pipeline.clean()
    assert report.outcome == "succeeded"
    assert kinds(backups) == ["complete.json", "zip"]
