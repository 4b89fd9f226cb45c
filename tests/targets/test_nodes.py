"""Named pipes and device nodes come back, and nothing is ever opened or followed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from backupkit.model import Entry, Owner
from backupkit.sources.files import Directory
from backupkit.targets import DirectoryTarget
from backupkit.targets.nodes import make_node
from backupkit.testing.trees import same_tree, tree
from tests.leftovers import no_file_left_open
from tests.sources.walking import entries, without_privileges
from tests.targets.restoring import NOBODY, WHEN, check, file, hardlink, mode, names, needs_root, write

PIPE = Entry(path="pipe", kind="fifo", mode=0o640, modified_ns=WHEN)
NULL = Entry(path="null", kind="chardev", device=(1, 3), mode=0o666, modified_ns=WHEN)
DISK = Entry(path="disk", kind="blockdev", device=(240, 300), mode=0o660, modified_ns=WHEN)


def can_make_devices(place: Path) -> bool:
    try:
        os.mknod(place / "probe", stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        return False
    os.unlink(place / "probe")
    return True


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tree(tmp_path / "place", {})


@pytest.fixture
def for_devices(place: Path) -> Path:
    if not can_make_devices(place):
        pytest.skip("devices can be made by root only, and not in every container")
    return place


def test_a_pipe_comes_back_with_mode_and_time(place: Path) -> None:
    assert check(place, PIPE) == []
    assert write(place, PIPE) == []
    made = (place / "pipe").lstat()
    assert stat.S_ISFIFO(made.st_mode)
    assert (stat.S_IMODE(made.st_mode), made.st_mtime_ns) == (0o640, WHEN)
    assert names(place) == ["pipe"]


def test_a_pipe_without_a_recorded_mode_is_for_its_owner_only(place: Path) -> None:
    assert write(place, replace(PIPE, mode=None)) == []
    assert mode(place / "pipe") == 0o600


@pytest.mark.parametrize(("entry", "is_kind"), [(NULL, stat.S_ISCHR), (DISK, stat.S_ISBLK)])
def test_a_device_comes_back_with_its_numbers_mode_and_time(
    for_devices: Path, entry: Entry, is_kind: object
) -> None:
    assert write(for_devices, entry) == []
    made = (for_devices / entry.path).lstat()
    assert callable(is_kind)
    assert is_kind(made.st_mode)
    assert (os.major(made.st_rdev), os.minor(made.st_rdev)) == entry.device
    assert (stat.S_IMODE(made.st_mode), made.st_mtime_ns) == (entry.mode, WHEN)
    assert names(for_devices) == [entry.path]


@needs_root
def test_root_gives_them_their_owners(for_devices: Path) -> None:
    owner = Owner(uid=4_000_123, gid=4_000_124)
    assert write(for_devices, replace(PIPE, owner=owner), replace(NULL, owner=owner)) == []
    for name in ("pipe", "null"):
        made = (for_devices / name).lstat()
        assert (made.st_uid, made.st_gid) == (owner.uid, owner.gid)
    assert mode(for_devices / "null") == 0o666


def test_set_id_bits_and_attributes_are_left_off_as_of_files(place: Path) -> None:
    problems = write(place, replace(PIPE, mode=0o4755, xattrs={"security.capability": b"x"}))
    assert mode(place / "pipe") == 0o755
    assert sorted(one.message.split(" of ")[0] for one in problems) == [
        "The extended attribute security.*",
        "The set-id bit",
    ]
    assert {one.severity for one in problems} == {"warning"}


def test_what_a_walk_found_comes_back_as_it_was(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"run": {"a.txt": "a"}})
    os.mkfifo(root / "run" / "pipe", 0o644)
    if can_make_devices(root):
        os.mknod(root / "run" / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert write(tmp_path / "restored", *entries(Directory(root))) == []
    assert same_tree(root, tmp_path / "restored" / "shop") == []


@needs_root
def test_a_device_that_this_user_may_not_make_is_an_error_and_the_rest_comes_back(tmp_path: Path) -> None:
    place = tree(tmp_path / "place", {})
    os.chown(place, NOBODY, NOBODY)
    for above in (tmp_path, *tmp_path.parents[:3]):  # with one more where tests run side by side
        above.chmod(above.stat().st_mode | 0o711)
    with without_privileges():
        assert check(place, file("a"), NULL, PIPE) == []
        (problem,) = write(place, file("a"), NULL, PIPE)
    assert (problem.path, problem.severity) == ("null", "error")
    assert "only root may make" in problem.message
    assert names(place) == ["a", "pipe"]


@pytest.mark.parametrize("device", [None, (1,), (-1, 3), (1 << 40, 3), ("1", "3")])
def test_a_device_without_sane_numbers_is_an_error_of_it_alone(place: Path, device: object) -> None:
    problems = write(place, replace(NULL, device=cast("Any", device)), PIPE)
    assert [one.path for one in problems] == ["null"]
    assert "is the number of no device" in problems[0].message
    assert names(place) == ["pipe"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_in_the_way_is_treated_as_for_files(place: Path, overwrite: bool) -> None:
    tree(place, {"pipe": "precious", "folder": {}})
    problems = write(place, PIPE, replace(PIPE, path="folder"), overwrite=overwrite)
    assert [one.path for one in problems] == (["folder"] if overwrite else ["pipe", "folder"])
    assert stat.S_ISFIFO((place / "pipe").lstat().st_mode) == overwrite
    assert (place / "folder").is_dir()


def test_a_file_replaces_a_pipe_without_opening_it(place: Path) -> None:
    os.mkfifo(place / "a")
    assert [one.path for one in write(place, file("a"))] == ["a"]
    assert write(place, file("a"), overwrite=True) == []
    assert (place / "a").read_bytes() == b"content"


def test_a_link_at_its_place_is_replaced_and_what_it_points_to_is_not(tmp_path: Path, place: Path) -> None:
    tree(tmp_path, {"outside": {"a": "a"}})
    (place / "pipe").symlink_to(tmp_path / "outside" / "a")
    assert write(place, PIPE, overwrite=True) == []
    assert stat.S_ISFIFO((place / "pipe").lstat().st_mode)
    assert (tmp_path / "outside" / "a").read_bytes() == b"a"


@pytest.mark.parametrize("kind", ["link", "file", "linked pipe"])
def test_what_takes_the_place_of_an_unfinished_pipe_is_not_described_in_its_stead(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    secret = tmp_path / "secret"
    if kind == "linked pipe":
        os.mkfifo(secret, 0o600)
    else:
        secret.write_bytes(b"secret")
        secret.chmod(0o600)

    def swapped(entry: Entry, name: str, parent: int) -> None:
        make_node(entry, name, parent)
        os.unlink(name, dir_fd=parent)
        if kind == "link":
            os.symlink(secret, name, dir_fd=parent)
        else:
            os.link(secret, name, dst_dir_fd=parent)

    monkeypatch.setattr("backupkit.targets.writing.make_node", swapped)
    problems = write(place, PIPE)
    assert [(one.path, one.severity) for one in problems] == [("pipe", "error")]
    assert mode(secret) == 0o600
    assert names(place) == []


def test_a_hard_link_to_a_file_that_the_backup_itself_replaced_by_a_pipe_is_a_file(place: Path) -> None:
    entries = [file("a"), replace(PIPE, path="a"), hardlink("b", "a")]
    assert write(place, *entries, overwrite=True) == []
    assert (place / "b").is_file()
    assert (place / "b").read_bytes() == b"content"


def test_a_resumed_restore_leaves_what_is_finished(for_devices: Path) -> None:
    assert write(for_devices, PIPE, NULL) == []
    before = [(for_devices / name).lstat() for name in ("pipe", "null")]
    skipped: list[Entry] = []
    target = DirectoryTarget(for_devices, resume=True, skipped=skipped.append)
    assert list(target.write([PIPE, NULL])) == []
    assert skipped == [PIPE, NULL]
    assert [(for_devices / name).lstat() for name in ("pipe", "null")] == before


@pytest.mark.parametrize(
    "other",
    [replace(NULL, path="x", device=(1, 5)), replace(NULL, path="x", mode=0o600), replace(PIPE, path="x")],
)
def test_another_node_is_not_a_finished_one(for_devices: Path, other: Entry) -> None:
    assert write(for_devices, replace(NULL, path="x")) == []
    target = DirectoryTarget(for_devices, resume=True)
    assert [one.path for one in target.write([other])] == ["x"]


def test_an_unfinished_pipe_of_a_killed_restore_is_removed(place: Path) -> None:
    os.mkfifo(place / ".pipe.0123abcd.partial")
    assert list(DirectoryTarget(place, resume=True).write([PIPE])) == []
    assert names(place) == ["pipe"]


def test_no_descriptor_stays_open(place: Path) -> None:
    with no_file_left_open():
        write(place, PIPE, replace(PIPE, path="pipe"), replace(NULL, device=None))
