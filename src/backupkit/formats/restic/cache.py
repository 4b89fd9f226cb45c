"""Objects of remote repositories, kept on this machine as they are stored: sealed, under their own names.

A convenience of which nothing depends: it may be deleted at any moment, and whatever goes wrong with it is as if
there were none. Who reads from it checks what it got, by hash or authentication code, and asks the repository where
that does not fit.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import NamedTuple

from backupkit.formats.restic.layout import ObjectKind, is_id

LIMIT = 1 << 30  # bytes, of all repositories together
_KINDS = ("snapshots", "index", "data")
_LARGEST = 1 / 8  # of the limit, that one object may take
_AFTER_EVICTION = 3 / 4  # of the limit: so that it is looked through rarely
_USED = 3600  # seconds for which one use is as good as many
_ABANDONED = 86_400  # seconds after which nobody is writing a file any more
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe put in its place must not hang us
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of backupkit: https://bford.info/cachedir/\n"


def cache_folder() -> str | None:
    """Where caches of this user belong; None where that is nowhere, as in containers that run as any user."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # says the XDG specification
        cache = os.path.expanduser("~/.cache")
    return cache if os.path.isabs(cache) else None


class Cache:
    """What is kept of one repository. One instance serves many threads; any number of processes share the folder.

    Below `folder`, links are not followed and folders of other users not used. The least recently used objects, of
    all repositories, go first.
    """

    def __init__(
        self, repository: str, *, folder: str | os.PathLike[str] | None = None, limit: int = LIMIT
    ) -> None:
        self._repository = repository
        self._folder = cache_folder() if folder is None else folder
        self._limit = limit
        self._folders: dict[str, int | None] = {}  # kind to its descriptor; None: there is none
        self._size: int | None = (
            None  # of all repositories, as far as this process knows; None: nobody has looked
        )
        self._unwritable = False
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[object, ...]:
        """For another process: the same folder, opened anew."""
        return partial(Cache, folder=self._folder, limit=self._limit), (self._repository,)

    def get(self, kind: ObjectKind, id: str) -> bytes | None:
        """The bytes of an object, not checked."""
        return self._read(kind, id, 0, None)

    def get_range(self, pack: str, start: int, length: int) -> bytes | None:
        """So many bytes of a pack, not checked; None if it is not here, or ends before."""
        content = self._read("data", pack, start, length)
        return None if content is None or len(content) != length else content

    def put(self, kind: ObjectKind, id: str, content: bytes) -> None:
        """Keep an object; of kinds that are not worth it, nothing is kept."""
        if self._unwritable or len(content) > self._limit * _LARGEST:
            return
        folder = self._opened(kind, make=True)
        if folder is None:
            return
        partial = f".{id}.{secrets.token_hex(8)}"
        try:
            fd = os.open(partial, _NEW, 0o600, dir_fd=folder)
        except OSError as error:
            self._give_up(error)
            return
        try:
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
            finally:
                os.close(fd)
            os.rename(partial, id, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with suppress(OSError):
                os.unlink(partial, dir_fd=folder)
            self._give_up(error)
            return
        self._grown(len(content))

    def forget(self, kind: ObjectKind, id: str) -> None:
        """Drop one object, of which the bytes were wrong."""
        folder = self._opened(kind)
        if folder is not None:
            with suppress(OSError):
                os.unlink(id, dir_fd=folder)

    def keep_only(self, kind: ObjectKind, ids: Collection[str]) -> None:
        """Drop all objects of a kind but these, which the repository has."""
        folder = self._opened(kind)
        if folder is None:
            return
        with suppress(OSError):
            for id in os.listdir(folder):
                if is_id(id) and id not in ids:
                    with suppress(OSError):
                        os.unlink(id, dir_fd=folder)

    def close(self) -> None:
        with self._lock:
            folders, self._folders = self._folders, dict.fromkeys(_KINDS)
        for folder in folders.values():
            if folder is not None:
                os.close(folder)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, kind: ObjectKind, id: str, start: int, length: int | None) -> bytes | None:
        folder = self._opened(kind)
        if folder is None:
            return None
        try:
            fd = os.open(id, _READ, dir_fd=folder)
        except OSError:
            return None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > self._limit:
                return None
            if time.time() - found.st_mtime > _USED:
                with suppress(OSError):
                    os.utime(fd)
            return os.pread(fd, found.st_size if length is None else length, start)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _opened(self, kind: str, *, make: bool = False) -> int | None:
        """The folder of this kind."""
        if kind not in _KINDS:
            return None
        with self._lock:
            if kind in self._folders:
                return self._folders[kind]
            try:
                folder = self._open("backupkit", "restic", self._repository, kind, make=make)
            except OSError as error:
                if make or error.errno != errno.ENOENT:
                    self._folders[kind] = None
                return None
            self._folders[kind] = folder
            return folder

    def _open(self, *path: str, make: bool) -> int:
        if self._folder is None:
            raise FileNotFoundError(errno.ENOENT, "there is no place for caches")
        if make:
            with suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)  # no more than this one: a home that is missing is not made
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in path:
            above = fd
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=above)
                fd = os.open(name, _FOLDER, dir_fd=above)
            finally:
                os.close(above)
            if os.fstat(fd).st_uid != os.geteuid():
                os.close(fd)
                raise PermissionError(errno.EPERM, "the folder is another user's")
        return fd

    def _give_up(self, error: OSError) -> None:
        if error.errno not in (errno.ENOENT, errno.EEXIST):  # deleted meanwhile: not worth a word either
            self._unwritable = True

    def _grown(self, by: int) -> None:
        with self._lock, suppress(OSError):
            if self._size is None:
                self._size = self._evicted_to(self._limit)
            else:
                self._size += by
            if self._size > self._limit:
                self._size = self._evicted_to(self._limit * _AFTER_EVICTION)

    def _evicted_to(self, limit: float) -> int:
        """Look through all repositories, drop what was not used for longest, and return how much there is then."""
        root = self._open("backupkit", "restic", make=False)
        try:
            _tag(root)
            found = sorted(_files(root))
            size = sum(file.size for file in found)
            for file in found:
                if size > limit if is_id(file.name) else file.used < time.time() - _ABANDONED:
                    with suppress(OSError):
                        os.unlink(f"{file.folder}/{file.name}", dir_fd=root)
                        size -= file.size
            return size
        finally:
            os.close(root)


class _File(NamedTuple):
    used: float
    folder: str
    name: str
    size: int


def _files(root: int) -> Iterator[_File]:
    for folder, _, names, fd in os.fwalk(".", dir_fd=root):
        for name in names:
            with suppress(OSError):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if folder != ".":
                    yield _File(found.st_mtime, folder, name, found.st_size)


def _tag(root: int) -> None:
    """Say to programs that make backups that this is a cache."""
    with suppress(OSError):
        fd = os.open("CACHEDIR.TAG", _NEW, 0o600, dir_fd=root)
        try:
            os.write(fd, _TAG)
        finally:
            os.close(fd)
