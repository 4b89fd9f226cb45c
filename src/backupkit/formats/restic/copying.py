"""Copying a snapshot from one repository into another, blob by blob."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import nodes_of, subtree_of
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.protocols import Chunks, Compressor


def copy_snapshot(
    source: OpenedRepository,
    snapshot: Snapshot,
    other: OpenedRepository,
    *,
    compressor: Compressor,
    executor: Executor | None,
    each: Callable[[Chunks], Chunks] = iter,
) -> None:
    """Store what the other repository lacks, then the snapshot, as it is; nothing if it is there already."""
    # One that cannot be read must not keep others from being copied.
    same = [one for one in other.snapshots(damaged={}) if one.fields == snapshot.fields]
    other.load_index()
    if same:
        return
    writer = RepositoryWriter(other, compressor, executor)
    try:
        folders, seen = [(snapshot.tree, "")], {snapshot.tree}
        while folders:
            tree, path = folders.pop()
            # Also of one that is there: what broke off may have left it without all that is in it.
            for node in nodes_of(source, tree):
                if node["type"] == "dir":
                    inner = f"{path}/{node['name']}" if path else node["name"]
                    if (subtree := subtree_of(node, inner)) not in seen:
                        seen.add(subtree)
                        folders.append((subtree, inner))
                for id in node.get("content") or ():
                    _copy_blob(source, writer, bytes.fromhex(id), each, tree=False)
            _copy_blob(source, writer, bytes.fromhex(tree), each, tree=True)
        writer.flush()
    finally:
        writer.close()
    other.save_snapshot(snapshot.fields)


def _copy_blob(
    source: OpenedRepository,
    writer: RepositoryWriter,
    id: bytes,
    each: Callable[[Chunks], Chunks],
    *,
    tree: bool,
) -> None:
    if not writer.holds(id, tree=tree):
        blob: Iterable[bytes] = each([source.load(id, tree=tree)])
        writer.add(id, b"".join(blob), tree=tree)
