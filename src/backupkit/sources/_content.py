"""Reading one file: its content, its holes, its extended attributes, and what went wrong, in words."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from backupkit.errors import SourceError
from backupkit.model import Problem

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
NO_XATTRS: Mapping[str, bytes] = MappingProxyType({})
GONE = (errno.ENOENT, errno.ENOTDIR)
WORTH_ANOTHER_TRY = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR)


def read_xattrs(full: str, *, follow: bool) -> Mapping[str, bytes]:
    if sys.platform != "linux":  # the standard library has them there only
        return NO_XATTRS
    try:
        names = os.listxattr(full, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, *GONE):  # what is gone is told when its content is read
            return NO_XATTRS
        raise
    xattrs: dict[str, bytes] = {}
    for name in names:
        try:
            xattrs[name] = os.getxattr(full, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP, *GONE):  # removed in between
                raise
    return xattrs or NO_XATTRS


def read_file(
    full: str, path: str, listed: os.stat_result, sparse: bool, follow: bool, warnings: list[Problem]
) -> Iterator[bytes]:
    """Yield the file as it is when opened, in chunks of 1 MiB, the last one shorter."""
    try:
        descriptor = _open(full, follow)
    except OSError as error:
        raise _unreadable(full, path, error) from error
    try:
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):
            raise SourceError(
                f"{full!r} was replaced by something that is no file while the backup ran.", path=path
            )
        if (opened.st_dev, opened.st_ino) != (listed.st_dev, listed.st_ino):
            # Its mode, and the links that later entries have to it, are those of another file.
            raise _changed(full, path, "was replaced")
        if sparse and (opened.st_mtime_ns, opened.st_size) != (listed.st_mtime_ns, listed.st_size):
            # The holes in its entry are no longer known to be holes.
            raise _changed(full, path, "was rewritten")
        if opened.st_size > _CHUNK and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        for position in range(0, opened.st_size, _CHUNK):
            want = min(_CHUNK, opened.st_size - position)
            if sparse and _next_data(descriptor, position, opened.st_size) >= position + want:
                yield _ZEROS[:want]
                continue
            chunk = os.pread(descriptor, want, position)
            while len(chunk) < want:
                more = os.pread(descriptor, want - len(chunk), position + len(chunk))
                if not more:
                    raise _changed(full, path, "shrank")
                chunk += more
            yield chunk
        closed = os.fstat(descriptor)
        if closed.st_size == 0 and os.pread(descriptor, 1, 0):
            raise SourceError(
                f"{full!r} says that it is empty and is not, as files of the kernel do: exclude it, or read it "
                "with a Command.",
                path=path,
            )
    except OSError as error:
        raise _unreadable(full, path, error) from error
    finally:
        os.close(descriptor)
    if closed.st_size < opened.st_size:
        raise _changed(full, path, "shrank")
    if closed.st_size > opened.st_size:
        grew = warning(path, f"{full!r} grew while it was read: it is stored as it was when opened.")
        if grew not in warnings:
            warnings.append(grew)
    elif closed.st_mtime_ns != opened.st_mtime_ns:
        raise _changed(full, path, "was rewritten")


def _open(full: str, follow: bool) -> int:
    # O_NONBLOCK: a named pipe that took the file's place would be waited for until someone writes to it.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(full, flags if follow else flags | os.O_NOFOLLOW)


def find_holes(full: str, status: os.stat_result, follow: bool) -> tuple[tuple[int, int], ...]:
    """Return the ranges without data of a file that occupies less than its size; () if they cannot be had."""
    size = status.st_size
    if status.st_blocks * 512 >= size or not hasattr(os, "SEEK_HOLE"):
        return ()
    try:
        descriptor = _open(full, follow)
    except OSError:
        return ()  # reading it will tell
    holes = []
    try:
        position = 0
        while position < size:
            data = min(_next_data(descriptor, position, size), size)
            if data > position:
                holes.append((position, data - position))
            position = os.lseek(descriptor, data, os.SEEK_HOLE) if data < size else size
    except OSError:
        return ()
    finally:
        os.close(descriptor)
    return tuple(holes)


def _next_data(descriptor: int, position: int, size: int) -> int:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # none up to the end
            return size
        raise


def could_not_be_read(full: str, error: OSError) -> str:
    # repr: names may hold newlines, terminal sequences and what no terminal's encoding can print.
    return f"{full!r} could not be read ({error.strerror or error}): correct this, or exclude it."


def _unreadable(full: str, path: str, error: OSError) -> SourceError:
    if error.errno in GONE:
        return SourceError(f"{full!r} was deleted before it could be read.", path=path, severity="warning")
    if error.errno == errno.ELOOP:
        return SourceError(f"{full!r} was replaced by a link while the backup ran.", path=path)
    return SourceError(could_not_be_read(full, error), path=path, retryable=error.errno in WORTH_ANOTHER_TRY)


def _changed(full: str, path: str, how: str) -> SourceError:
    return SourceError(
        f"{full!r} {how} while it was read: stop what writes to it, back up a snapshot, or exclude it.",
        path=path,
    )


def problem(full: str, path: str, error: OSError) -> Problem:
    if error.errno in GONE:
        return warning(path, f"{full!r} was deleted while the backup ran.")
    return Problem(message=could_not_be_read(full, error), path=path)


def warning(path: str, message: str) -> Problem:
    return Problem(message=message, severity="warning", path=path)
