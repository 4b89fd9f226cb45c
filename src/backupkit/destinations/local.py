"""`LocalDestination`: objects as files below a folder of this machine, or of a disk mounted on it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backupkit._chunks import gather
from backupkit.destinations.local_errors import not_found, translated
from backupkit.destinations.names import check_name, is_component, is_name
from backupkit.destinations.streams import closed_on_failure
from backupkit.errors import ConfigurationError, DestinationError
from backupkit.model import StoredObject
from backupkit.protocols import Chunks

_PIECE = 1 << 20  # bytes of one write
_READ = (
    1 << 18
)  # at most, of one read: 1 MiB at a time took new memory for each and left the processor's caches
_WRITE_BACK = 32 << 20
_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{16}\.partial")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_MODES = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class LocalDestination:
    """Objects as files below `folder`, readable by their owner alone unless `mode` says more.

    An object is written to `.<name>.<random>.partial` beside it, flushed to the disk, and only then given
    its name; a killed process leaves nothing but that partial file, which `leftovers` lists. Folders get
    the same rights as files, plus the right to enter for whoever may read.

    The folder must exist, because an unmounted disk looks like an empty folder that does not; with
    `create=True` the first write makes it. On a file system without hard links (FAT), two writers of one
    name at one moment may both succeed, and the last one's object stays. Where the file system has no
    modes, its own apply.
    """

    def __init__(self, folder: str | os.PathLike[str], *, mode: int = 0o600, create: bool = False) -> None:
        path = os.path.expanduser(os.fspath(folder))
        if not path or "\0" in path or path.startswith("~"):
            raise ConfigurationError(
                f"{os.fspath(folder)!r} is not a folder that backups can go to: give its absolute path."
            )
        if not 0 <= mode <= 0o777:
            raise ConfigurationError(
                f"mode={mode!r} is not a set of permissions for files: use one such as 0o600 or 0o640."
            )
        self.folder = Path(os.path.abspath(path))
        self._mode = mode
        self._folder_mode = mode | (mode & 0o444) >> 2
        self._create = create

    def __repr__(self) -> str:
        return f"LocalDestination({str(self.folder)!r})"

    @property
    def location(self) -> str:
        return self.folder.as_uri()

    def within(self) -> tuple[LocalDestination, str] | None:
        """The destination one folder above, with the same options, and this folder's name; None for the root."""
        if not self.folder.name:
            return None
        return LocalDestination(self.folder.parent, mode=self._mode, create=self._create), self.folder.name

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks) as stream:
            check_name(name)
            path = self.folder / name
            ours = path.with_name(f".{path.name}.{os.urandom(8).hex()}.partial")
            file = -1
            try:
                # Opened in here, because Ctrl-C may come in the very moment in which the file has been made.
                with self._errors("written", name):
                    if not overwrite and os.path.lexists(path):
                        raise FileExistsError(errno.EEXIST, "exists already")
                    file = self._open_new(ours)
                self._fill(file, stream, name)
                with self._errors("written", name):
                    os.fsync(file)
                    stored = _stored(name, os.fstat(file))
                    if overwrite:
                        os.replace(ours, path)
                    else:
                        _rename_to_new(ours, path)
                        ours = path
                    _sync_folder(path.parent)
            except BaseException:
                with suppress(OSError):
                    self._unlink(ours)
                raise
            finally:
                with suppress(OSError):  # what close could report, fsync has
                    os.close(file)
        return stored

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.stat(name)
        with self._errors("read", name):
            file = os.open(self.folder / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            while length is None or length > 0:
                with self._errors("read", name):
                    chunk = os.pread(file, _READ if length is None else min(length, _READ), start)
                if not chunk:
                    return
                yield chunk
                start += len(chunk)
                if length is not None:
                    length -= len(chunk)
        finally:
            with suppress(OSError):  # nothing was written that could be lost
                os.close(file)

    def stat(self, name: str) -> StoredObject:
        check_name(name)
        with self._errors("looked up", name):
            status = os.lstat(self.folder / name)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "not a regular file")
        return _stored(name, status)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        for name, entry in self._walk(prefix):
            if name.startswith(prefix) and is_component(entry.name):
                yield from self._look_at(name, entry)

    def delete(self, name: str) -> None:
        """Delete one object, and the folders it leaves empty; ObjectNotFoundError if there is none."""
        self.stat(name)
        with self._errors("deleted", name):
            self._unlink(self.folder / name)

    def leftovers(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the partial files of objects whose names would begin with `prefix`."""
        for name, entry in self._walk(prefix):
            becoming = _becoming(name)
            if becoming and becoming.startswith(prefix):
                yield from self._look_at(name, entry)

    def discard(self, leftover: StoredObject) -> None:
        """Delete a partial file; one that is gone already is no error."""
        if _becoming(leftover.name) is None:
            raise ConfigurationError(f"{leftover.name!r} is not an unfinished object: delete it by its name.")
        with self._errors("deleted", leftover.name), suppress(FileNotFoundError):
            self._unlink(self.folder / leftover.name)

    def _open_new(self, path: Path) -> int:
        for _ in range(100):  # whoever deletes the last object of a folder removes it, perhaps just now
            try:
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                self._make_folders(path.parent)
        raise FileNotFoundError(errno.ENOENT, "the folder vanishes as often as it is made")

    def _make_folders(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not os.path.isdir(path)]
        if self.folder in missing and not self._create:
            raise self._no_folder()
        for path in reversed(missing):
            with suppress(FileExistsError, FileNotFoundError):
                os.mkdir(path, self._folder_mode)
                # The umask may have taken rights away; what the folder inherited (setgid) stays.
                _permit(path, stat.S_IMODE(os.stat(path).st_mode) | self._folder_mode)
                _sync_folder(path.parent)

    def _fill(self, file: int, stream: Iterator[bytes], name: str) -> None:
        # Only our own calls stand inside _errors: an OSError of the stream is the source's.
        with self._errors("written", name):
            _permit(file, self._mode)
        unwritten = 0
        for chunk in gather(stream, _PIECE):
            with self._errors("written", name):
                _write_all(file, chunk)
                unwritten += len(chunk)
                if unwritten >= _WRITE_BACK:
                    _write_back(file)
                    unwritten = 0

    def _unlink(self, path: Path) -> None:
        """Delete a file, and the folders that it leaves empty."""
        os.unlink(path)
        with suppress(OSError):
            for folder in path.parents:
                if folder == self.folder:
                    break
                os.rmdir(folder)

    def _walk(
        self, prefix: str, inside: str = "", above: frozenset[tuple[int, int]] = frozenset()
    ) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield what is no folder, by full name, from the folders that may hold names with this prefix."""
        # Names that cannot lead there are not even sorted: whoever removes many backups asks for each by itself.
        # Unfinished objects, which begin with a dot, may become others.
        begins = (prefix.removeprefix(inside).partition("/")[0] if prefix.startswith(inside) else "", ".")
        with self._errors("listed"):
            try:
                status = os.stat(self.folder / inside)
                with os.scandir(self.folder / inside) as found:
                    # "a-b" comes before "a/b": a folder sorts as what its names begin with.
                    entries = sorted(
                        (f"{e.name}/" if e.is_dir() else e.name, e)
                        for e in found
                        if e.name.startswith(begins)
                    )
            except FileNotFoundError:
                if inside or self._create:
                    return
                raise
        here = (status.st_dev, status.st_ino)
        if here in above:  # a symlink to a folder it is in
            return
        for key, entry in entries:
            name = inside + key
            if not key.endswith("/"):
                yield name, entry
            elif is_component(entry.name) and (name.startswith(prefix) or prefix.startswith(name)):
                yield from self._walk(prefix, name, above | {here})

    def _look_at(self, name: str, entry: os.DirEntry[str]) -> Iterable[StoredObject]:
        """The file, if it is a regular one and has not vanished meanwhile."""
        with self._errors("listed"):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                return ()
        return (_stored(name, status),) if stat.S_ISREG(status.st_mode) else ()

    @contextmanager
    def _errors(self, what: str, name: str | None = None) -> Iterator[None]:
        """Turn what the file system says into a DestinationError that says what to do."""
        try:
            yield
        except DestinationError:
            raise
        except OSError as error:
            raise self._translated(error, what, name) from error

    def _translated(self, error: OSError, what: str, name: str | None) -> DestinationError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            if not self._create and not os.path.isdir(self.folder):
                return self._no_folder(name)
            if what != "written":
                return not_found(name, self.location)
        return translated(error, what, name, self.location)

    def _no_folder(self, name: str | None = None) -> DestinationError:
        if os.path.lexists(self.folder):
            message = f"{self.location} is not a folder: name one that is."
        else:
            message = (
                f"The folder {self.location} does not exist: mount it or create it; "
                "it is not created here, because an unmounted disk looks the same."
            )
        return DestinationError(message, location=self.location, name=name)


def _becoming(partial: str) -> str | None:
    """The name of the object that this partial file was to become; None if it is something else."""
    folder, slash, base = partial.rpartition("/")
    match = _PARTIAL.fullmatch(base)
    name = f"{folder}{slash}{match[1]}" if match else ""
    return name if is_name(name) else None


def _stored(name: str, status: os.stat_result) -> StoredObject:
    modified = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    return StoredObject(name=name, size=status.st_size, modified=modified)


def _permit(file: int | Path, mode: int) -> None:
    try:
        os.chmod(file, mode)
    except OSError as error:
        # We have just made it: only a file system without modes refuses.
        if error.errno not in _NO_MODES:
            raise


def _write_all(file: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]


def _write_back(file: int) -> None:
    """Start writing to the disk, and let go of what is there already.

    Without it 3 GB took 5.5 s, 1.1 s of them in the final fsync; with it 2.8 s and 0.01 s. It also keeps
    the backup from pushing the application's own files out of memory.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)


def _rename_to_new(partial: Path, path: Path) -> None:
    """Rename, but never over something: `rename` itself always replaces, so this is a second name first."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "exists already") from error
        os.rename(partial, path)
    else:
        with suppress(OSError):  # the object is whole; leftovers lists its second name
            os.unlink(partial)


def _sync_folder(folder: Path) -> None:
    """Make names in the folder survive a power cut, where the file system can do that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
