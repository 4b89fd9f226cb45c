"""A folder with one of everything that a snapshot keeps; and all that is to come back, compared by one assert."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

MiB = 1 << 20
NAMES = (
    *(
        b"not UTF-8 \xff\xfe\x80",
        b"half of one \xc3",
        b"'single' \"double\" `back`",
        b"back\\slash",
        b"\\n \\x41 \\u2028",
    ),
    *(
        b"new\nline",
        b"tab\t, bell\x07, delete\x7f",
        b"<html> & co",
        b"100 % %41 {} $HOME",
        b"*?[a-z]!",
        b"-rf",
        b"~",
    ),
    *(b" blanks ", b"...", b"x" * 255, "line\u2028paragraph\u2029".encode(), "replaced \ufffd".encode()),
    *(
        "emoji 🍐👩\u200d🚀".encode(),
        "one e\u0301, other \xe9".encode(),
        "bom \ufeff".encode(),
        "語".encode(),
    ),
)
"""Of files, in bytes."""
TIMES = (
    -1_234_567_890_123_456_789,
    -1,
    0,
    1,
    999_999_999,
    1_500_000_000_123_456_789,
    4_102_444_800_000_000_001,
)
"""Of files, in nanoseconds since 1970."""
MODES = (0o000, 0o200, 0o444, 0o600, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711)
"""Of files; not all are kept by a user who is not root."""


def make(folder: Path, *, raw_targets: bool = True) -> None:
    """Make the folder. What only root may make, or this file system cannot keep, is left out.

    Link targets that are not UTF-8 are kept by restic since 0.17 only: older ones are tried without `raw_targets`.
    """
    folder.mkdir()
    noise = Random(7).randbytes
    for number, name in enumerate(NAMES):
        _write(os.fsencode(folder / "names") + b"/" + name, b"%d" % number)
    for time in TIMES:
        _write(folder / "times" / f"{time}", b"", time=time)
    for mode in MODES:
        if _is_root() or mode & 0o400:
            _write(folder / "modes" / f"{mode:05o}", b"#!/bin/sh\n", mode=mode)
    contents = folder / "contents"
    _write(contents / "empty", b"")
    _write(contents / "one byte", b"\0")
    _write(contents / "large", noise(9 * MiB + 77))
    _write(contents / "zeros", bytes(10 * MiB))
    _write(contents / "twice", noise(3 * MiB) * 2)
    _write_sparse(contents / "sparse", 24 * MiB)
    _write(contents / "sparse at its end", b"start", size=5 * MiB)
    _links(folder / "links", raw_targets)
    _attributes(folder / "attributes")
    _special(folder / "special")
    _owned(folder / "owned")
    folders = folder / "folders"
    for number, mode in enumerate((0o700, 0o755, 0o1777, 0o2775, 0o500)):
        (folders / f"{mode:05o}" / "deeper").mkdir(parents=True)
        (folders / f"{mode:05o}").chmod(mode)
        _set_time(folders / f"{mode:05o}" / "deeper", 1_000_000_000_000_000_001 + number)
    (folders / "empty").mkdir()
    for path, _, _ in os.walk(os.fsencode(folder), topdown=False):
        _set_time(path, 1_700_000_000_000_000_000 + len(path))


def facts(folder: Path) -> dict[bytes, dict[str, Any]]:
    """What is at each path below the folder, itself included: all that can be restored, and a hash of the content.

    Files that are links of each other have the same "linked", the first of their paths.
    """
    first: dict[tuple[int, int], bytes] = {}
    return {path: _facts(whole, path, first) for path, whole in sorted(_walk(os.fsencode(folder)))}


def _walk(top: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"", top
    for whole, folders, files in os.walk(top, onerror=_raise):
        for name in (*folders, *files):
            path = os.path.join(whole, name)
            yield os.path.relpath(path, top), path


def _raise(error: OSError) -> None:
    raise error


def _facts(whole: bytes, path: bytes, first: dict[tuple[int, int], bytes]) -> dict[str, Any]:
    status = os.lstat(whole)
    found: dict[str, Any] = {
        "mode": stat.filemode(status.st_mode),
        "owner": (status.st_uid, status.st_gid),
        "time": status.st_mtime_ns,
        "attributes": {
            name: os.getxattr(whole, name, follow_symlinks=False)
            for name in _attribute_names(whole)
            if not name.startswith("security.selinux")  # the system's own
        },
    }
    if stat.S_ISLNK(status.st_mode):
        found["target"] = os.readlink(whole)
    elif stat.S_ISREG(status.st_mode):
        found["size"] = status.st_size
        with open(whole, "rb") as file:
            found["content"] = hashlib.file_digest(file, "sha256").hexdigest()
        if status.st_nlink > 1:
            found["linked"] = first.setdefault((status.st_dev, status.st_ino), path)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        found["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return found


def _attribute_names(whole: bytes) -> list[str]:
    try:
        return sorted(os.listxattr(whole, follow_symlinks=False))
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        return []


def _links(folder: Path, raw_targets: bool) -> None:
    folder.mkdir()
    targets = [b"../contents/large", b"nowhere", b"/", b"a/../b", b"new\nline", "語".encode(), b"y" * 4000]
    if raw_targets:
        targets += [b"not UTF-8 \xff\xfe", b"half of one \xc3"]
    for number, target in enumerate(targets):
        path = os.fsencode(folder / f"link-{number}")
        os.symlink(target, path)
        _set_time(path, 1_600_000_000_000_000_003 + number)
    os.symlink(b".", os.fsencode(folder) + b"/not UTF-8 \xff")
    (folder / "below").mkdir()
    for name, content in (("one", b"linked thrice"), ("empty", b"")):
        _write(folder / name, content)
        os.link(folder / name, folder / f"{name}-again")
        os.link(folder / name, folder / "below" / name)


def _attributes(folder: Path) -> None:
    folder.mkdir()
    _write(folder / "file", b"with attributes")
    (folder / "folder").mkdir()
    for path in (folder / "file", folder / "folder"):
        for name, value in {
            "user.text": "語 text".encode(),
            "user.binary": bytes(range(256)),
            "user.empty": b"",
            "user.\u2028 & <odd>": b"\0",
            **({"trusted.roots": b"\xff\0"} if _is_root() else {}),
        }.items():
            _if_possible(os.setxattr, path, name, value)


def _special(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o640)
    if _is_root():
        _if_possible(os.mknod, folder / "null", stat.S_IFCHR | 0o620, os.makedev(1, 3))
        _if_possible(os.mknod, folder / "large numbers", stat.S_IFCHR | 0o600, os.makedev(300, 70_000))
        _if_possible(os.mknod, folder / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 77))
    for path in folder.iterdir():
        _set_time(path, 1_400_000_000_000_000_009)


def _owned(folder: Path) -> None:
    """By users who have a name here, and who have none."""
    folder.mkdir()
    for owner, group in ((1, 2), (0, 65_534), (54_321, 65_432), (4_000_000_001, 4_000_000_002)):
        _write(folder / f"{owner}-{group}", b"owned")
        os.symlink("owned", folder / f"link-{owner}-{group}")
        if _is_root():
            for path in (folder / f"{owner}-{group}", folder / f"link-{owner}-{group}"):
                os.chown(path, owner, group, follow_symlinks=False)
                _set_time(path, 1_300_000_000_000_000_001)


def _write(
    path: Path | bytes,
    content: bytes,
    *,
    mode: int = 0o644,
    time: int = 1_234_567_890_000_000_001,
    size: int | None = None,
) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        file.write(content)
        if size is not None:
            file.truncate(size)
    os.chmod(path, mode)
    _set_time(path, time)


def _write_sparse(path: Path, size: int) -> None:
    with path.open("xb") as file:
        file.write(b"start")
        file.seek(size // 2)
        file.write(b"middle")
        file.seek(size - 3)
        file.write(b"end")
    _set_time(path, 1_234_567_890_000_000_002)


def _set_time(path: Path | bytes, time: int) -> None:
    os.utime(path, ns=(time, time), follow_symlinks=False)


def _if_possible(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def _is_root() -> bool:
    return os.geteuid() == 0
