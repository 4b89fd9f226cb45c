"""Restoring: what comes back, what is refused before anything is touched, and what is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backupkit import (
    BackupNotFoundError,
    BackupPipeline,
    ConfigurationError,
    Directory,
    DirectoryTarget,
    Entry,
    Problem,
    RestoreError,
)
from backupkit.events import BytesRead, Event, Expected
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import File, Folder, Hardlink, Node, Symlink, same_tree, tree
from tests.pipeline.shop import KiB, Make, Scripted, messages, names, small_disk

TREE: Mapping[str, Node] = {
    "config.ini": "[shop]\n",
    "uploads": Folder(
        {
            "a.jpg": b"\xff\xd8a",
            "b.jpg": b"\xff\xd8b",
            "notes.txt": "notes",
            "deep": Folder({"c.jpg": b"\xff\xd8c"}, mode=0o700, modified_ns=1_400_000_000_000_000_001),
        },
        mode=0o750,
        modified_ns=1_500_000_000_000_000_001,
    ),
    "[1] *.txt": "an odd name",
    "1.txt": "which is not the one above",
    "z-link": Symlink("uploads/a.jpg"),
    "z-same": Hardlink("config.ini"),
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(tmp_path / "app", TREE)


@pytest.fixture
def pipeline(make: Make, app: Path, destination: MemoryDestination) -> BackupPipeline:
    pipeline = make(Directory(app), destination)
    pipeline.run()
    return pipeline


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def test_everything_comes_back(pipeline: BackupPipeline, app: Path, to: Path) -> None:
    report = pipeline.restore(to=to)
    assert (report.operation, report.outcome, report.problems) == ("restore", "succeeded", ())
    assert same_tree(app, to / "app") == []


def test_an_older_one_can_be_named(make: Make, destination: MemoryDestination, to: Path) -> None:
    for content in (b"old", b"new"):
        pipeline = make(Scripted("app", {"app/a": content}), destination)
        pipeline.run()
    old = pipeline.list().backups[-1]
    pipeline.restore(old.id, to=to / "by id")
    pipeline.restore(old, to=to / "itself")
    pipeline.restore(to=to / "latest")
    assert [(to / name / "app/a").read_bytes() for name in ("by id", "itself", "latest")] == [
        b"old",
        b"old",
        b"new",
    ]


def test_the_bytes_expected_are_those_that_come(pipeline: BackupPipeline, to: Path) -> None:
    events: list[Event] = []
    pipeline.observers = (events.append,)
    report = pipeline.restore(to=to)
    came = sum(event.count for event in events if isinstance(event, BytesRead))
    (expected,) = [event.size for event in events if isinstance(event, Expected)]
    assert came == report.read == report.written
    assert expected in (came, came + len("[shop]\n")), "at most a second name more, which is only linked"


# What is refused


def test_what_is_there_is_not_replaced_and_then_nothing_is_touched(
    pipeline: BackupPipeline, to: Path
) -> None:
    tree(to, {"app": {"uploads": {"b.jpg": "mine", "mine.jpg": "too"}}})
    before = names(to)
    with pytest.raises(
        RestoreError, match=r"Nothing was restored: 'app/uploads/b.jpg' was not restored"
    ) as caught:
        pipeline.restore(to=to)
    assert names(to) == before
    assert (to / "app/uploads/b.jpg").read_text() == "mine"
    assert caught.value.report is not None
    assert caught.value.report.outcome == "failed"
    assert caught.value.report.problems[0].path == "app/uploads/b.jpg"


def test_many_things_in_the_way_are_counted_and_all_of_them_reported(
    make: Make, destination: MemoryDestination, to: Path
) -> None:
    files = {f"app/{number}": b"new" for number in range(10)}
    pipeline = make(Scripted("app", files), destination)
    pipeline.run()
    tree(to, {"app": {str(number): "mine" for number in range(10)}})
    with pytest.raises(RestoreError, match=r" … and 7 more$") as caught:
        pipeline.restore(to=to)
    assert caught.value.report is not None
    assert {one.path for one in caught.value.report.problems} >= {*files}


def test_overwriting_replaces_files_and_keeps_what_the_backup_does_not_know(
    pipeline: BackupPipeline, app: Path, to: Path
) -> None:
    tree(to, {"app": {"uploads": {"b.jpg": "mine", "mine.jpg": "too"}, "config.ini": Symlink("/etc/passwd")}})
    assert pipeline.restore(to=to, overwrite=True).outcome == "succeeded"
    assert (to / "app/uploads/mine.jpg").read_text() == "too"
    assert same_tree(app, to / "app") == ["'uploads/mine.jpg' is new"]


def test_restoring_twice_needs_to_be_told_the_second_time(
    pipeline: BackupPipeline, app: Path, to: Path
) -> None:
    pipeline.restore(to=to)
    with pytest.raises(RestoreError):
        pipeline.restore(to=to)
    assert pipeline.restore(to=to, overwrite=True).outcome == "succeeded"
    assert same_tree(app, to / "app") == []


def test_a_dry_run_touches_nothing_and_says_what_would_be(pipeline: BackupPipeline, to: Path) -> None:
    report = pipeline.restore(to=to, dry_run=True)
    assert (report.outcome, report.entries, report.read) == ("succeeded", 12, 0)
    assert not to.exists()
    tree(to, {"app": {"config.ini": "mine"}})
    report = pipeline.restore(to=to, dry_run=True)
    assert report.outcome == "failed"
    assert [one.path for one in report.problems] == ["app/config.ini"]
    assert names(to) == ["app/config.ini"]
    assert pipeline.restore(to=to, dry_run=True, overwrite=True).outcome == "succeeded"


def test_a_dry_run_says_how_much_would_be_written(pipeline: BackupPipeline, to: Path) -> None:
    dry = pipeline.restore(to=to, dry_run=True)
    done = pipeline.restore(to=to)
    assert dry.written == done.written > 0
    assert dry.entries == done.entries


def test_a_target_that_is_no_folder_is_refused(pipeline: BackupPipeline, to: Path) -> None:
    to.write_text("a file")
    with pytest.raises(RestoreError, match="is not a folder: restore to another place"):
        pipeline.restore(to=to, overwrite=True)
    assert to.read_text() == "a file"


def test_want_of_space_is_found_before_anything_is_written(make: Make, tmp_path: Path) -> None:
    source = Scripted("app", {"app/a": b"a", "app/large": os.urandom(512 * KiB)})
    pipeline = make(source, MemoryDestination())
    pipeline.run()
    with small_disk(tmp_path / "disk", f"size={256 * KiB}") as disk:
        with pytest.raises(RestoreError, match=r"would be restored to .*, where .* are free: make room"):
            pipeline.restore(to=disk / "restored")
        assert [*disk.iterdir()] == []
        pipeline.restore(to=disk / "restored", exclude=["large"])
        assert names(disk) == ["restored/app/a"]


def test_a_backup_that_is_not_there_makes_no_folder(pipeline: BackupPipeline, to: Path) -> None:
    with pytest.raises(BackupNotFoundError):
        pipeline.restore("1999", to=to)
    assert not to.exists()


# Parts


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.jpg"], [], ["app/uploads/a.jpg", "app/uploads/b.jpg", "app/uploads/deep/c.jpg"]),
        (["app/uploads/deep/"], [], ["app/uploads/deep/c.jpg"]),
        (["/app/config.ini"], [], ["app/config.ini"]),
        (["app/uploads"], ["*.jpg"], ["app/uploads/notes.txt"]),
        (["*.jpg"], ["app/uploads/deep"], ["app/uploads/a.jpg", "app/uploads/b.jpg"]),
        ([], ["uploads", "z-*", "*.txt"], ["app/config.ini"]),
        (["app/[1] *.txt"], [], ["app/[1] *.txt"]),
        (["app/1.txt", "app/config.ini"], [], ["app/1.txt", "app/config.ini"]),
    ],
    ids=repr,
)
def test_patterns_choose_what_comes_back(
    pipeline: BackupPipeline, to: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    report = pipeline.restore(to=to, include=include, exclude=exclude)
    assert report.outcome == "succeeded"
    assert names(to) == sorted(expected)


def test_the_folders_that_lead_to_a_chosen_file_get_their_own_modes_and_times(
    pipeline: BackupPipeline, app: Path, to: Path
) -> None:
    pipeline.restore(to=to, include=["c.jpg"])
    for folder in ("uploads", "uploads/deep"):
        was, now = (app / folder).stat(), (to / "app" / folder).stat()
        assert (now.st_mode, now.st_mtime_ns) == (was.st_mode, was.st_mtime_ns)


def test_only_what_is_chosen_can_be_in_the_way(pipeline: BackupPipeline, to: Path) -> None:
    tree(to, {"app": {"config.ini": "mine"}})
    assert pipeline.restore(to=to, include=["*.jpg"]).outcome == "succeeded"
    assert (to / "app/config.ini").read_text() == "mine"


def test_one_kind_can_be_restored_from_a_backup_of_both(make: Make, to: Path) -> None:
    files = Scripted("app", {"app/a": b"a"})
    databases = Scripted("dumps", {"db-dumps/a": b"dump"}, "databases")
    pipeline = make([files, databases], MemoryDestination())
    pipeline.run()
    assert pipeline.restore(to=to / "databases", only="databases").outcome == "succeeded"
    assert pipeline.restore(to=to / "files", only="files").outcome == "succeeded"
    assert names(to) == ["databases/db-dumps/a", "files/app/a"]


def test_patterns_that_match_nothing_are_an_error(pipeline: BackupPipeline, to: Path) -> None:
    with pytest.raises(RestoreError, match=r"Nothing in the backup .* matches what was asked for"):
        pipeline.restore(to=to, include=["*.png"])
    assert not to.exists()


def test_one_text_in_place_of_patterns_is_refused(pipeline: BackupPipeline, to: Path) -> None:
    with pytest.raises(ConfigurationError, match="is one text"):
        pipeline.restore(to=to, include="*.jpg")


def test_a_second_name_whose_first_is_left_out_comes_back_as_a_file(
    pipeline: BackupPipeline, app: Path, to: Path
) -> None:
    assert pipeline.restore(to=to, include=["z-same"]).outcome == "succeeded"
    assert names(to) == ["app/z-same"]
    assert (to / "app/z-same").read_text() == "[shop]\n"


# Damage


def damage(destination: MemoryDestination, content: bytes) -> None:
    """Change one byte in the middle of this content, which is stored as it is."""
    (name,) = [name for name in destination.objects if name.endswith(".zip")]
    archive = destination.objects[name]
    assert archive.count(content) == 1
    middle = archive.index(content) + len(content) // 2
    destination.objects[name] = archive[:middle] + bytes([archive[middle] ^ 1]) + archive[middle + 1 :]


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_damaged_entry_is_left_out_and_told_and_all_others_come_back(
    make: Make, destination: MemoryDestination, to: Path, size: int
) -> None:
    damaged = os.urandom(size)
    pipeline = make(Scripted("app", {"app/a": b"a", "app/b": damaged, "app/c": b"c"}), destination)
    pipeline.run()
    damage(destination, damaged)
    report = pipeline.restore(to=to)
    assert report.outcome == "incomplete"
    assert [one.path for one in report.problems] == ["app/b"]
    assert "app/b is damaged in the archive" in report.problems[0].message
    assert names(to) == ["app/a", "app/c"]


def test_a_damaged_file_does_not_replace_a_whole_one(
    make: Make, destination: MemoryDestination, to: Path
) -> None:
    damaged = os.urandom(5000)
    pipeline = make(Scripted("app", {"app/b": damaged}), destination)
    pipeline.run()
    damage(destination, damaged)
    tree(to, {"app": {"b": "whole"}})
    assert pipeline.restore(to=to, overwrite=True).outcome == "incomplete"
    assert names(to) == ["app/b"]
    assert (to / "app/b").read_text() == "whole"


# Other targets


@dataclass
class Inventory:
    """A target that keeps a list; it cannot take pictures, and says so in time."""

    taken: list[str] = field(default_factory=list)

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        for entry in entries:
            if entry.path.endswith(".png"):
                yield Problem(message=f"{entry.path} is a picture.", path=entry.path)

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        for entry in entries:
            self.taken.append(f"{entry.path}: {sum(map(len, entry.chunks()))}")
            if entry.path.endswith(".txt"):
                yield Problem(message="texts are dull", severity="warning", path=entry.path)


def test_entries_can_go_to_any_target(make: Make) -> None:
    source = Scripted("app", {"app/a.txt": b"text", "app/b": b"other", "app/c.png": b"png"})
    pipeline = make(source, MemoryDestination())
    pipeline.run()
    inventory = Inventory()
    with pytest.raises(RestoreError, match=r"Nothing was restored: app/c\.png is a picture"):
        pipeline.restore(to=inventory)
    assert inventory.taken == []
    report = pipeline.restore(to=inventory, exclude=["*.png"])
    assert (report.outcome, messages(report.problems)) == ("succeeded", ["texts are dull"])
    assert inventory.taken == ["app/a.txt: 4", "app/b: 5"]
    assert (report.entries, report.read) == (2, 9)


def test_a_folder_with_settings_of_its_own_is_a_target(make: Make, tmp_path: Path, to: Path) -> None:
    app = tree(tmp_path / "tools", {"run": File("#!", mode=0o4755)})
    pipeline = make(Directory(app), MemoryDestination())
    pipeline.run()
    report = pipeline.restore(to=to)
    assert report.outcome == "succeeded"
    assert "it can grant rights" in messages(report.problems, "warning")[0]
    assert (to / "tools/run").stat().st_mode & 0o7777 == 0o755
    pipeline.restore(to=DirectoryTarget(to, overwrite=True, setuid=True))
    assert (to / "tools/run").stat().st_mode & 0o7777 in (0o4755, 0o755)
