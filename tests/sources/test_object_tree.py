from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from backupkit.filesystems.stores import Found
from backupkit.model import is_entry_path
from backupkit.patterns import matcher
from backupkit.sources._object_tree import Node, Unkept, tree

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def everything(path: str) -> bool:
    return True


def found(path: str, size: int = 1) -> tuple[str, Found]:
    return path, Found(path=path, size=size, modified=NOON)


def shape(
    *paths: str, empty: Sequence[str] = (), exclude: Sequence[str] = (), include: Sequence[str] = ()
) -> list[str]:
    """What becomes of these objects: paths, folders with a slash; `?` before what is not kept."""
    listing = [found(path, 0 if path in empty else 1) for path in paths]
    included = matcher(include) if include else everything
    items = tree(listing, excluded=matcher(exclude), included=included)
    return [
        f"?{one.path}" if isinstance(one, Unkept) else one.path + ("/" if one.is_folder else "")
        for one in items
        if one.path
    ]


def test_folders_are_what_leads_to_an_object() -> None:
    assert shape("a/b/c.png", "d.png") == ["a/", "a/b/", "a/b/c.png", "d.png"]


def test_a_folder_comes_before_siblings_whose_names_begin_like_it() -> None:
    # In the order of keys, "a-b" and "a.txt" stand between "a" and what is in it.
    assert shape("a-b", "a.txt", "a/x", "a0") == ["a/", "a/x", "a-b", "a.txt", "a0"]


def test_an_empty_object_that_ends_in_a_slash_is_a_folder() -> None:
    assert shape("a/", "b/", "b/x", empty=["a/", "b/"]) == ["a/", "b/", "b/x"]


def test_the_time_of_a_folder_is_that_of_its_own_object() -> None:
    nodes = tree([found("a/", 0), found("a/x")], excluded=matcher([]), included=everything)
    assert [one.found is not None for one in nodes if isinstance(one, Node)] == [False, True, True]


def test_an_object_that_ends_in_a_slash_and_has_content_is_not_lost_silently() -> None:
    assert shape("a/", "a/x") == ["?a/", "a/", "a/x"]


def test_an_object_that_is_the_folder_of_others_is_named_and_the_others_are_kept() -> None:
    assert shape("a", "a/b", "a/c") == ["?a", "a/", "a/b", "a/c"]


def test_a_file_is_kept_rather_than_an_empty_folder_of_its_name() -> None:
    assert shape("a", "a/", "a/b/", empty=["a/", "a/b/"]) == ["?a/", "?a/b/", "a"]


def test_names_that_are_no_path_are_named() -> None:
    bad = ["a//b", "/x", "..", "../x", "a/../b", "./a", "a/.", "//", "/", "nul\0", "half\ud800"]
    assert shape("good", *bad) == [*(f"?{path}" for path in bad), "good"]


def test_names_with_control_characters_are_kept_as_those_of_files_are() -> None:
    assert shape("a\nb", "bell\a", "back\\slash", "\u202e") == ["a\nb", "back\\slash", "bell\a", "\u202e"]


def test_nothing_below_an_excluded_folder_is_kept_and_what_cannot_be_kept_may_be_excluded() -> None:
    assert shape("a/b/x", "c", exclude=["/a/", "!/a/b/x"]) == ["c"]
    assert shape("a//b", "a/x", "b//c", exclude=["/a/"]) == ["?b//c"]
    assert shape("a", "a/b", exclude=["/a", "!/a/"]) == ["a/", "a/b"]


def test_only_what_is_included_is_kept_with_the_folders_that_lead_there() -> None:
    assert shape("a/x.png", "a/x.txt", "b/y.txt", include=["*.png"]) == ["a/", "a/x.png"]


@given(st.lists(st.tuples(st.text("ab./\n-", max_size=6), st.integers(0, 1)), unique_by=lambda one: one[0]))
def test_every_object_is_kept_or_named_and_the_order_is_that_of_a_walk(
    objects: list[tuple[str, int]],
) -> None:
    listing = [found(path, size) for path, size in objects if path]
    items = list(tree(listing, excluded=matcher([]), included=everything))
    unkept = [one.path for one in items if isinstance(one, Unkept)]
    nodes = [one for one in items if isinstance(one, Node)]
    kept = [one.found.path for one in nodes if one.found]
    assert sorted(unkept + kept) == sorted(path for path, _ in listing)
    assert len({one.path for one in nodes}) == len(nodes)
    for number, node in enumerate(nodes):
        assert node.path == "" or is_entry_path(node.path)
        above = node.path.rpartition("/")[0]
        assert node.path == "" or above in {one.path for one in nodes[:number] if one.is_folder}
    assert [one.path.split("/") for one in nodes[1:]] == sorted(one.path.split("/") for one in nodes[1:])
