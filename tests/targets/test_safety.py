"""Where DirectoryTarget cannot be led, and what it does not grant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backupkit.model import Entry, Owner
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from tests.targets.restoring import (
    NOBODY,
    check,
    file,
    folder,
    hardlink,
    mode,
    names,
    needs_root,
    symlink,
    write,
)

ESCAPES = ["../x", "/etc/x", "a/../../x", "a//b", "", ".", "..", "a/", "/", "a/./b", "a\x00b", "\ud800"]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "hardlink"])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str, kind: str) -> None:
    place = tmp_path / "target"
    entry = next(
        entry
        for entry in (file(path), folder(path), symlink(path, "x"), hardlink(path, "ok"))
        if entry.kind == kind
    )
    (problem,) = write(place, entry, file("ok"))
    assert (problem.severity, problem.path) == ("error", path)
    assert names(tmp_path) == ["target", "target/ok"]
    assert [problem.path for problem in check(place, entry)] == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_symlink_that_stands_for_a_folder(
    tmp_path: Path, overwrite: bool
) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    place.mkdir()
    outside.mkdir(mode=0o700)
    (place / "a").symlink_to(outside)
    problems = write(
        place,
        folder("a", 0o777),
        file("a/x"),
        file("a/b/x"),
        symlink("a/y", "z"),
        folder("a/d"),
        overwrite=overwrite,
    )
    assert [problem.path for problem in problems] == ["a", "a/x", "a/b/x", "a/y", "a/d"]
    assert names(outside) == []
    assert mode(outside) == 0o700


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_symlink_of_the_backup_itself(tmp_path: Path, overwrite: bool) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir()
    problems = write(place, symlink("a", "../outside"), file("a/x"), folder("a"), overwrite=overwrite)
    assert [problem.path for problem in problems] == ["a/x", "a"]
    assert names(outside) == []


def test_a_folder_that_is_swapped_for_a_symlink_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir(mode=0o700)

    def entries() -> Iterator[Entry]:
        yield folder("a", 0o777)
        yield folder("b")
        yield file("b/x")
        (place / "a").rename(place / "moved")
        (place / "a").symlink_to(outside)
        yield file("a/x")

    problems = list(DirectoryTarget(place).write(entries()))
    assert {problem.path for problem in problems} == {"a", "a/x"}
    assert names(outside) == []
    assert mode(outside) == 0o700


def test_overwrite_replaces_a_symlink_at_the_final_name_not_what_it_points_to(tmp_path: Path) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    place.mkdir()
    victim.write_bytes(b"precious")
    (place / "a").symlink_to(victim)
    assert write(place, file("a", b"new"), overwrite=True) == []
    assert victim.read_bytes() == b"precious"
    assert not (place / "a").is_symlink()


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_symlink_in_the_place_of_a_partial_file(
    tmp_path: Path, overwrite: bool
) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"precious")

    def spying() -> Iterator[bytes]:
        (partial,) = os.listdir(place)
        (place / partial.replace("first", "second")).symlink_to(victim)
        yield b"content"

    (problem,) = write(place, Entry(path="first", chunks=spying), file("second"), overwrite=overwrite)
    assert problem.path == "second"
    assert victim.read_bytes() == b"precious"


def test_a_hardlink_is_not_made_to_what_a_symlink_points_to(tmp_path: Path) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"precious")

    def entries() -> Iterator[Entry]:
        yield file("a", b"ours")
        (place / "a").unlink()
        (place / "a").symlink_to(victim)
        yield hardlink("b", "a", b"ours")

    list(DirectoryTarget(place).write(entries()))
    assert victim.stat().st_nlink == 1


@pytest.mark.parametrize("target", [None, "", "a\0b"])
def test_a_symlink_to_nothing_is_a_problem(tmp_path: Path, target: str | None) -> None:
    (problem,) = write(tmp_path, Entry(path="a", kind="symlink", target=target))
    assert problem.path == "a"
    assert names(tmp_path) == []


@pytest.mark.parametrize("bits", [0o4755, 0o2755, 0o6755])
def test_set_id_bits_of_files_are_left_off_with_one_warning(tmp_path: Path, bits: int) -> None:
    (problem,) = write(tmp_path, file("a", mode=bits), file("b", mode=bits))
    assert problem.severity == "warning"
    assert "setuid=True" in problem.message
    assert [mode(tmp_path / name) for name in "ab"] == [0o755, 0o755]


def test_set_id_bits_come_back_when_asked_for(tmp_path: Path) -> None:
    owner = Owner(uid=os.getuid(), gid=os.getgid())
    assert write(tmp_path, replace(file("a", mode=0o6755), owner=owner), setuid=True) == []
    assert mode(tmp_path / "a") == 0o6755


@needs_root
def test_root_never_gives_a_set_id_bit_to_a_file_whose_owner_is_unknown(tmp_path: Path) -> None:
    (problem,) = write(tmp_path, file("a", mode=0o4755), setuid=True)
    assert problem.severity == "warning"
    assert mode(tmp_path / "a") == 0o755


@needs_root
def test_set_id_bits_come_back_after_the_owner(tmp_path: Path) -> None:
    assert (
        write(tmp_path, replace(file("a", mode=0o4755), owner=Owner(uid=NOBODY, gid=NOBODY)), setuid=True)
        == []
    )
    assert (tmp_path / "a").stat().st_uid == NOBODY
    assert mode(tmp_path / "a") == 0o4755


def test_a_folder_keeps_its_set_group_id_and_sticky_bits(tmp_path: Path) -> None:
    assert write(tmp_path, folder("a", 0o2775), folder("b", 0o1777)) == []
    assert [mode(tmp_path / "a"), mode(tmp_path / "b")] == [0o2775, 0o1777]


CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service, effective


def test_attributes_that_grant_rights_are_left_out_with_one_warning_for_each_kind(tmp_path: Path) -> None:
    rights = {"security.capability": CAPABILITY, "trusted.x": b"y"}
    problems = write(tmp_path, replace(file("a"), xattrs=rights), replace(file("b"), xattrs=rights))
    assert [(problem.severity, problem.path) for problem in problems] == [("warning", "a"), ("warning", "a")]
    assert os.listxattr(tmp_path / "a") == []


@needs_root
def test_a_capability_comes_back_when_asked_for(tmp_path: Path) -> None:
    owner = Owner(uid=NOBODY, gid=NOBODY)
    entry = replace(file("a"), xattrs={"security.capability": CAPABILITY}, owner=owner)
    assert write(tmp_path, entry, setuid=True) == []
    assert os.getxattr(tmp_path / "a", "security.capability") == CAPABILITY


def test_metadata_that_the_file_system_refuses_is_one_warning_and_the_file_is_restored(
    tmp_path: Path,
) -> None:
    odd = {"nonsense": b"", "user.\0": b"", "user.big": bytes(1 << 20)}
    entries = [replace(file(name), xattrs=odd, modified_ns=2**100) for name in "ab"]
    problems = write(tmp_path, *entries)
    assert {problem.severity for problem in problems} == {"warning"}
    assert len(problems) == 3
    assert (tmp_path / "b").read_bytes() == b"content"


# An archive, or somebody else in the folder, that would lead a restore out of it


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_deep_inside_that_is_swapped_for_a_symlink_between_entries_leads_nowhere(
    tmp_path: Path, overwrite: bool, resume: bool
) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    (outside / "c").mkdir(parents=True, mode=0o700)

    def entries() -> Iterator[Entry]:
        yield folder("a/b", 0o777)
        yield folder("a/b/c", 0o777)
        yield file("a/x")
        (place / "a/b").rename(place / "moved")
        (place / "a/b").symlink_to(outside)
        yield file("a/b/c/x")
        yield folder("a/b/c/d")
        yield symlink("a/b/c/s", "x")
        yield hardlink("a/b/c/h", "a/x")

    problems = list(DirectoryTarget(place, overwrite=overwrite, resume=resume).write(entries()))
    assert {problem.path for problem in problems if problem.severity == "error"} >= {
        "a/b/c/x",
        "a/b/c/d",
        "a/b/c/s",
        "a/b/c/h",
    }
    assert names(outside) == ["c"]
    assert mode(outside / "c") == 0o700


def test_a_folder_that_is_swapped_while_a_file_in_it_is_written_leads_nowhere(tmp_path: Path) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir()

    def content() -> Iterator[bytes]:
        yield b"one"
        (place / "a").rename(place / "moved")
        (place / "a").symlink_to(outside)
        yield b"two"

    assert write(place, Entry(path="a/x", chunks=content)) == []
    assert names(outside) == []
    assert (place / "moved/x").read_bytes() == b"onetwo"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_hard_link_to_a_symlink_of_the_backup_is_a_file_of_its_own(tmp_path: Path, overwrite: bool) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"precious")
    entries = [symlink("a", str(victim)), hardlink("b", "a", b"ours"), file("b/x"), hardlink("a/y", "b")]
    problems = write(place, *entries, overwrite=overwrite)
    assert [problem.path for problem in problems] == ["b/x", "a/y"]
    assert (victim.read_bytes(), victim.stat().st_nlink) == (b"precious", 1)
    assert not (place / "b").is_symlink()
    assert (place / "b").read_bytes() == b"ours"


def test_a_hard_link_to_a_file_that_the_backup_itself_replaced_by_a_symlink_is_a_file(tmp_path: Path) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"precious")
    entries = [file("a", b"ours"), symlink("a", str(victim)), hardlink("b", "a", b"ours")]
    assert write(place, *entries, overwrite=True) == []
    assert not (place / "b").is_symlink()
    assert victim.stat().st_nlink == 1


def test_a_hard_link_through_a_symlinked_folder_is_not_made(tmp_path: Path) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"precious")

    def entries() -> Iterator[Entry]:
        yield file("d/a", b"ours")
        (place / "d").rename(place / "moved")
        (place / "d").symlink_to(outside)
        yield hardlink("b", "d/a", b"ours")

    assert list(DirectoryTarget(place).write(entries())) == []
    assert (outside / "a").stat().st_nlink == 1
    assert (place / "b").read_bytes() == b"ours"


@pytest.mark.parametrize("entry", [symlink("a", "new"), hardlink("a", "none", b"new")], ids=lambda e: e.kind)
def test_overwrite_replaces_a_symlink_by_any_kind_of_entry_not_what_it_points_to(
    tmp_path: Path, entry: Entry
) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    place.mkdir()
    victim.write_bytes(b"precious")
    (place / "a").symlink_to(victim)
    assert write(place, entry, overwrite=True) == []
    assert victim.read_bytes() == b"precious"
    assert (
        (place / "a").read_bytes() == b"new"
        if entry.kind == "hardlink"
        else os.readlink(place / "a") == "new"
    )


@pytest.mark.parametrize("overwrite", [False, True])
def test_one_path_twice_in_a_backup_never_writes_through_the_first(tmp_path: Path, overwrite: bool) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    victim.write_bytes(b"precious")
    write(
        place,
        symlink("a", str(victim)),
        file("a", b"new"),
        folder("d"),
        symlink("d/a", str(victim)),
        overwrite=True,
    )
    problems = write(
        place, folder("e"), symlink("e/a", str(victim)), file("e/a", b"new"), overwrite=overwrite
    )
    assert [problem.path for problem in problems] == ([] if overwrite else ["e/a"])
    assert (place / "e/a").is_symlink() is not overwrite
    assert victim.read_bytes() == b"precious"


def test_resuming_compares_nothing_through_a_symlink(tmp_path: Path) -> None:
    place, victim = tmp_path / "target", tmp_path / "victim"
    place.mkdir()
    victim.write_bytes(b"content")
    (place / "a").symlink_to(victim)
    (problem,) = DirectoryTarget(place, resume=True).write([with_content(Entry(path="a"), b"content")])
    assert problem.path == "a"


def test_resuming_lists_and_removes_nothing_through_a_symlink(tmp_path: Path) -> None:
    place, outside = tmp_path / "target", tmp_path / "outside"
    place.mkdir()
    outside.mkdir()
    (outside / ".x.0123abcd.partial").write_bytes(b"precious")
    (place / "a").symlink_to(outside)
    assert len(list(DirectoryTarget(place, resume=True).write([file("a/x")]))) == 1
    assert names(outside) == [".x.0123abcd.partial"]


def test_the_folder_itself_may_be_reached_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "named").symlink_to("real")
    assert check(tmp_path / "named", file("a/b")) == []
    assert write(tmp_path / "named", file("a/b")) == []
    assert names(tmp_path / "real") == ["a", "a/b"]
