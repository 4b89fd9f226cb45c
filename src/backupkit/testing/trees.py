r"""Folders as literals, and what differs between two of them.

    tree(folder, {
        "index.html": "<h1>Shop</h1>",
        "run.sh": File("#!/bin/sh\n", mode=0o755),
        "uploads": {"a.jpg": b"\xff\xd8", "newest": Symlink("a.jpg"), "b.jpg": Hardlink("uploads/a.jpg")},
    })
    assert same_tree(folder, restored) == []

Text is written as UTF-8. Needs Linux for extended attributes.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

# Smaller holes are at the mercy of the file system's block size.
_HOLE_WORTH_TELLING = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metadata:
    mode: int | None = None
    modified_ns: int | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File(_Metadata):
    """A file. Content given as `{offset: bytes}` leaves holes in between, and one up to `size`."""

    content: str | bytes | Mapping[int, bytes] = b""
    size: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Folder(_Metadata):
    """A folder with metadata; one without is a plain dict."""

    entries: Mapping[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link to this text."""

    target: str
    modified_ns: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Hardlink:
    """Another name of a file; `path` is relative to the root of the tree."""

    path: str


Node: TypeAlias = str | bytes | Mapping[str, "Node"] | File | Folder | Symlink | Hardlink


def tree(root: str | os.PathLike[str], entries: Mapping[str, Node]) -> Path:
    """Make the folder, with its parents, put the entries into it and return its path."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    made = list(_flatten(root, entries))
    for path, node in made:
        _make(path, node)
    for path, node in made:
        if isinstance(node, Hardlink):
            os.link(root / node.path, path, follow_symlinks=False)
    # Innermost first: what is made in a folder changes its time.
    for path, node in reversed(made):
        _describe(path, node)
    return root


def _flatten(folder: Path, entries: Mapping[str, Node]) -> Iterator[tuple[Path, Node]]:
    for name, node in entries.items():
        yield folder / name, node
        if isinstance(node, Folder):
            yield from _flatten(folder / name, node.entries)
        elif isinstance(node, Mapping):
            yield from _flatten(folder / name, node)


def _make(path: Path, node: Node) -> None:
    match node:
        case str():
            path.write_bytes(node.encode())
        case bytes():
            path.write_bytes(node)
        case File(content=content, size=size):
            with path.open("wb") as file:
                for offset, piece in content.items() if isinstance(content, Mapping) else [(0, content)]:
                    file.seek(offset)
                    file.write(piece.encode() if isinstance(piece, str) else piece)
                if size is not None:
                    file.truncate(size)
        case Symlink():
            path.symlink_to(node.target)
        case Hardlink():
            pass  # made when all that it may be linked to is there
        case _:
            path.mkdir()


def _describe(path: Path, node: Node) -> None:
    if isinstance(node, File | Folder):
        for name, value in node.xattrs.items():
            os.setxattr(path, name, value)
        if node.mode is not None:
            path.chmod(node.mode)
    if isinstance(node, File | Folder | Symlink) and node.modified_ns is not None:
        os.utime(path, ns=(node.modified_ns, node.modified_ns), follow_symlinks=False)


def same_tree(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> list[str]:
    """Return how `b` differs from `a`, a line for each difference; an empty list if it does not.

    Compared are names, kinds, content, modes, times to the nanosecond, extended attributes of users, link
    targets, numbers of devices, which names share a file, and whether large holes are still holes; not owners.
    """
    before, after = dict(_walk(a)), dict(_walk(b))
    differences = [f"{path!r} is missing" for path in before.keys() - after.keys()]
    differences += [f"{path!r} is new" for path in after.keys() - before.keys()]
    groups_before, groups_after = _link_groups(before), _link_groups(after)
    for path in before.keys() & after.keys():
        facts = _facts(before[path]), _facts(after[path])
        differences += [
            f"{path!r}: {fact} was {value!r} and is {facts[1].get(fact)!r}"
            for fact, value in facts[0].items()
            if facts[1].get(fact) != value
        ]
        if facts[0]["kind"] == facts[1]["kind"] == stat.S_IFREG:
            if not _same_content(before[path], after[path]):
                differences.append(f"{path!r}: the content differs")
            if groups_before.get(path) != groups_after.get(path):
                groups = groups_before.get(path), groups_after.get(path)
                differences.append(f"{path!r}: was linked as {groups[0]} and is as {groups[1]}")
            hole = _unallocated(before[path])
            if hole >= _HOLE_WORTH_TELLING and _unallocated(after[path]) < hole // 2:
                differences.append(f"{path!r}: its holes are filled")
    return sorted(differences)


def _walk(root: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Yield each path below the root, with itself as ".", and where it stands on disk."""
    top = os.fspath(root)
    yield ".", top
    for folder, folders, files in os.walk(top, onerror=_raise):
        for name in folders + files:
            full = os.path.join(folder, name)
            yield os.path.relpath(full, top), full


def _raise(error: OSError) -> None:
    raise error


def _facts(full: str) -> dict[str, object]:
    status = os.lstat(full)
    facts: dict[str, object] = {"kind": stat.S_IFMT(status.st_mode), "modified_ns": status.st_mtime_ns}
    if stat.S_ISLNK(status.st_mode):
        return facts | {"target": os.readlink(full)}
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        facts["device"] = os.major(status.st_rdev), os.minor(status.st_rdev)
    return facts | {"mode": oct(stat.S_IMODE(status.st_mode)), "xattrs": _xattrs(full)}


def _xattrs(full: str) -> dict[str, bytes]:
    if sys.platform != "linux":
        return {}
    return {name: os.getxattr(full, name) for name in os.listxattr(full) if name.startswith("user.")}


def _unallocated(full: str) -> int:
    status = os.stat(full)
    return status.st_size - status.st_blocks * 512


def _link_groups(paths: Mapping[str, str]) -> dict[str, list[str]]:
    """Return, for each file with several names in the tree, all of them."""
    groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for path, full in paths.items():
        status = os.lstat(full)
        if stat.S_ISREG(status.st_mode):
            groups[status.st_dev, status.st_ino].append(path)
    return {path: sorted(group) for group in groups.values() if len(group) > 1 for path in group}


def _same_content(a: str, b: str) -> bool:
    # Not filecmp: it believes its cache when size and time are the same.
    with open(a, "rb") as one, open(b, "rb") as other:
        while True:
            left, right = one.read(1 << 20), other.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True
