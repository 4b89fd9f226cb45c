"""How a secret reaches a program: by a file that nobody else can read, and that is gone with us."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_PREFIX = "backupkit-secret-"
_NEW = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """`path` opens it in this process and in a child that inherits `descriptors`."""

    path: str
    descriptors: tuple[int, ...]


@contextmanager
def private_file(content: bytes) -> Iterator[PrivateFile]:
    """A file of mode 0600 with this content, for as long as the context lasts.

    On Linux it has no name and is in memory only, so that nothing is left of it however the process ends.
    Elsewhere it is a file in the folder for temporary files; what killed processes left there is removed
    by the next call.
    """
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        with _in_memory(content) as file:
            yield file
    else:
        with _named(content) as file:
            yield file


@contextmanager
def _in_memory(content: bytes) -> Iterator[PrivateFile]:
    descriptor = os.memfd_create("backupkit", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)  # it begins as 0777, and clients refuse what others could write
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        # Opened by this path it is opened anew, from its beginning, each time.
        yield PrivateFile(f"/proc/self/fd/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


@contextmanager
def _named(content: bytes) -> Iterator[PrivateFile]:
    import tempfile

    _sweep(tempfile.gettempdir())
    descriptor, path = tempfile.mkstemp(prefix=_PREFIX)
    try:
        _lock(descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield PrivateFile(path, ())
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(folder: str) -> None:
    """Remove those of our files whose owner is dead: only a living one holds its lock."""
    for name in os.listdir(folder):
        if not name.startswith(_PREFIX):
            continue
        path = os.path.join(folder, name)
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                # One that was made just now may not be locked yet.
                if status.st_uid == os.geteuid() and status.st_mtime < time.time() - _NEW:
                    _lock(descriptor)
                    os.unlink(path)
            finally:
                os.close(descriptor)
