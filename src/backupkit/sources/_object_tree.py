"""From the flat listing of a store to what a backup of it holds: folders, and files in their order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from backupkit.filesystems.stores import Found
from backupkit.model import is_entry_path


@dataclass(frozen=True, slots=True)
class Node:
    """A file, or a folder, of which a store may know nothing but what is in it. The root's path is empty."""

    path: str
    found: Found | None
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Unkept:
    """An object that cannot be in a backup, and why not."""

    path: str
    why: str


def tree(
    listing: Iterable[tuple[str, Found]],
    *,
    excluded: Callable[[str], bool],
    included: Callable[[str], bool],
) -> Iterator[Node | Unkept]:
    """Yield what has no place first; then the root, and all below it, folders first and siblings in name order.

    The listing has each object's path below the root. A folder is there if it leads to a file that is kept, or if
    the store has an empty object for it, whose path ends in a slash. Where one object is the folder of others,
    those are kept, as they are more.
    """
    files, markers = {}, {}
    for path, found in _kept(listing, excluded, included):
        name = path.removesuffix("/")
        if not is_entry_path(name):
            yield Unkept(path, "its name can be no path below a folder")
        elif name == path:
            files[path] = found
        elif found.size:
            yield Unkept(path, "it has the name of a folder, which ends in a slash, and content")
        else:
            markers[name] = found
    leading = {above for path in files for above in _above(path)}
    nodes = [Node("", None, is_folder=True)]
    for path, found in files.items():
        if path in leading:
            yield Unkept(path, "other objects lie below it, as if it were a folder")
        else:
            nodes.append(Node(path, found))
    folders: dict[str, Found | None] = dict.fromkeys(leading)
    for path, found in markers.items():
        way = [path, *_above(path)]
        if any(one in files and one not in leading for one in way):
            yield Unkept(
                f"{path}/", "it stands for a folder, and a file has its name, or that of one above it"
            )
        else:
            folders.update({one: folders.get(one) for one in way})
            folders[path] = found
    nodes += [Node(path, found, is_folder=True) for path, found in folders.items()]
    # No path has a zero in it, so it stands for what comes before every character: the end of a folder's name.
    nodes.sort(key=lambda node: os.fsencode(node.path.replace("/", "\0")))
    yield from nodes


def _kept(
    listing: Iterable[tuple[str, Found]], excluded: Callable[[str], bool], included: Callable[[str], bool]
) -> Iterator[tuple[str, Found]]:
    """What the patterns leave; nothing below a folder that is excluded."""

    @cache
    def is_out(folder: str) -> bool:
        above = folder.rpartition("/")[0]
        return (bool(above) and is_out(above)) or excluded(f"{folder}/")

    for path, found in listing:
        above = path.removesuffix("/").rpartition("/")[0]
        if not (above and is_out(above)) and not excluded(path) and included(path):
            yield path, found


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
