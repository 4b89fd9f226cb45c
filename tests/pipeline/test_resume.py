"""A restore that was interrupted and is resumed: what is read, written and reported."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    Directory,
    DirectoryTarget,
    Entry,
    OperationCancelledError,
    RestoreError,
)
from backupkit.events import BytesRead, EntryStarted, Event, Expected
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import File, Hardlink, Symlink, same_tree, tree
from tests.pipeline.shop import Make, Scripted, names


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(
        tmp_path / "app",
        {
            "a": b"a" * 10,
            "b": File(b"b" * 200, mode=0o640),
            "c": b"c" * 3000,
            "d": Hardlink("b"),
            "e": Symlink("a"),
        },
    )


@pytest.fixture
def pipeline(make: Make, app: Path) -> BackupPipeline:
    pipeline = make(Directory(app), MemoryDestination())
    pipeline.run()
    return pipeline


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def interrupt(pipeline: BackupPipeline, to: Path, at: str) -> None:
    """Restore until this entry's content is about to be read."""
    cancel = threading.Event()

    def observer(event: Event) -> None:
        if isinstance(event, EntryStarted) and event.path == at:
            cancel.set()

    pipeline.observers = (observer,)
    with pytest.raises(OperationCancelledError):
        pipeline.restore(to=to, cancel=cancel)
    pipeline.observers = ()


def test_a_resumed_restore_reads_and_counts_only_what_is_missing(
    pipeline: BackupPipeline, app: Path, to: Path
) -> None:
    interrupt(pipeline, to, "app/c")
    assert names(to) == ["app/a", "app/b"]
    events: list[Event] = []
    pipeline.observers = (events.append,)
    report = pipeline.restore(to=to, resume=True)
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert [event.path for event in events if isinstance(event, EntryStarted)] == ["app/c"]
    assert [event.size for event in events if isinstance(event, Expected)] == [3000]
    assert sum(event.count for event in events if isinstance(event, BytesRead)) == 3000
    assert (report.skipped, report.entries, report.read, report.written) == (2, 4, 3000, 3000)
    assert same_tree(app, to / "app") == []


def test_what_is_only_compared_is_read_but_neither_written_nor_an_entry(make: Make, to: Path) -> None:
    pipeline = make(Scripted("app", {"app/a": b"aa", "app/b": b"b"}), MemoryDestination())
    pipeline.run()
    pipeline.restore(to=to, include=["app/a"])
    report = pipeline.restore(to=to, resume=True)
    assert (report.skipped, report.entries, report.read, report.written) == (1, 1, 3, 1)


def test_a_finished_restore_is_found_finished(pipeline: BackupPipeline, to: Path) -> None:
    pipeline.restore(to=to)
    report = pipeline.restore(to=to, resume=True)
    assert (report.outcome, report.skipped, report.entries, report.written) == ("succeeded", 5, 1, 0)


def test_a_dry_run_says_how_much_is_finished(pipeline: BackupPipeline, to: Path) -> None:
    interrupt(pipeline, to, "app/c")
    before = names(to)
    report = pipeline.restore(to=to, resume=True, dry_run=True)
    assert (report.outcome, report.skipped, report.entries) == ("succeeded", 2, 4)
    assert names(to) == before


def test_what_was_changed_since_is_in_the_way(pipeline: BackupPipeline, to: Path) -> None:
    interrupt(pipeline, to, "app/c")
    (to / "app/a").write_bytes(b"mine")
    with pytest.raises(RestoreError, match="'app/a' was not restored, because it exists already"):
        pipeline.restore(to=to, resume=True)
    assert (to / "app/a").read_bytes() == b"mine"
    report = pipeline.restore(to=to, resume=True, overwrite=True)
    assert (report.outcome, report.skipped) == ("succeeded", 1)


def test_a_target_of_ones_own_is_told_what_is_skipped_as_well(pipeline: BackupPipeline, to: Path) -> None:
    interrupt(pipeline, to, "app/b")
    told: list[Entry] = []
    report = pipeline.restore(to=DirectoryTarget(to, resume=True, skipped=told.append))
    assert [entry.path for entry in told] == ["app/a", "app/a"]  # by the check, and then in earnest
    assert report.skipped == 1


def test_limits_are_found_before_anything_is_written(pipeline: BackupPipeline, to: Path) -> None:
    with pytest.raises(RestoreError, match="Nothing was restored: The restore would go beyond its limit"):
        pipeline.restore(to=to, max_size="3kB")
    with pytest.raises(RestoreError, match=r"6 entries.*are more than 5"):
        pipeline.restore(to=to, max_entries=5)
    assert not to.exists()
    assert pipeline.restore(to=to, max_size=3210, max_entries=6).outcome == "succeeded"


def test_set_id_bits_can_be_asked_for(make: Make, tmp_path: Path, to: Path) -> None:
    app = tree(tmp_path / "tools", {"run": File("#!", mode=0o4755)})
    pipeline = make(Directory(app), MemoryDestination())
    pipeline.run()
    assert pipeline.restore(to=to, setuid=True).problems == ()
    assert (to / "tools/run").stat().st_mode & 0o7777 == 0o4755


def test_zeros_can_be_left_out(make: Make, tmp_path: Path, to: Path) -> None:
    pipeline = make(Directory(tree(tmp_path / "disks", {"disk": bytes(1 << 20)})), MemoryDestination())
    pipeline.run()
    assert pipeline.restore(to=to, sparse=True).problems == ()
    assert (to / "disks/disk").stat().st_size == 1 << 20
    assert (to / "disks/disk").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    "options",
    [
        {"overwrite": True},
        {"setuid": True},
        {"resume": True},
        {"sparse": True},
        {"max_size": 0},
        {"max_entries": 0},
    ],
)
def test_options_that_a_target_of_ones_own_would_not_heed_are_refused(
    pipeline: BackupPipeline, to: Path, options: dict[str, bool | int]
) -> None:
    with pytest.raises(ConfigurationError, match="give them to the target"):
        pipeline.restore(to=DirectoryTarget(to), **options)  # type: ignore[arg-type]
