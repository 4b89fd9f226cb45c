from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.model import Entry
from backupkit.patterns import path_of, pattern_of
from backupkit.selection import Selection

ENTRIES = [
    Entry(path="app", kind="directory"),
    Entry(path="app/[odd].txt", size=1),
    Entry(path="app/logs", kind="directory"),
    Entry(path="app/logs/a.log", size=20),
    Entry(path="app/logs/keep.txt", size=300),
    Entry(path="app/o.txt", size=4000),
    Entry(path="app/space at the end ", size=50_000),
    Entry(path="db-dumps/shop.sql"),
    Entry(path="other", kind="directory"),
    Entry(path="other/link", kind="symlink", target="app"),
]


FOLDERS = ["app", "app/logs", "db-dumps", "other"]


def selected(*include: str, exclude: list[str] | None = None) -> list[str]:
    selection = Selection(include=include, exclude=exclude or [])
    selection.learn(ENTRIES)
    return [entry.path for entry in selection.of(ENTRIES)]


def test_without_patterns_everything_is_meant() -> None:
    assert selected() == [entry.path for entry in ENTRIES]


@pytest.mark.parametrize(
    ("include", "paths"),
    [
        (["*.sql"], ["db-dumps/shop.sql"]),
        (["*.log"], ["app", "app/logs", "app/logs/a.log"]),
        (["app/logs/"], ["app", "app/logs", "app/logs/a.log", "app/logs/keep.txt"]),
        (["/app/*.txt"], ["app", "app/[odd].txt", "app/o.txt"]),
        (["keep.txt"], ["app", "app/logs", "app/logs/keep.txt"]),
        (["**/link"], ["other", "other/link"]),
        (["*.txt", "!o.txt"], ["app", "app/[odd].txt", "app/logs", "app/logs/keep.txt"]),
        (["nothing-like-it"], []),
    ],
    ids=str,
)
def test_included_is_what_matches_and_the_folders_that_lead_there(
    include: list[str], paths: list[str]
) -> None:
    assert selected(*include) == paths


def test_a_whole_path_stands_for_itself_whatever_characters_it_has() -> None:
    assert selected("app/[odd].txt") == ["app", "app/[odd].txt", "app/o.txt"]  # it is a pattern as well
    assert selected("app/space at the end ") == ["app", "app/space at the end "]


def test_a_folder_alone_means_what_is_in_it_too() -> None:
    assert selected("other") == ["other", "other/link"]


def test_excluded_is_left_out_of_what_is_included() -> None:
    assert selected(exclude=["logs/", "*.sql"]) == [
        "app",
        "app/[odd].txt",
        "app/o.txt",
        "app/space at the end ",
        "other",
        "other/link",
    ]
    assert selected("app/logs/", exclude=["*.log"]) == ["app", "app/logs", "app/logs/keep.txt"]


def test_a_folder_leads_to_what_is_selected_even_when_it_is_excluded_itself() -> None:
    assert selected("*.log", exclude=["/other"]) == ["app", "app/logs", "app/logs/a.log"]


def test_what_is_learnt_is_counted_without_the_folders_that_only_lead_there() -> None:
    selection = Selection(include=["*.txt"])
    selection.learn(ENTRIES)
    assert (selection.count, selection.size) == (3, 4301)


def test_a_selection_of_dumps_counts_what_it_knows() -> None:
    selection = Selection(include=["*.sql"])
    selection.learn(ENTRIES)
    assert (selection.count, selection.size) == (1, 0)


@given(
    st.lists(st.sampled_from(ENTRIES), unique_by=lambda e: e.path), st.sampled_from(["*.txt", "app", "/o*"])
)
def test_including_and_excluding_the_same_split_everything(entries: list[Entry], pattern: str) -> None:
    chosen, others = Selection(include=[pattern]), Selection(exclude=[pattern])
    chosen.learn(entries)
    others.learn(entries)
    assert chosen.count + others.count == len(entries)
    assert len([*others.of(entries)]) == others.count


def test_the_order_of_the_entries_stays() -> None:
    selection = Selection(include=["*.txt"])
    selection.learn(reversed(ENTRIES))
    paths = [entry.path for entry in selection.of(reversed(ENTRIES))]
    assert paths == [path for path in [entry.path for entry in reversed(ENTRIES)] if path in {*paths}]


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\['\*\.txt'\]"):
        Selection(include="*.txt")
    with pytest.raises(ConfigurationError):
        Selection(exclude="*.txt")


def test_a_pattern_that_cannot_be_understood_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        Selection(include=["!"])


@pytest.mark.parametrize(
    ("include", "entered"),
    [
        (["app/logs"], {"app", "app/logs"}),
        (["/app/logs/*.log"], {"app", "app/logs"}),
        (["app/*/a.log"], {"app", "app/logs"}),
        (["app/l?gs/a.log", "other/"], {"app", "app/logs", "db-dumps", "other"}),
        (["a.log"], {"app", "app/logs", "db-dumps", "other"}),
        (["**/a.log"], {"app", "app/logs", "db-dumps", "other"}),
        (["/other/link", "app/o.txt"], {"app", "other"}),
        (["app/[odd].txt"], {"app", "app/logs"}),
        (["other/link", "!app/o.txt"], {"app", "app/logs", "db-dumps", "other"}),
    ],
)
def test_folders_in_which_nothing_can_be_meant_are_not_entered(include: list[str], entered: set[str]) -> None:
    selection = Selection(include=include)
    assert {folder for folder in FOLDERS if selection.enters(folder)} == entered


@pytest.mark.parametrize(
    ("exclude", "entered"),
    [
        (["app/logs"], {"app", "db-dumps", "other"}),
        (["logs/", "!keep.txt"], {"app", "app/logs", "db-dumps", "other"}),
        (["*.log"], {"app", "app/logs", "db-dumps", "other"}),
        (["app"], {"db-dumps", "other"}),
    ],
)
def test_folders_of_which_all_is_excluded_are_not_entered(exclude: list[str], entered: set[str]) -> None:
    selection = Selection(exclude=exclude)
    assert {folder for folder in FOLDERS if selection.enters(folder)} == entered


def test_only_databases_are_in_the_folder_of_dumps() -> None:
    assert [one for one in FOLDERS if Selection(only="databases").enters(one)] == ["db-dumps"]
    assert [one for one in FOLDERS if Selection(only="files").enters(one)] == ["app", "app/logs", "other"]


_NAMES = st.sampled_from(
    ["a", "b", "logs", "x.log", "[a]", "*", "?", "**", "!a", "a b", "#a", "\\a", "db-dumps"]
)
_PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["", "/", "!"]), st.lists(_NAMES, min_size=1, max_size=3), st.sampled_from(["", "/"])
    ).map(lambda parts: parts[0] + "/".join(parts[1]) + parts[2]),
    max_size=2,
)


@given(
    include=_PATTERNS, exclude=_PATTERNS, paths=st.lists(st.lists(_NAMES, min_size=1, max_size=4), max_size=8)
)
def test_nothing_that_is_meant_is_in_a_folder_that_is_not_entered(
    include: list[str], exclude: list[str], paths: list[list[str]]
) -> None:
    try:
        selection = Selection(include=include, exclude=exclude)
    except ConfigurationError:
        return
    entries = [Entry(path="/".join(names), size=1) for names in paths]
    for entry in selection.learning(entries):
        names = entry.path.split("/")
        assert all(selection.enters("/".join(names[:depth])) for depth in range(1, len(names)))


_COMPONENTS = st.text(
    st.sampled_from("ab!#*?[]\\ \n\t.-") | st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=6,
).filter(lambda name: name not in (".", ".."))


@example("a\u00a0")
@example("b\n")
@example(" \t")
@given(st.lists(_COMPONENTS, min_size=1, max_size=3).map("/".join))
def test_the_pattern_of_a_path_means_that_path_with_what_is_in_it_and_nothing_else(path: str) -> None:
    assert path_of(pattern_of(path)) == path
    selection = Selection(include=[pattern_of(path)])
    assert selection.means(Entry(path=path))
    assert selection.means(Entry(path=path, kind="directory"))
    assert selection.means(Entry(path=f"{path}/within"))
    for other in (f"{path}x", f"x{path}", f"x/{path}", path.swapcase() + "/x"):
        assert other.startswith(f"{path}/") or not selection.means(Entry(path=other))
