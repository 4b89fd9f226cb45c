from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from backupkit.model import Entry
from backupkit.sources.application_excludes import APPLICATION_EXCLUDES
from backupkit.sources.files import Directory
from backupkit.testing.trees import Node, tree
from tests.sources.walking import content, entries

NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "a.log", ".env", " ", "\n", "a\n", "*", "[a]", "#", "!a", "\\", "vendor", "tmp"]
    ),
    st.binary(min_size=1, max_size=20).map(os.fsdecode),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
).filter(lambda name: name not in (".", "..") and not {"/", "\0"} & {*name})

TREES: st.SearchStrategy[Mapping[str, Node]] = st.recursive(
    st.dictionaries(NAMES, st.binary(max_size=50), max_size=4),
    lambda below: st.dictionaries(NAMES, st.one_of(st.binary(max_size=50), below), max_size=4),
    max_leaves=12,
)


def _expected(path: str, entries: Mapping[str, Node]) -> Iterator[tuple[str, bytes | None]]:
    yield path, None
    for name, node in sorted(entries.items(), key=lambda item: os.fsencode(item[0])):
        if isinstance(node, bytes):
            yield f"{path}/{name}", node
        elif isinstance(node, Mapping):
            yield from _expected(f"{path}/{name}", node)


def _seen(entry: Entry) -> tuple[str, bytes | None]:
    return entry.path, None if entry.kind == "directory" else content(entry)


@given(TREES)
def test_everything_on_disk_is_there_once_in_order_with_its_content(nodes: Mapping[str, Node]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = tree(Path(folder) / "shop", nodes)
        assert [_seen(entry) for entry in entries(Directory(root))] == list(_expected("shop", nodes))


@given(TREES, st.lists(st.sampled_from(APPLICATION_EXCLUDES), unique=True, max_size=6))
def test_leaving_out_and_taking_only_the_same_share_the_files_between_them(
    nodes: Mapping[str, Node], patterns: list[str]
) -> None:
    patterns = [pattern for pattern in patterns if not pattern.startswith("!")]
    with tempfile.TemporaryDirectory() as folder:
        root = tree(Path(folder) / "shop", nodes)
        every, left, taken = (
            {entry.path for entry in entries(source) if entry.kind == "file"}
            for source in (
                Directory(root),
                Directory(root, exclude=patterns),
                Directory(root, include=patterns or ["/nothing"]),
            )
        )
        assert left | taken == every
        assert not left & taken
