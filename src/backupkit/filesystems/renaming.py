"""Any file system: written under a temporary name, looked at, and renamed, which is safe wherever renaming is."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from backupkit._chunks import rechunk
from backupkit.errors import ConfigurationError
from backupkit.filesystems.asking import ask
from backupkit.filesystems.failures import failure_of, may_pass
from backupkit.filesystems.partials import becoming, new_partial, partial_of
from backupkit.filesystems.stores import CutShortError, Found, Piece, ReplacedError
from backupkit.filesystems.transfer import Transfer

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

_PIECE = 4 << 20
_BRIEFLY = 2.0  # seconds to wait for a server to take away what was not finished
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("mtime", "modified", "LastModified", "last_modified", "updated", "created")  # as libraries call it


class RenamingStore:
    """A file is written as `.<name>.<random>.partial` beside its place and gets its name when it is whole.

    Nothing is known of such a store but what fsspec asks of every one: whether it may be used by several threads
    (each call has it for itself), whether a rename replaces what is there (it is looked at just before), whether it
    is one step (many copy and delete), and whether removing a folder removes what is in it (none is removed).
    """

    alone = True  # whether one call at a time is made

    def __init__(self, file_system: AbstractFileSystem, transfer: Transfer) -> None:
        self.fs = file_system
        self.part_size = transfer.part_size
        self._transfer = transfer
        self._lock = threading.RLock()
        self._lost = False

    def upload(self, path: str, *, overwrite: bool) -> RenamingUpload:
        return RenamingUpload(self, path, overwrite)

    def pieces(self, path: str, start: int, length: int | None) -> Iterator[Piece]:
        found = self._found(path)
        end = found.size if length is None else min(start + length, found.size)
        if start >= end:
            yield Piece(content=b"", size=found.size, tag=found.tag)
            return
        file = self.again(self.fs.open, path, "rb")
        try:
            for position in range(start, end, _PIECE):
                wanted = min(_PIECE, end - position)
                content = self.again(_read, file, position, wanted)
                if len(content) != wanted:
                    raise ReplacedError(errno.ESTALE, "it has become shorter")
                yield Piece(content=content, size=found.size, tag=found.tag)
        finally:
            with suppress(Exception):
                self.once(file.close)
        if self._found(path) != found:
            raise ReplacedError(errno.ESTALE, "replaced while it was read")

    def look(self, path: str) -> Found | None:
        try:
            return self._found(path)
        except Exception as error:
            if failure_of(error).meaning == "missing":
                return None
            raise

    def find(self, prefix: str) -> Iterator[Found]:
        return (one for one in self._under(prefix) if _begins(one.path, prefix) and not becoming(one.path))

    def remove(self, path: str) -> None:
        try:
            self.again(self.fs.rm_file, path)
        except NotImplementedError:
            self.again(self.fs.rm, path)

    def abandoned(self, prefix: str) -> Iterator[Found]:
        for found in self._under(prefix):
            one = becoming(found.path)
            if (
                one and _begins(one[0], prefix) and found.modified != _EPOCH
            ):  # its age is what tells it from others
                yield Found(path=f"{one[0]}#{one[1]}", size=found.size, modified=found.modified)

    def abandon(self, path: str) -> None:
        name, _, token = path.rpartition("#")
        try:
            self.remove(partial_of(name, token))
        except Exception as error:
            if failure_of(error).meaning != "missing":
                raise

    def once(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Call it while no other thread calls; on a new connection, if the last one was lost."""
        with self._lock if self.alone else nullcontext():
            if self._lost and hasattr(self.fs, "reconnect"):
                self.fs.reconnect()
            self._lost = False
            try:
                return function(*args, **options)
            except BaseException as error:
                self._lost = not isinstance(error, Exception) or may_pass(error)
                raise

    def again(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """The same for what may be repeated: again after failures that may pass."""
        answer: T = ask(self._transfer, self.once, function, *args, **options)
        return answer

    def type_of(self, path: str) -> str | None:
        """Whether there is a "file", a "directory", or something else; None if there is nothing."""
        try:
            return str(self.again(self._fresh, self.fs.info, path)["type"])
        except Exception as error:
            if failure_of(error).meaning == "missing":
                return None
            raise

    def _found(self, path: str) -> Found:
        info = self.again(self._fresh, self.fs.info, path)
        if info["type"] != "file":
            raise FileNotFoundError(path)
        return _found(path, info)

    def _under(self, prefix: str) -> Iterator[Found]:
        """All files in the folder that the prefix names, and in those below that it may mean."""
        begin = prefix.rpartition("/")[0]
        if ({"", ".", ".."} & set(begin.strip("/").split("/")) and begin.strip("/")) or begin.endswith("/"):
            return
        if _lists_at_once(self.fs):
            for path, info in self.again(self._fresh, self.fs.find, begin, detail=True).items():
                yield _found(path, info)
            return
        folders = [begin]
        while folders:
            folder = folders.pop()
            # Not `find`, which takes what it could not list for empty.
            for info in self._listed(folder, found=folder != begin):
                name = info["name"].strip("/")
                if name == folder.strip("/"):
                    if info["type"] == "file" and folder != begin:
                        raise ReplacedError(errno.ESTALE, "listed as a folder, and a file")
                    continue  # some list a file as what is in it
                base = _base(info)
                path = f"{folder}/{base}" if folder else base
                if info["type"] != "directory":
                    yield _found(path, info)
                elif path.startswith(prefix) and base not in (".", ".."):
                    folders.append(path)

    def _listed(self, folder: str, *, found: bool = False) -> list[dict[str, Any]]:
        """What is in a folder; nothing if there is none. One that was `found` may have been deleted since."""
        try:
            listed: list[dict[str, Any]] = self.again(self._fresh, self.fs.ls, folder, detail=True)
        except Exception as error:
            if failure_of(error).meaning != "missing":
                raise
            above, _, name = folder.rpartition("/")
            if found and any(_base(one) == name for one in self._listed(above)):
                # A server that refuses, or mangles names: what is in there must not be taken for nothing.
                raise OSError(errno.EIO, "a folder that is listed is not found by its name") from error
            return []
        return listed

    def _fresh(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        self.fs.invalidate_cache()
        return function(*args, **options)


def _base(info: Mapping[str, Any]) -> str:
    return str(info["name"]).strip("/").rpartition("/")[2]


class RenamingUpload:
    """One file on its way; stores that can do better than fsspec asks of all do so in `_put` and `_rename`."""

    checksum: str | None = None

    def __init__(self, store: RenamingStore, path: str, overwrite: bool) -> None:
        self._store = store
        self._path = path
        self._partial = new_partial(path)
        self._overwrite = overwrite
        self._size = 0

    def send(self, chunks: Iterator[bytes]) -> None:
        self._make_folder()
        self._put(self._counted(chunks))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._size += len(chunk)
            yield chunk

    def _put(self, chunks: Iterator[bytes]) -> None:
        once = self._store.once
        file = once(self._store.fs.open, self._partial, "wb")
        try:
            for chunk in rechunk(chunks, self._store.part_size):
                once(file.write, chunk)
            once(file.close)
        except BaseException:
            _forget(file)
            raise

    def commit(self) -> None:
        kept = self._store.look(self._partial)  # some servers list no file with a dot
        if kept is not None and kept.size != self._size:
            raise CutShortError(kept=kept.size, sent=self._size)
        there = self._store.type_of(self._path)  # WebDAV would put a file in the place of a whole folder
        if there is not None and not (self._overwrite and there == "file"):
            raise FileExistsError(errno.EEXIST, "exists already")
        try:
            self._store.once(self._rename)
        except Exception as error:
            if self._overwrite and failure_of(error).meaning == "exists":
                raise ConfigurationError(
                    "This kind of file system renames no file over another, and to delete the old one first would "
                    "put it at risk: delete it yourself, or use another name."
                ) from error
            raise

    def made(self, found: Found) -> bool:
        # Who may replace may have been replaced; else only a rename that copies leaves what is not whole.
        return not self._overwrite and not getattr(self._store.fs, "renames_in_one_step", False)

    def abort(self) -> None:
        # By a thread that nobody waits for after a while: a server that has stopped must not hold up a Ctrl-C.
        sweeper = threading.Thread(target=self._sweep, name="backupkit-sweeper", daemon=True)
        sweeper.start()
        sweeper.join(_BRIEFLY)

    def _sweep(self) -> None:
        with suppress(Exception):  # what is left is swept later
            self._store.once(self._store.fs.rm_file, self._partial)

    def _make_folder(self) -> None:
        folder = self._path.rpartition("/")[0]
        if folder:
            self._store.again(self._store.fs.makedirs, folder, exist_ok=True)

    def _rename(self) -> None:
        self._store.fs.mv(self._partial, self._path)


def _begins(path: str, prefix: str) -> bool:
    """Some file systems have a slash before all of their paths."""
    return path.lstrip("/").startswith(prefix.lstrip("/"))


def _lists_at_once(fs: AbstractFileSystem) -> bool:
    """Whether it lists all of its objects by itself, as libraries of object stores do; fsspec walks the folders."""
    find = getattr(type(fs), "_find", type(fs).find)
    return find.__module__ == "fsspec.implementations.memory" or (
        hasattr(type(fs), "_find") and not find.__module__.startswith("fsspec.")
    )


def _forget(file: Any) -> None:
    """Let go of a file that was not finished, without sending what it still holds."""
    from fsspec.spec import AbstractBufferedFile

    if isinstance(file, AbstractBufferedFile):
        file.closed = True  # or the garbage collector would send it, to a server that perhaps hangs
    with suppress(Exception):
        file.close()


def _read(file: Any, position: int, size: int) -> bytes:
    file.seek(position)
    content: bytes = file.read(size)
    while len(content) < size and (more := file.read(size - len(content))):
        content += more
    return content


def _found(path: str, info: dict[str, Any]) -> Found:
    modified = next((info[key] for key in _TIMES if info.get(key)), _EPOCH)
    if not isinstance(modified, datetime):
        modified = datetime.fromtimestamp(float(modified), UTC)
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    tag = info.get("ETag") or info.get("etag")
    return Found(path=path, size=int(info["size"] or 0), modified=modified, tag=str(tag) if tag else None)
