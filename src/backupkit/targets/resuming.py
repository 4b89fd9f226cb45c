"""What an interrupted restore has finished, and what it left unfinished."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from contextlib import suppress
from typing import Literal, TypeAlias

from backupkit._chunks import closing_iterator
from backupkit.model import Entry
from backupkit.targets.folders import lstat_in
from backupkit.targets.metadata import Metadata
from backupkit.targets.nodes import NODES, is_node

# "same": as this restore would leave it. "unclear": it looks so, but only its content can tell.
Standing: TypeAlias = Literal["same", "unclear", "other"]

_STEM = 50  # characters are at most 200 of the 255 bytes of a name
_PARTIAL = re.compile(r"\.(.{1,50})\.[0-9a-f]{8}\.partial", re.DOTALL)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def new_suffix() -> str:
    """What the unfinished files of one restore have in common, and those of no other."""
    return f".{os.urandom(4).hex()}.partial"


def partial_name(name: str, suffix: str) -> str:
    """The name of a file that is going to be called `name` when it is whole."""
    return f".{name[:_STEM]}{suffix}"


class Finished:
    """Tells whether what is in an entry's place is what this restore would put there.

    Of a file the size, mode, owner and time to the nanosecond must be the entry's: a restore sets the time
    last, before the file gets its name. So it is with pipes and devices, which have their kind and number for
    a size. A hard link must be the file that it is linked to, a symlink must have its target. Ask about every
    file and hard link, in order. A file of an entry without a time or a size is "unclear" where it may be
    compared with the content (`comparing`), or else never the same.
    """

    def __init__(self, metadata: Metadata, *, comparing: bool) -> None:
        self._metadata = metadata
        self._comparing = comparing
        self._inodes: dict[str, tuple[int, int] | None] = {}

    def standing(self, entry: Entry, there: os.stat_result | None, name: str, parent: int) -> Standing:
        if entry.kind == "directory":
            return "other"  # folders are merged, and described at the end, by every restore
        if entry.kind == "symlink":
            return "same" if there is not None and _is_link_to(entry.target, there, name, parent) else "other"
        if entry.kind in NODES:
            found = there is not None and is_node(entry, there) and self._metadata.is_applied(entry, there)
            return "same" if found else "other"
        inode = None if there is None else (there.st_dev, there.st_ino)
        if entry.kind == "hardlink" and entry.target in self._inodes:
            return "same" if inode and self._inodes[entry.target] == inode else "other"
        standing = self._as_file(entry, there)
        first = entry.path if entry.kind == "file" else entry.target or ""
        self._inodes[first] = None if standing == "other" else inode
        return standing

    def _as_file(self, entry: Entry, there: os.stat_result | None) -> Standing:
        if there is None or not stat.S_ISREG(there.st_mode):
            return "other"
        if entry.size not in (None, there.st_size) or not self._metadata.is_applied(entry, there):
            return "other"
        if entry.size is not None and entry.modified_ns is not None:
            return "same"
        return "unclear" if self._comparing else "other"

    def holds_content(self, entry: Entry, name: str, parent: int) -> bool:
        """Whether the file that was unclear holds what the entry does; reads both, while they are the same."""
        same = _same_content(entry, name, parent)
        if not same:
            self._inodes[entry.path if entry.kind == "file" else entry.target or ""] = None
        return same


def _same_content(entry: Entry, name: str, parent: int) -> bool:
    fd = os.open(name, _READ, dir_fd=parent)
    with open(fd, "rb", buffering=0) as file, closing_iterator(entry.chunks()) as chunks:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                piece = file.read(len(rest))
                if not piece or piece != rest[: len(piece)]:
                    return False
                rest = rest[len(piece) :]
        return not file.read(1)


class Leftovers:
    """Removes the unfinished files that a killed restore left beside the entries of this one.

    Only what is no folder and no socket, is ours and has the name such a file of this very entry would have,
    and is no entry itself. A folder is looked at once, when its first entry comes.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._found: dict[str, dict[str, set[str]]] = {}

    def remove(self, entry: Entry, folder: str, name: str, parent: int) -> None:
        found = self._found.get(folder)
        if found is None:
            found = self._found[folder] = _partials_in(parent)
        if not found:
            return
        if (own := _PARTIAL.fullmatch(name)) is not None:
            found.get(own[1], set()).discard(name)
        for partial in found.pop(name[:_STEM], ()):
            there = lstat_in(partial, parent)
            if (
                there is not None
                and not (stat.S_ISDIR(there.st_mode) or stat.S_ISSOCK(there.st_mode))
                and there.st_uid in (os.geteuid(), self._metadata.owner_of(entry))
            ):
                with suppress(FileNotFoundError):
                    os.unlink(partial, dir_fd=parent)


def _partials_in(folder: int) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in os.listdir(folder):
        if (match := _PARTIAL.fullmatch(name)) is not None:
            found[match[1]].add(name)
    return dict(found)


def _is_link_to(target: str | None, there: os.stat_result, name: str, parent: int) -> bool:
    if not stat.S_ISLNK(there.st_mode):
        return False
    with suppress(OSError):  # it went, or became something else, meanwhile
        return os.readlink(name, dir_fd=parent) == target
    return False
