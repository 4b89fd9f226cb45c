"""The folders of a snapshot while it is written: filled as entries come, stored when nothing more can come."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from backupkit.errors import ConfigurationError
from backupkit.formats.restic.nodes import tree_of
from backupkit.model import Entry, Origin, Owner

# Stores a folder's tree, and returns the node of the folder: (path, entry, id and content of the tree).
StoreTree = Callable[[str, Entry, bytes, bytes], str]


@dataclass(slots=True)
class _Folder:
    path: str
    entry: Entry | None
    nodes: dict[str, str] = field(default_factory=dict)
    given: bool = False  # by a source, and not only because it leads to one


class TreeBuilder:
    """Takes entries at their places in the snapshot, parents first, siblings next to each other.

    A folder is stored when an entry elsewhere comes. Those that lead to where sources begin stay open to the
    end, because another source may begin below them, too; they are described as they are on this machine.
    """

    def __init__(self, store: StoreTree) -> None:
        self._store = store
        self._leading: dict[str, _Folder] = {"/": _Folder("/", None)}
        self._open: list[_Folder] = []  # one below the other

    def add(self, path: str, node: str, *, real: bool) -> None:
        """Put a node at its place; `real`: the path is one of this machine."""
        above, name = _split(path)
        folder = self._folder(above, real)
        # Or it leads to another source's folder, which would take the place of this one in the end.
        if name in folder.nodes or path in self._leading:
            raise _taken(path)
        folder.nodes[name] = node

    def open(self, path: str, entry: Entry) -> None:
        """A folder, of which the content comes next."""
        if (leading := self._leading.get(path)) is not None:
            if leading.given:
                raise _taken(path)
            leading.entry, leading.given = entry, True
            return
        above, name = _split(path)
        folder = self._folder(above, entry.origin is not None)
        if name in folder.nodes:
            raise _taken(path)
        folder.nodes[name] = ""  # keeps the place
        self._open.append(_Folder(path, entry))

    def finish(self) -> tuple[bytes, bytes]:
        """Store all that is open; the id and the content of the root's tree, which the caller stores."""
        while self._open:
            self._close()
        leading = sorted(self._leading.values(), key=lambda folder: folder.path.count("/"), reverse=True)
        for folder in leading:
            if folder.path != "/":
                above, name = _split(folder.path)
                self._leading[above].nodes[name] = self._stored(folder)
        return tree_of(self._leading["/"].nodes)

    def _folder(self, path: str, real: bool) -> _Folder:
        while self._open and not f"{path}/".startswith(f"{self._open[-1].path}/"):
            self._close()
        if self._open:
            return self._below_open(path, real)
        if (leading := self._leading.get(path)) is None:
            above, name = _split(path)
            if name in self._folder_above(above, real).nodes:
                raise _written(path)
            leading = self._leading[path] = _Folder(path, _described(path) if real else None)
        return leading

    def _folder_above(self, path: str, real: bool) -> _Folder:
        return self._leading["/"] if path == "/" else self._folder(path, real)

    def _below_open(self, path: str, real: bool) -> _Folder:
        """The folder of this path, with those in between that the source left out."""
        while self._open[-1].path != path:
            below = self._open[-1]
            name = path[len(below.path) + 1 :].partition("/")[0]
            if name in below.nodes:
                raise _written(f"{below.path}/{name}")
            below.nodes[name] = ""
            between = f"{below.path}/{name}"
            self._open.append(_Folder(between, _described(between) if real else None))
        return self._open[-1]

    def _close(self) -> None:
        folder = self._open.pop()
        above, name = _split(folder.path)
        parent = self._open[-1] if self._open else self._leading[above]
        parent.nodes[name] = self._stored(folder)

    def _stored(self, folder: _Folder) -> str:
        entry = folder.entry or Entry(path=folder.path[1:], kind="directory")
        return self._store(folder.path, entry, *tree_of(folder.nodes))


def _split(path: str) -> tuple[str, str]:
    above, _, name = path.rpartition("/")
    return above or "/", name


def _taken(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"Two sources hold {path!r}, and a snapshot holds every path once: exclude it from one of them."
    )


def _written(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path!r} was written already when a source came to something in it: give the source of the inner folder "
        "before that of the outer one, which must exclude it."
    )


def _described(path: str) -> Entry | None:
    """A folder as it is on this machine; None if it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    return Entry(
        path=path[1:],
        kind="directory",
        modified_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        owner=owner_of(status.st_uid, status.st_gid),
        origin=Origin(path, status.st_ino, status.st_dev, status.st_nlink, status.st_ctime_ns),
    )


def owner_of(uid: int, gid: int) -> Owner:
    """With the names that this machine has for them."""
    user = group = None
    try:
        user = pwd.getpwuid(uid).pw_name
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        pass
    return Owner(uid=uid, gid=gid, user=user, group=group)
