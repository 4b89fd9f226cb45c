"""Named pipes and device nodes, made and described without ever being opened."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from backupkit.errors import RestoreError
from backupkit.model import Entry

NODES = {"fifo": stat.S_IFIFO, "chardev": stat.S_IFCHR, "blockdev": stat.S_IFBLK}
"""The kinds of entries that are nothing but a node, and what the file system calls them."""


def make_node(entry: Entry, name: str, parent: int) -> None:
    """Make it in an open folder, for its owner only; RestoreError if that cannot be done here."""
    if entry.kind != "fifo" and sys.platform != "linux":
        raise RestoreError(
            f"{entry.path!r} is a device, which cannot be restored on this system.", path=entry.path
        )
    try:
        os.mknod(name, NODES[entry.kind] | 0o600, _number(entry), dir_fd=parent)
    except NotImplementedError as error:
        raise RestoreError(
            f"{entry.path!r} was not restored: this system cannot make it safely.", path=entry.path
        ) from error
    except PermissionError as error:
        if entry.kind == "fifo":
            raise
        raise RestoreError(
            f"{entry.path!r} is a device, which only root may make, and not in every container: restore with these "
            "rights, or exclude it.",
            path=entry.path,
        ) from error


@contextmanager
def place_of(entry: Entry, name: str, parent: int) -> Iterator[int | str]:
    """What the metadata of a node that was made is applied to: it and nothing that took its place."""
    if sys.platform == "linux":
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    else:  # a pipe, of which nobody knows yet
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        there = os.fstat(fd)
        if not is_node(entry, there) or there.st_uid != os.geteuid() or there.st_nlink != 1:
            raise RestoreError(
                f"{entry.path!r} was not restored: something else took its place meanwhile.", path=entry.path
            )
        yield f"/proc/self/fd/{fd}" if sys.platform == "linux" else fd
    finally:
        os.close(fd)


def is_node(entry: Entry, there: os.stat_result) -> bool:
    """Whether this is the same pipe or device, whatever its metadata."""
    return stat.S_IFMT(there.st_mode) == NODES[entry.kind] and (
        entry.kind == "fifo" or there.st_rdev == _number(entry)
    )


def _number(entry: Entry) -> int:
    if entry.kind == "fifo":
        return 0
    try:
        number = os.makedev(*entry.device) if entry.device is not None else -1
    except (OverflowError, TypeError):
        number = -1
    if number < 0:
        raise RestoreError(
            f"{entry.path!r} was not restored: {entry.device!r} is the number of no device.", path=entry.path
        )
    return number
