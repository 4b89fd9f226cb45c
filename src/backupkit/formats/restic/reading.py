"""Reading a snapshot: its trees become entries again, whose content is fetched when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from backupkit._parallel import map_ordered
from backupkit.errors import IntegrityError
from backupkit.formats.restic.nodes import entry_of, parse_tree
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.model import Entry

_AHEAD = 4  # blobs of one file that are fetched at the same time


def entries_of(repository: OpenedRepository, tree: str, *, executor: Executor | None) -> Iterator[Entry]:
    """The entries of a snapshot with this tree, a folder before what is in it, siblings in order of their names.

    IntegrityError where a tree is not what was written; what is wrong with the content of a file is raised by its
    chunks. Of several links to one file, the later ones are hard links to the first.
    """
    linked: dict[tuple[int, int], str] = {}
    levels = [nodes_of(repository, tree, "")]
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        path, node = found
        entry = entry_of(node, path, where=f"a tree at {repository.location}")
        if entry is None:
            continue
        if entry.kind == "file":
            entry = _as_link(entry, node, linked)
            ids = [bytes.fromhex(id) for id in node.get("content") or ()]
            entry = replace(
                entry, chunks=partial(content_of, repository, ids, int(node.get("size", 0)), path, executor)
            )
        yield entry
        if entry.kind == "directory":
            levels.append(nodes_of(repository, node.get("subtree"), path))


def content_of(
    repository: OpenedRepository, ids: Sequence[bytes], size: int, path: str, executor: Executor | None
) -> Iterator[bytes]:
    """The content that these blobs make; IntegrityError if it is not as long as it was."""
    count = 0
    several = executor if len(ids) > 1 else None
    with closing(map_ordered(several, repository.load, ids, _AHEAD)) as blobs:  # type: ignore[type-var]  # a generator
        for blob in blobs:
            count += len(blob)
            yield blob
    if count != size:
        raise IntegrityError(
            f"{path!r} holds {count} bytes in the snapshot, which says that it has {size}.", where=path
        )


def nodes_of(
    repository: OpenedRepository, tree: str | None, above: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if tree is None:
        where = above or "the root"
        raise IntegrityError(f"The snapshot does not say what is in the folder {where!r}.", where=where)
    content = repository.load(bytes.fromhex(tree), tree=True)
    for node in parse_tree(content, where=f"tree {tree} at {repository.location}"):
        yield f"{above}/{node['name']}" if above else node["name"], node


def _as_link(entry: Entry, node: Mapping[str, Any], linked: dict[tuple[int, int], str]) -> Entry:
    if int(node.get("links", 0)) < 2 or not node.get("inode"):
        return entry
    first = linked.setdefault((int(node.get("device_id", 0)), int(node["inode"])), entry.path)
    return entry if first == entry.path else replace(entry, kind="hardlink", target=first)
