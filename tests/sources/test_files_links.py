from __future__ import annotations

import os
from pathlib import Path

import pytest

from backupkit.model import Entry, Problem
from backupkit.sources.files import Directory
from backupkit.testing.trees import File, Hardlink, Symlink, tree
from tests.sources.walking import content, entries, entry, paths


def _links(source: Directory) -> list[tuple[str, str, str | None]]:
    return [(e.path, e.kind, e.target) for e in entries(source)[1:]]


def test_links_are_kept_as_links(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {
            "a": {"x": "x"},
            "broken": Symlink("nowhere"),
            "file": Symlink("a/x"),
            "folder": Symlink("a"),
            "odd": Symlink(os.fsdecode(b"\xff\n ")),
            "outside": Symlink("/etc"),
        },
    )
    assert _links(Directory(root)) == [
        ("shop/a", "directory", None),
        ("shop/a/x", "file", None),
        ("shop/broken", "symlink", "nowhere"),
        ("shop/file", "symlink", "a/x"),
        ("shop/folder", "symlink", "a"),
        ("shop/odd", "symlink", "\udcff\n "),
        ("shop/outside", "symlink", "/etc"),
    ]


@pytest.mark.parametrize("follow", [False, True])
def test_excluding_a_link_never_excludes_what_it_points_to(tmp_path: Path, follow: bool) -> None:
    root = tree(
        tmp_path / "shop",
        {
            "public": {"storage": Symlink("../storage/app")},
            "storage": {"app": {"photo.jpg": ""}, "photo": Symlink("app/photo.jpg")},
        },
    )
    source = Directory(root, exclude=["public/storage", f"{root}/storage/photo"], follow_symlinks=follow)
    assert paths(source) == ["public/", "storage/", "storage/app/", "storage/app/photo.jpg"]


def test_excluding_the_target_of_a_link_keeps_the_link(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"current": Symlink("releases"), "releases": {"1": {}}})
    assert paths(Directory(root, exclude=["releases"])) == ["current"]


# --- followed --------------------------------------------------------------------------------------------


def test_followed_links_are_stored_as_what_they_lead_to(tmp_path: Path) -> None:
    tree(tmp_path / "outside", {"d": {"y": "y"}})
    root = tree(
        tmp_path / "shop",
        {
            "a": {"x": File("x", mode=0o604)},
            "broken": Symlink("nowhere"),
            "file": Symlink("a/x"),
            "folder": Symlink("../outside"),
            "itself": Symlink("itself"),
        },
    )
    source = Directory(root, follow_symlinks=True)
    assert _links(source) == [
        ("shop/a", "directory", None),
        ("shop/a/x", "file", None),
        ("shop/broken", "symlink", "nowhere"),
        ("shop/file", "file", None),
        ("shop/folder", "directory", None),
        ("shop/folder/d", "directory", None),
        ("shop/folder/d/y", "file", None),
        ("shop/itself", "symlink", "itself"),
    ]
    file = entry(source, "shop/file")
    assert (content(file), file.mode, file.size) == (b"x", 0o604, 1)
    assert content(entry(source, "shop/folder/d/y")) == b"y"


def test_a_cycle_of_links_ends_with_a_link_and_a_warning(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {"a": {"b": {"up": Symlink("../.."), "self": Symlink("."), "x": "x"}}, "top": Symlink(".")},
    )
    found = list(Directory(root, follow_symlinks=True).entries())
    assert [(type(one).__name__, one.path) for one in found] == [
        ("Entry", "shop"),
        ("Entry", "shop/a"),
        ("Entry", "shop/a/b"),
        ("Entry", "shop/a/b/self"),
        ("Problem", "shop/a/b/self"),
        ("Entry", "shop/a/b/up"),
        ("Problem", "shop/a/b/up"),
        ("Entry", "shop/a/b/x"),
        ("Entry", "shop/top"),
        ("Problem", "shop/top"),
    ]
    assert {
        one.kind for one in found if isinstance(one, Entry) and one.path.endswith(("up", "self", "top"))
    } == {"symlink"}
    assert {one.severity for one in found if isinstance(one, Problem)} == {"warning"}


def test_a_cycle_through_two_folders_ends(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"to-b": Symlink("../b")}, "b": {"to-a": Symlink("../a")}})
    found = list(Directory(root, follow_symlinks=True).entries())
    assert [one.path for one in found if isinstance(one, Entry)] == [
        "shop",
        "shop/a",
        "shop/a/to-b",
        "shop/a/to-b/to-a",
        "shop/b",
        "shop/b/to-a",
        "shop/b/to-a/to-b",
    ]
    assert [one.path for one in found if isinstance(one, Problem)] == ["shop/a/to-b/to-a", "shop/b/to-a/to-b"]


def test_a_folder_reached_twice_without_a_cycle_is_stored_twice(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"x": "x"}, "b": Symlink("a")})
    assert paths(Directory(root, follow_symlinks=True)) == ["a/", "a/x", "b/", "b/x"]


def test_a_pattern_for_folders_matches_a_followed_link_and_not_a_kept_one(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {}, "b": Symlink("a")})
    assert paths(Directory(root, exclude=["b/"])) == ["a/", "b"]
    assert paths(Directory(root, exclude=["b/"], follow_symlinks=True)) == ["a/"]


# --- hard links ------------------------------------------------------------------------------------------


def test_another_name_of_a_file_is_a_hardlink_with_content(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "shop",
        {"b": {"first": "content", "second": Hardlink("b/first")}, "c": Hardlink("b/first"), "d": "content"},
    )
    source = Directory(root)
    assert _links(source) == [
        ("shop/b", "directory", None),
        ("shop/b/first", "file", None),
        ("shop/b/second", "hardlink", "shop/b/first"),
        ("shop/c", "hardlink", "shop/b/first"),
        ("shop/d", "file", None),
    ]
    assert [content(e) for e in entries(source)[2:]] == [b"content"] * 4
    assert entry(source, "shop/c").size == 7


def test_a_hardlink_to_what_is_excluded_is_a_file(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "content", "b": Hardlink("a"), "c": Hardlink("a")})
    assert _links(Directory(root, exclude=["a"])) == [
        ("shop/b", "file", None),
        ("shop/c", "hardlink", "shop/b"),
    ]


def test_a_hardlink_to_what_is_not_included_is_a_file(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "content", "b": Hardlink("a")})
    assert _links(Directory(root, include=["b"])) == [("shop/b", "file", None)]


def test_a_file_linked_from_outside_is_a_file(tmp_path: Path) -> None:
    tree(tmp_path, {"shop": {"a": "content"}, "outside": Hardlink("shop/a")})
    assert _links(Directory(tmp_path / "shop")) == [("shop/a", "file", None)]


def test_links_with_several_names_stay_links(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": Symlink("x"), "b": Hardlink("a")})
    assert _links(Directory(root)) == [("shop/a", "symlink", "x"), ("shop/b", "symlink", "x")]
