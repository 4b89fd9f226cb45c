"""How much a restore may bring, whatever the backup says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backupkit.errors import ConfigurationError, RestoreError
from backupkit.model import Entry
from backupkit.targets import DirectoryTarget
from backupkit.testing.entries import with_content
from tests.pipeline.shop import small_disk
from tests.targets.restoring import check, file, folder, hardlink, names, symlink, write


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_entry_that_holds_more_than_it_declares_is_a_problem_and_leaves_nothing(
    tmp_path: Path, overwrite: bool
) -> None:
    written: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(600)
            written.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    liar = Entry(path="bomb", size=1000, chunks=endless)
    (problem,) = write(tmp_path, liar, file("after"), overwrite=overwrite)
    assert (problem.severity, problem.path) == ("error", "bomb")
    assert "more than the 1000 bytes" in problem.message
    assert written == [600]
    assert names(tmp_path) == ["after"]


def test_a_sparse_file_and_a_hard_link_are_held_to_their_size_too(tmp_path: Path) -> None:
    liars = [
        replace(file("sparse", bytes(200)), size=100, holes=((0, 200),)),
        replace(hardlink("link", "none", bytes(200)), size=100),
    ]
    assert [problem.path for problem in write(tmp_path, *liars)] == ["sparse", "link"]
    assert names(tmp_path) == []


@pytest.mark.parametrize("max_size", [99, "99", "0.09 kB"])
def test_too_much_content_is_found_before_anything_is_written(tmp_path: Path, max_size: int | str) -> None:
    entries = [file("a", bytes(50)), file("b", bytes(50)), hardlink("c", "b", bytes(50))]
    (problem,) = DirectoryTarget(tmp_path, max_size=max_size).check(entries)
    assert (problem.severity, problem.path) == ("error", str(tmp_path))
    assert "100 bytes" in problem.message
    assert "max_size" in problem.message
    assert list(DirectoryTarget(tmp_path, max_size=100).check(entries)) == []
    assert list(DirectoryTarget(tmp_path, max_size=100).write(entries)) == []


def test_a_hard_link_counts_where_the_file_itself_is_not_restored(tmp_path: Path) -> None:
    entries = [hardlink("b", "a", bytes(50)), hardlink("c", "a", bytes(50))]
    assert len(list(DirectoryTarget(tmp_path, max_size=49).check(entries))) == 1
    assert list(DirectoryTarget(tmp_path, max_size=50).check(entries)) == []
    assert list(DirectoryTarget(tmp_path, max_size=50).write(entries)) == []


def test_a_size_below_nothing_makes_no_room_for_others(tmp_path: Path) -> None:
    entries = [Entry(path="a", size=-(10**9)), file("b", bytes(200))]
    assert len(list(DirectoryTarget(tmp_path, max_size=100).check(entries))) == 1


def test_holes_count_as_the_content_that_they_are(tmp_path: Path) -> None:
    sparse = replace(file("a", bytes(100)), holes=((0, 100),))
    assert len(list(DirectoryTarget(tmp_path, max_size=99).check([sparse]))) == 1
    with pytest.raises(RestoreError):
        list(DirectoryTarget(tmp_path, max_size=99).write([sparse]))


def test_content_of_unknown_size_stops_the_restore_at_the_limit(tmp_path: Path) -> None:
    unknown = replace(with_content(Entry(path="b"), bytes(60)), size=None)
    target = DirectoryTarget(tmp_path, max_size=100)
    assert [problem.severity for problem in target.check([file("a", bytes(50)), unknown])] == ["warning"]
    with pytest.raises(RestoreError, match="stopped at its limit: 110 B") as caught:
        list(target.write([file("a", bytes(50)), unknown, file("c")]))
    assert caught.value.path == str(tmp_path)
    assert names(tmp_path) == ["a"]


MANY = [folder("d"), file("d/a"), symlink("d/s", "x"), hardlink("d/h", "d/a"), file("implied/by/a")]


def test_too_many_entries_are_found_before_anything_is_written(tmp_path: Path) -> None:
    (problem,) = DirectoryTarget(tmp_path, max_entries=6).check(MANY)
    assert "7 entries" in problem.message
    assert "max_entries" in problem.message
    assert list(DirectoryTarget(tmp_path, max_entries=7).check(MANY)) == []
    assert list(DirectoryTarget(tmp_path, max_entries=7).write(MANY)) == []


def test_too_many_entries_stop_the_restore_and_what_was_finished_stays(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="stopped at its limit: 5 entries"):
        list(DirectoryTarget(tmp_path, max_entries=3).write([*MANY[:3], file("e/f")]))
    assert names(tmp_path) == ["d", "d/a", "d/s"]


def test_the_folders_of_one_long_path_count(tmp_path: Path) -> None:
    (problem,) = DirectoryTarget(tmp_path, max_entries=100).check([file("x/" * 1000 + "a")])
    assert "1001 entries" in problem.message


def test_what_an_interrupted_restore_finished_counts_too(tmp_path: Path) -> None:
    write(tmp_path, file("a", bytes(50)))
    target = DirectoryTarget(tmp_path, max_size=99, resume=True)
    assert len(list(target.check([file("a", bytes(50)), file("b", bytes(50))]))) == 1
    with pytest.raises(RestoreError):
        list(target.write([file("a", bytes(50)), file("b", bytes(50))]))


@pytest.mark.parametrize("limits", [{"max_size": "50G"}, {"max_size": -1}, {"max_entries": -1}])
@pytest.mark.parametrize("more", [{}, {"max_entries": "many"}, {"max_entries": True}])
def test_a_limit_that_is_none_is_a_configuration_error(
    limits: dict[str, object], more: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError):
        DirectoryTarget("x", **limits | more)  # type: ignore[arg-type]


def test_entries_of_unknown_size_are_one_warning(tmp_path: Path) -> None:
    (problem,) = check(tmp_path, Entry(path="a"), Entry(path="b"), folder("c"), symlink("d", "x"))
    assert problem.severity == "warning"
    assert "2 of its entries" in problem.message


# Space


def test_what_overwrite_replaces_needs_its_space_in_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        write(disk, file("a", bytes(600_000)))
        (problem,) = check(disk, file("a", bytes(600_000)), overwrite=True)
        assert "600 kB" in problem.message
        assert str(disk) in problem.message


def test_what_is_finished_needs_no_space(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        write(disk, file("a", bytes(600_000)))
        entries = [file("a", bytes(600_000)), file("b", bytes(300_000))]
        assert list(DirectoryTarget(disk, resume=True).check(entries)) == []


def test_too_few_inodes_are_found_before_anything_is_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "nr_inodes=20") as disk:
        free = os.statvfs(disk).f_favail
        fitting = [file(f"d/{number}") for number in range(free - 1)]
        assert check(disk, *fitting) == []
        (problem,) = check(disk, *fitting, symlink("one-more", "x"))
        assert f"{free + 1} files, links and folders" in problem.message
        assert f"where {free} more" in problem.message
        assert write(disk, *fitting) == []


def test_the_space_is_that_of_the_file_system_where_the_folder_will_be(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=100k") as disk:
        assert len(check(disk / "new/deeper", file("a", bytes(200_000)))) == 1
        assert check(tmp_path / "new", file("a", bytes(200_000))) == []
