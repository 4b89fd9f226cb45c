"""Entries of backups, for programs and for people."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import Any

from backupkit.cli.texts import minutes
from backupkit.model import Entry
from backupkit.plain_data import plain
from backupkit.printable import printable
from backupkit.sizes import format_size

_BITS = {
    "file": stat.S_IFREG,
    "hardlink": stat.S_IFREG,
    "directory": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "fifo": stat.S_IFIFO,
    "chardev": stat.S_IFCHR,
    "blockdev": stat.S_IFBLK,
}
_DAYS = 1 << 62  # nanoseconds, some 146 years from 1970 on: times beyond that are no times of files


def plain_entry(entry: Entry | None) -> dict[str, Any] | None:
    """What JSON says of an entry: all that is known of it without its content."""
    if entry is None:
        return None
    return {
        "path": entry.path,
        "kind": entry.kind,
        "size": entry.size,
        "modified_ns": entry.modified_ns,
        "mode": entry.mode,
        "owner": plain(entry.owner),
        "target": entry.target,
        "digest": entry.digest,
    }


def shown_path(entry: Entry) -> str:
    """The path in one line of a terminal; that of a folder ends in "/"."""
    return printable(f"{entry.path}/" if entry.kind == "directory" else entry.path)


def mode_text(entry: Entry) -> str:
    """Such as `-rw-r--r--`."""
    return "?" if entry.mode is None else stat.filemode(_BITS[entry.kind] | entry.mode)


def size_text(entry: Entry) -> str:
    return "-" if entry.size is None else format_size(entry.size)


def modified_text(entry: Entry) -> str:
    """To the minute, in UTC."""
    if entry.modified_ns is None or abs(entry.modified_ns) > _DAYS:
        return "?"
    return minutes(datetime.fromtimestamp(entry.modified_ns // 1_000_000_000, UTC))
