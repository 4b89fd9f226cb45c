"""What the errors of the operating system mean, and of the libraries that speak as it does."""

from __future__ import annotations

import errno
from socket import gaierror

from backupkit.filesystems.meanings import Meaning

_BY_ERRNO: dict[int, Meaning] = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EEXIST: "exists",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.ETIMEDOUT: "timeout",
    errno.EIO: "busy",
    errno.ESTALE: "busy",
    errno.EBUSY: "busy",
    errno.EAGAIN: "busy",
    errno.EPIPE: "unreachable",
    errno.ECONNRESET: "unreachable",
    errno.ECONNREFUSED: "unreachable",
    errno.ECONNABORTED: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
}


def by_system(error: BaseException) -> Meaning | None:
    if isinstance(error, gaierror):
        return "unreachable"
    if type(error).__module__ == "ssl":
        return "unreachable"  # their numbers are those of OpenSSL
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, FileExistsError):
        return "exists"
    if isinstance(error, PermissionError):
        return "denied"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionError):
        return "unreachable"
    return None
