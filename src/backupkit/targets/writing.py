"""Putting entries in place, one after the other."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from backupkit.errors import DestinationError, IntegrityError, RestoreError, SourceError
from backupkit.model import Entry, Problem, is_entry_path
from backupkit.targets.folders import Folders, lstat_in
from backupkit.targets.limits import Tally
from backupkit.targets.metadata import Metadata
from backupkit.targets.nodes import NODES, make_node, place_of
from backupkit.targets.resuming import Finished, Leftovers, new_suffix, partial_name

_BLOCK = 4096  # the least that a hole is worth, of file systems on Linux and macOS
_ZEROS = bytes(_BLOCK)
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTS = "it exists already: restore with overwrite, or to another folder"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Writer:
    """One restore: puts entries in place, collects problems, and remembers what later entries need."""

    def __init__(
        self,
        folders: Folders,
        tally: Tally,
        *,
        overwrite: bool,
        setuid: bool,
        resume: bool,
        sparse: bool,
        skipped: Callable[[Entry], None] | None,
    ) -> None:
        self._folders = folders
        self._tally = tally
        self._overwrite = overwrite
        self._resume = resume
        self._sparse = sparse
        self._skipped = skipped
        self._suffix = new_suffix()
        self._problems: deque[Problem] = deque()
        self._metadata = Metadata(setuid=setuid, warn=self._problems.append)
        self._finished = Finished(self._metadata, comparing=not overwrite)
        self._leftovers = Leftovers(self._metadata)
        self._unfinished: list[Entry] = []
        self._made: set[str] = set()  # folders in which nothing can be but what this restore puts there
        self._written: set[str] = set()  # a hardlink is only ever linked to what is this restore's
        self._stand_ins: dict[str, str] = {}  # first link to a file that is not being restored itself

    def problems(self) -> Iterator[Problem]:
        while self._problems:
            yield self._problems.popleft()

    def put(self, entry: Entry) -> None:
        """Put one entry in place; RestoreError if the restore cannot go on."""
        self._tally.add(entry)
        self._tally.check()
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
            if self._tally.exceeded:
                raise
            self._problems.append(problem_of(entry, error))
        except OSError as error:
            if error.errno in _FULL:
                raise RestoreError(
                    f"The disk became full when {entry.path!r} was restored: "
                    "make room and restore again, with resume.",
                    path=entry.path,
                ) from error
            self._problems.append(problem_of(entry, error))

    def _put(self, entry: Entry) -> None:
        folder, name = split(entry)
        parent = self._folders.open(folder, create=True)
        if self._resume or entry.kind == "directory" or folder not in self._made:
            there = lstat_in(name, parent)
            if self._resume:
                self._leftovers.remove(entry, folder, name, parent)
                if self._is_finished(entry, there, name, parent):
                    return
            check_gives_way(entry, there, overwrite=self._overwrite)
        if entry.kind == "directory":
            self._put_folder(entry, name, parent)
        elif entry.kind == "symlink":
            self._put_symlink(entry, name, parent)
        elif entry.kind in NODES:
            self._put_node(entry, name, parent)
        elif entry.kind == "file" or not self._put_hardlink(entry, name, folder):
            self._put_file(entry, name, self._folders.open(folder))

    def _is_finished(self, entry: Entry, there: os.stat_result | None, name: str, parent: int) -> bool:
        standing = self._finished.standing(entry, there, name, parent)
        if standing == "other" or (
            standing == "unclear" and not self._finished.holds_content(entry, name, parent)
        ):
            return False
        if entry.kind == "file":
            self._written.add(entry.path)
        stands_in = entry.kind == "hardlink" and self._linked_to(entry) not in self._written
        if stands_in:
            self._stand_in(entry)
            self._written.add(entry.path)
        if entry.kind == "file" or stands_in:
            self._tally.size += entry.size or 0
            self._tally.check()
        if self._skipped is not None:
            self._skipped(entry)
        return True

    def _put_folder(self, entry: Entry, name: str, parent: int) -> None:
        try:
            os.mkdir(name, 0o755 if entry.mode is None else 0o700, dir_fd=parent)
        except FileExistsError:
            if not (self._overwrite or self._resume):
                return
        else:
            self._made.add(entry.path)
        self._unfinished.append(entry)

    def _put_file(self, entry: Entry, name: str, parent: int) -> None:
        unfinished = partial_name(name, self._suffix)
        try:  # from here on, because Ctrl-C may come in the very moment in which the file has been made
            fd = os.open(unfinished, _NEW_FILE, 0o600, dir_fd=parent)
            try:
                with self._content(entry, name, parent) as content:
                    chunks = self._tally.bounded(entry, content)
                    if self._sparse:
                        _write_without_zeros(fd, chunks)
                    elif entry.holes:
                        _write_sparse(fd, chunks, entry.holes)
                    else:
                        for chunk in chunks:
                            _write_all(fd, chunk)
                self._metadata.apply(entry, fd)
            finally:
                os.close(fd)
            self._place(unfinished, name, parent)
        except BaseException:
            _discard(unfinished, parent)
            raise
        self._written.add(entry.path)

    @contextmanager
    def _content(self, entry: Entry, name: str, parent: int) -> Iterator[Callable[[], Iterator[bytes]]]:
        """The entry's content, made of the file that it is going to replace as far as that is possible."""
        old = -1
        if self._overwrite and entry.reusing is not None:
            with suppress(OSError):  # there is none, or it may not be read
                old = os.open(name, _OLD_FILE, dir_fd=parent)
        try:
            if old >= 0 and entry.reusing is not None and stat.S_ISREG(os.fstat(old).st_mode):
                yield partial(entry.reusing, old)
            else:
                yield entry.chunks
        finally:
            if old >= 0:
                os.close(old)

    def _put_node(self, entry: Entry, name: str, parent: int) -> None:
        unfinished = partial_name(name, self._suffix)
        try:
            make_node(entry, unfinished, parent)
            with place_of(entry, unfinished, parent) as place:
                self._metadata.apply(entry, place)
            self._place(unfinished, name, parent)
        except BaseException:
            _discard(unfinished, parent)
            raise
        self._written.discard(entry.path)  # of a file that it replaced

    def _put_symlink(self, entry: Entry, name: str, parent: int) -> None:
        if not entry.target or "\0" in entry.target:
            raise RestoreError(f"{entry.path!r} is a symlink to nothing: it was left out.", path=entry.path)
        unfinished = partial_name(name, self._suffix)
        try:
            os.symlink(entry.target, unfinished, dir_fd=parent)
            self._metadata.apply_to_symlink(entry, unfinished, parent)
            self._place(unfinished, name, parent)
        except BaseException:
            _discard(unfinished, parent)
            raise
        self._written.discard(entry.path)  # of a file that it replaced

    def _put_hardlink(self, entry: Entry, name: str, folder: str) -> bool:
        """Link to the file if it is this restore's. If not, this entry's content stands in for it."""
        target = self._linked_to(entry)
        if target not in self._written:
            self._stand_in(entry)
            return False
        target_folder, _, target_name = target.rpartition("/")
        unfinished = partial_name(name, self._suffix)
        try:
            try:
                source = os.dup(self._folders.open(target_folder))  # a copy: the next call may close this one
                try:
                    parent = self._folders.open(folder)
                    os.link(
                        target_name, unfinished, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
                    )
                finally:
                    os.close(source)
            except OSError:
                return False  # too many links, or a file system without them
            self._place(unfinished, name, parent)
        finally:  # also after success: a rename onto another link to the same file does nothing at all
            with suppress(OSError):
                _discard(unfinished, self._folders.open(folder))
        return True

    def _linked_to(self, entry: Entry) -> str:
        wanted = entry.target or ""
        return self._stand_ins.get(wanted, wanted)

    def _stand_in(self, entry: Entry) -> None:
        self._stand_ins[entry.target or ""] = entry.path

    def _place(self, unfinished: str, name: str, parent: int) -> None:
        """Give the finished file its name; without `overwrite` never in place of another."""
        if not self._overwrite:
            try:
                os.link(unfinished, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links: the next best thing
                if lstat_in(name, parent) is not None:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            else:
                os.unlink(unfinished, dir_fd=parent)
                return
        os.rename(unfinished, name, src_dir_fd=parent, dst_dir_fd=parent)


def split(entry: Entry) -> tuple[str, str]:
    """The entry's folder and its name in there."""
    if not is_entry_path(entry.path):
        raise RestoreError(
            f"{entry.path!r} is not a path inside a backup and was left out: "
            "it may have been made to write elsewhere.",
            path=entry.path,
        )
    folder, _, name = entry.path.rpartition("/")
    return folder, name


def check_gives_way(entry: Entry, there: os.stat_result | None, *, overwrite: bool) -> None:
    """RestoreError if what is at the entry's place does not give way to it."""
    if there is None:
        return
    folder = stat.S_ISDIR(there.st_mode)
    if folder and entry.kind == "directory":
        return
    if folder:
        why = "a folder is at its place: move that away"
    elif entry.kind == "directory" and stat.S_ISLNK(there.st_mode):
        why = (
            "a link is at its place, which is not followed: restore to another folder, or make a folder of it"
        )
    elif entry.kind == "directory":
        why = "something that is no folder is at its place: move that away"
    elif not overwrite:
        why = _EXISTS
    else:
        return
    raise RestoreError(f"{entry.path!r} was not restored, because {why}.", path=entry.path)


def _discard(unfinished: str, parent: int) -> None:
    with suppress(OSError):
        os.unlink(unfinished, dir_fd=parent)


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


def _write_without_zeros(fd: int, chunks: Iterable[bytes]) -> None:
    """Write the stream to a new file, but leave out blocks of zeros, wherever they are."""
    position = 0
    for chunk in chunks:
        begin = at = 0
        while at < len(chunk):
            end = min(len(chunk), at + _BLOCK - (position + at) % _BLOCK)
            # No copy is made, and almost always the first byte decides: all 256 take 65 µs of a MiB.
            if chunk.startswith(_ZEROS[: end - at], at):
                if begin < at:
                    _write_all(fd, memoryview(chunk)[begin:at])
                os.lseek(fd, position + end, os.SEEK_SET)
                begin = end
            at = end
        if begin < at:
            _write_all(fd, memoryview(chunk)[begin:])
        position += len(chunk)
    os.ftruncate(fd, position)


def problem_of(entry: Entry, error: Exception) -> Problem:
    if isinstance(error, FileExistsError):
        return Problem(message=f"{entry.path!r} was not restored, because {_EXISTS}.", path=entry.path)
    if isinstance(error, OSError):
        return Problem(message=f"{entry.path!r} was not restored: {reason_of(error)}.", path=entry.path)
    return Problem(message=str(error), path=entry.path)


def reason_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOTDIR, errno.ELOOP):
        return "a link or a file is in the place of a folder above it"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
