"""A folder in which nothing has changed is recognised by the text of its tree, and only such a one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from backupkit.formats.restic.nodes import node_text, parse_tree, tree_content
from backupkit.formats.restic.parents import is_unchanged
from backupkit.formats.restic.unchanged import Same, same
from backupkit.model import Entry, Origin, Owner, Part, Problem

OWNER, NOW = Owner(uid=0, gid=0), 5
BLOB, OTHER, TREE = b"b" * 32, b"o" * 32, b"t" * 32


def entry(name: str, **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "modified_ns": 1_500_000_000,
        "mode": 0o644,
        "owner": Owner(uid=1, gid=2, user="me"),
    }
    origin = Origin(f"/srv/{name}", 10, 20, 1, 3_000_000_000)
    return Entry(path=f"srv/{name}", **{**given, "origin": origin, **fields})


def nothing() -> Iterator[Entry | Problem | Part]:
    return iter(())


ONE = entry("a.txt", size=7)
TWO = entry("b", size=9, xattrs={"user.note": b'},{"name":'})
EMPTY = entry("c", size=0)
LINK = entry("d", kind="symlink", target="a.txt")
FOLDER = Part(entry=entry("e", kind="directory", mode=0o755), read=nothing)
CHILDREN: Sequence[Entry | Part] = (ONE, TWO, EMPTY, LINK, FOLDER)
BLOBS = {"a.txt": (BLOB,), "b": (OTHER, BLOB), "c": ()}


def node(one: Entry | Part) -> str:
    inner = one.entry if isinstance(one, Part) else one
    name = inner.path.rpartition("/")[2]
    return node_text(
        inner,
        name,
        owner=OWNER,
        now_ns=NOW,
        size=(inner.size or 0) if inner.kind == "file" else 0,
        content=BLOBS.get(name),
        subtree=TREE if isinstance(one, Part) else None,
    )


CONTENT = tree_content(map(node, CHILDREN))


def compared(children: Sequence[Entry | Problem | Part], content: bytes = CONTENT) -> Same | None:
    return same(content, children, owner=OWNER, now_ns=NOW)


def test_what_is_as_it_was_keeps_its_nodes_and_its_blobs() -> None:
    found = compared(CHILDREN)
    assert found is not None
    assert (found.entries, found.files, found.size) == (4, 3, 16)
    assert (found.data, found.trees) == ([BLOB, OTHER, BLOB], [TREE])
    assert found.nodes == {one.path[4:]: node(one) for one in (ONE, TWO, EMPTY, LINK)}


def moved(one: Entry, **fields: Any) -> Entry:
    assert one.origin is not None
    return replace(one, origin=replace(one.origin, **fields))


@pytest.mark.parametrize(
    "change",
    [
        *(lambda one, ns=ns: replace(one, modified_ns=ns) for ns in (1_500_000_001, None)),
        lambda one: replace(one, size=8),
        lambda one: replace(one, mode=0o600),
        lambda one: replace(one, owner=Owner(uid=1, gid=3, user="me")),
        lambda one: replace(one, owner=Owner(uid=1, gid=2, user="you")),
        lambda one: replace(one, xattrs={"user.note": b"other"}),
        lambda one: replace(one, path="srv/another"),
        lambda one: replace(one, origin=None),
        lambda one: moved(one, inode=11),
        lambda one: moved(one, device=21),
        lambda one: moved(one, changed_ns=3_000_000_001),
        lambda one: replace(one, kind="fifo", size=None),
    ],
)
def test_any_other_field_of_a_file_is_a_change(change: Callable[[Entry], Entry]) -> None:
    assert compared((change(ONE), *CHILDREN[1:])) is None


def test_what_came_went_or_could_not_be_looked_at_is_a_change() -> None:
    assert compared(CHILDREN[:-1]) is None
    assert compared(CHILDREN[1:]) is None
    assert compared((*CHILDREN, entry("f", size=0))) is None
    assert compared((TWO, ONE, *CHILDREN[2:])) is None
    assert compared((*CHILDREN, Problem(message="a file could not be read"))) is None
    assert compared((Problem(message="a file could not be read"), *CHILDREN[1:])) is None
    assert compared((*CHILDREN[:3], replace(LINK, target="b"), FOLDER)) is None
    assert compared((*CHILDREN[:4], replace(FOLDER, entry=replace(FOLDER.entry, mode=0o700)))) is None


def test_a_file_without_a_time_is_never_known_to_be_what_it_was() -> None:
    timeless = replace(ONE, modified_ns=None)
    text = node_text(timeless, "a.txt", owner=OWNER, now_ns=NOW, size=7, content=(BLOB,))
    assert compared((timeless,), tree_content([text])) is None


def test_files_with_several_names_take_a_closer_look() -> None:
    linked = moved(ONE, links=2)
    text = node_text(linked, "a.txt", owner=OWNER, now_ns=NOW, size=7, content=(BLOB,))
    assert compared((linked,), tree_content([text])) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b'{"nodes":null}\n',
        CONTENT[:-1],
        CONTENT + b" ",
        CONTENT.replace(BLOB.hex().encode(), BLOB.hex().encode()[:-1]),
        CONTENT.replace(BLOB.hex().encode(), b" " + BLOB.hex().encode()),
        CONTENT.replace(OTHER.hex().encode(), OTHER.hex().upper().encode()),
        CONTENT.replace(TREE.hex().encode(), TREE.hex().encode()[:-1] + b"x"),
        CONTENT.replace(BLOB.hex().encode(), BLOB.hex().encode()[:-2]),
        CONTENT.replace(b"},{", b"};{"),
        CONTENT.replace(b'"}]}', b'"]]}'),
        CONTENT.replace(b'"subtree"', b'"other"'),
    ],
)
def test_what_nobody_writes_takes_a_closer_look(content: bytes) -> None:
    assert compared(CHILDREN, content) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"size": 8}, False),
        ({"modified_ns": 1_500_000_001}, False),
        ({"changed_ns": 3_000_000_001}, False),
        ({"inode": 11}, False),
    ],
)
def test_a_file_is_unchanged_only_with_the_same_size_times_and_inode(
    change: dict[str, int], expected: bool
) -> None:
    of_entry: dict[str, Any] = {key: value for key, value in change.items() if key in ("size", "modified_ns")}
    of_origin = {key: value for key, value in change.items() if key not in of_entry}
    (before,) = parse_tree(tree_content([node(ONE)]), where="it")
    assert is_unchanged(moved(replace(ONE, **of_entry), **of_origin), before) is expected
