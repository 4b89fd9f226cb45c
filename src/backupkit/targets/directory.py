"""`DirectoryTarget`: restored entries go below a folder, and nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from backupkit.errors import ConfigurationError, DestinationError, IntegrityError, RestoreError, SourceError
from backupkit.model import Entry, Problem, is_entry_path
from backupkit.sizes import format_size
from backupkit.targets.folders import Folders, lstat_in
from backupkit.targets.metadata import Metadata

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class DirectoryTarget:
    """Restores below `folder`, which is made if it is missing.

    No path leaves the folder and no symlink below it is followed, even while somebody else changes it; a
    symlink that points elsewhere is restored as it is, but nothing is written through it. A file is
    written as `.<name>.<random>.partial` beside its place, readable by its owner only, and takes its name
    when it is whole; one that fails leaves nothing. What exists already stays as it is and is a problem,
    unless `overwrite`: then files and links are replaced. A folder never gives way to a file, nor a file
    to a folder. Folders are merged; those that existed keep their mode and times unless `overwrite`.

    Set-user-id and set-group-id bits of files, and extended attributes that can grant rights
    (`security.*`, `trusted.*`), come back only with `setuid`. Owners come back when this runs as root, by
    name where this machine knows the name, else by number. A file without a recorded mode gets 0600.

    Nothing is forced to the disk (an fsync per file would dominate): after a power failure, restore again.
    """

    folder: str | os.PathLike[str]
    overwrite: bool = field(default=False, kw_only=True)
    setuid: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not os.fspath(self.folder):
            raise ConfigurationError("The folder to restore to is empty: name one, or '.' for this folder.")

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Yield what would keep `write` from succeeding; touches nothing and keeps no entry.

        The space that must be free counts the entries whose size is known.
        """
        folder = os.path.abspath(self.folder)
        base = folder
        while base != "/" and not os.path.lexists(base):
            base = os.path.dirname(base)
        if not os.path.isdir(base):
            yield Problem(message=f"{base!r} is not a folder: restore to another place.", path=folder)
            return
        if not os.access(base, os.R_OK | os.W_OK | os.X_OK):
            yield Problem(message=f"{base!r} cannot be written: change its mode or its owner.", path=folder)
            return
        try:
            disk = os.statvfs(base)
            opened = Folders(folder) if base == folder else nullcontext()
        except OSError as error:
            message = f"{base!r} cannot be looked into ({_reason(error)}): restore to another place."
            yield Problem(message=message, path=folder)
            return
        needed = 0
        with opened as folders:
            for entry in entries:
                try:
                    parent, name = _split(entry)
                    if folders is not None:
                        with suppress(FileNotFoundError):  # nothing is in the way where there is no folder
                            _check_free(entry, name, folders.open(parent), overwrite=self.overwrite)
                except (RestoreError, OSError) as error:
                    yield _problem(entry, error)
                if entry.kind == "file" and entry.size is not None:
                    needed += max(0, entry.size - sum(length for _, length in entry.holes))
        free = disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)
        if needed > free:
            yield Problem(
                message=f"{format_size(needed)} would be restored to {base!r}, "
                f"where {format_size(free)} are free: make room, or restore to another place.",
                path=folder,
            )

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Put the entries in place, in order, yielding a problem for each that could not be.

        RestoreError when the folder cannot be used or its disk is full. Folders get their modes and times
        at the end, when all that is in them is there.
        """
        folder = os.fspath(self.folder)
        try:
            os.makedirs(folder, exist_ok=True)
            folders = Folders(folder)
        except OSError as error:
            raise RestoreError(
                f"Nothing can be restored to {folder!r} ({_reason(error)}): "
                "name a folder that can be written, or one that can be made.",
                path=folder,
            ) from error
        with folders:
            writer = _Writer(folders, overwrite=self.overwrite, setuid=self.setuid)
            for entry in entries:
                writer.put(entry)
                yield from writer.problems()
            for entry in writer.unfinished_folders():
                writer.finish_folder(entry)
                yield from writer.problems()


class _Writer:
    """One restore: puts entries in place, collects problems, and remembers what later entries need."""

    def __init__(self, folders: Folders, *, overwrite: bool, setuid: bool) -> None:
        self._folders = folders
        self._overwrite = overwrite
        self._suffix = f".{os.urandom(4).hex()}.partial"
        self._problems: deque[Problem] = deque()
        self._metadata = Metadata(setuid=setuid, warn=self._problems.append)
        self._unfinished: list[Entry] = []
        self._written: set[str] = set()  # a hardlink is only ever linked to what this restore wrote
        self._stand_ins: dict[str, str] = {}  # first link to a file that is not being restored itself

    def problems(self) -> Iterator[Problem]:
        while self._problems:
            yield self._problems.popleft()

    def put(self, entry: Entry) -> None:
        self._guarded(self._put, entry)

    def unfinished_folders(self) -> Iterator[Entry]:
        """What is in a folder comes before it: its mode may lock us out."""
        yield from sorted(self._unfinished, key=lambda entry: entry.path.split("/"), reverse=True)

    def finish_folder(self, entry: Entry) -> None:
        self._guarded(lambda entry: self._metadata.apply(entry, self._folders.open(entry.path)), entry)

    def _guarded(self, action: Callable[[Entry], None], entry: Entry) -> None:
        try:
            action(entry)
        except DestinationError:
            raise  # some of its kinds are OSErrors too, but of the place that the content comes from
        except (RestoreError, IntegrityError, SourceError) as error:
            self._problems.append(_problem(entry, error))
        except OSError as error:
            if error.errno in _FULL:
                raise RestoreError(
                    f"The disk became full when {entry.path!r} was restored: "
                    "make room and restore again, with overwrite.",
                    path=entry.path,
                ) from error
            self._problems.append(_problem(entry, error))

    def _put(self, entry: Entry) -> None:
        folder, name = _split(entry)
        parent = self._folders.open(folder, create=True)
        _check_free(entry, name, parent, overwrite=self._overwrite)
        if entry.kind == "directory":
            self._put_folder(entry, name, parent)
        elif entry.kind == "symlink":
            self._put_symlink(entry, name, parent)
        elif entry.kind == "file" or not self._put_hardlink(entry, name, folder):
            self._put_file(entry, name, self._folders.open(folder))

    def _put_folder(self, entry: Entry, name: str, parent: int) -> None:
        try:
            os.mkdir(name, 0o755 if entry.mode is None else 0o700, dir_fd=parent)
        except FileExistsError:
            if not self._overwrite:
                return
        self._unfinished.append(entry)

    def _put_file(self, entry: Entry, name: str, parent: int) -> None:
        partial = self._partial(name)
        try:  # from here on, because Ctrl-C may come in the very moment in which the file has been made
            fd = os.open(partial, _NEW_FILE, 0o600, dir_fd=parent)
            try:
                if entry.holes:
                    _write_sparse(fd, entry.chunks(), entry.holes)
                else:
                    for chunk in entry.chunks():
                        _write_all(fd, chunk)
                self._metadata.apply(entry, fd)
            finally:
                os.close(fd)
            self._place(partial, name, parent)
        except BaseException:
            _discard(partial, parent)
            raise
        self._written.add(entry.path)

    def _put_symlink(self, entry: Entry, name: str, parent: int) -> None:
        if not entry.target or "\0" in entry.target:
            raise RestoreError(f"{entry.path!r} is a symlink to nothing: it was left out.", path=entry.path)
        partial = self._partial(name)
        try:
            os.symlink(entry.target, partial, dir_fd=parent)
            self._metadata.apply_to_symlink(entry, partial, parent)
            self._place(partial, name, parent)
        except BaseException:
            _discard(partial, parent)
            raise

    def _put_hardlink(self, entry: Entry, name: str, folder: str) -> bool:
        """Link to the file if this restore wrote it. If not, this entry's content stands in for it."""
        wanted = entry.target or ""
        target = self._stand_ins.get(wanted, wanted)
        if target not in self._written:
            self._stand_ins[wanted] = entry.path
            return False
        target_folder, _, target_name = target.rpartition("/")
        partial = self._partial(name)
        try:
            try:
                source = os.dup(self._folders.open(target_folder))  # a copy: the next call may close this one
                try:
                    parent = self._folders.open(folder)
                    os.link(target_name, partial, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
                finally:
                    os.close(source)
            except OSError:
                return False  # too many links, or a file system without them
            self._place(partial, name, parent)
        finally:  # also after success: a rename onto another link to the same file does nothing at all
            with suppress(OSError):
                _discard(partial, self._folders.open(folder))
        return True

    def _partial(self, name: str) -> str:
        return f".{name[:50]}{self._suffix}"  # 50 characters are at most 200 of the 255 bytes of a name

    def _place(self, partial: str, name: str, parent: int) -> None:
        """Give the finished file its name; without `overwrite` never in place of another."""
        if not self._overwrite:
            try:
                os.link(partial, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: the next best thing
                if lstat_in(name, parent) is not None:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            else:
                os.unlink(partial, dir_fd=parent)
                return
        os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)


def _split(entry: Entry) -> tuple[str, str]:
    """The entry's folder and its name in there."""
    if not is_entry_path(entry.path):
        raise RestoreError(
            f"{entry.path!r} is not a path inside a backup and was left out: "
            "it may have been made to write elsewhere.",
            path=entry.path,
        )
    folder, _, name = entry.path.rpartition("/")
    return folder, name


def _check_free(entry: Entry, name: str, parent: int, *, overwrite: bool) -> None:
    """RestoreError if something is at the entry's place that does not give way to it."""
    there = lstat_in(name, parent)
    if there is None:
        return
    folder = stat.S_ISDIR(there.st_mode)
    if folder and entry.kind == "directory":
        return
    if folder:
        why = "a folder is at its place: move that away"
    elif entry.kind == "directory":
        why = "something that is no folder is at its place: move that away"
    elif not overwrite:
        why = "it exists already: restore with overwrite, or to another folder"
    else:
        return
    raise RestoreError(f"{entry.path!r} was not restored, because {why}.", path=entry.path)


def _discard(partial: str, parent: int) -> None:
    with suppress(OSError):
        os.unlink(partial, dir_fd=parent)


def _write_all(fd: int, data: bytes | memoryview) -> None:
    written = os.write(fd, data)
    while written < len(data):  # more than 2 GiB at once, or a disk that is almost full
        written += os.write(fd, memoryview(data)[written:])


def _write_sparse(fd: int, chunks: Iterable[bytes], holes: Iterable[tuple[int, int]]) -> None:
    """Write the stream, but leave out what is zero in the ranges that are said to be holes."""
    ahead = deque((start, start + length) for start, length in sorted(holes))
    position = 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            while ahead and ahead[0][1] <= position:
                ahead.popleft()
            start, end = ahead[0] if ahead else (position + len(rest), 0)
            in_hole = start <= position
            piece = rest[: (end if in_hole else start) - position]
            if in_hole and bytes(piece).count(0) == len(piece):
                os.lseek(fd, len(piece), os.SEEK_CUR)
            else:
                _write_all(fd, piece)
            position += len(piece)
            rest = rest[len(piece) :]
    os.ftruncate(fd, position)


def _problem(entry: Entry, error: Exception) -> Problem:
    if isinstance(error, OSError):
        return Problem(message=f"{entry.path!r} was not restored: {_reason(error)}.", path=entry.path)
    return Problem(message=str(error), path=entry.path)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOTDIR, errno.ELOOP):
        return "a link or a file is in the place of a folder above it"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
