"""Ways through the folders of a target that cannot be led out of it."""

from __future__ import annotations

import os
from contextlib import suppress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LEVELS = 32  # each level of folders that is kept open takes a descriptor


class Folders:
    """Open descriptors of the folders from the target down to the one in use: siblings come together.

    Each component is opened by itself, relative to its parent, and never through a symlink, so whoever
    else can write in the target cannot lead us out of it.
    """

    def __init__(self, folder: str) -> None:
        # The target itself may be a symlink: the caller named it.
        self._fds = [os.open(folder, _FOLDER & ~os.O_NOFOLLOW)]
        self._levels: list[tuple[str, ...]] = []
        self._current: str | None = ""

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        while self._fds:
            _close(self._fds.pop())

    def open(self, folder: str, *, create: bool = False) -> int:
        """The folder's descriptor, good until the next call. FileNotFoundError unless it is or is made."""
        if folder != self._current:
            self._current = None
            names = folder.split("/") if folder else []
            levels = [(name,) for name in names[:_LEVELS]] + [tuple(names[_LEVELS:])] * (len(names) > _LEVELS)
            while self._levels != levels[: len(self._levels)]:
                self._levels.pop()
                _close(self._fds.pop())
            for level in levels[len(self._levels) :]:
                self._fds.append(self._descend(level, create))
                self._levels.append(level)
            self._current = folder
        return self._fds[-1]

    def _descend(self, names: tuple[str, ...], create: bool) -> int:
        fd = top = self._fds[-1]
        for name in names:
            try:
                child = _open_folder(name, fd, create)
            finally:
                if fd != top:
                    _close(fd)
            fd = child
        return fd


def _close(fd: int) -> None:
    with suppress(OSError):  # it is closed whatever this says, and nothing was written through it
        os.close(fd)


def _open_folder(name: str, parent: int, create: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def lstat_in(name: str, parent: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
