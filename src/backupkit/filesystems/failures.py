"""What the errors of the libraries mean. Many of them are no OSError; none of their texts is repeated."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from socket import gaierror
from typing import Literal, TypeAlias

from backupkit.filesystems.stores import PlaceMissingError, ReplacedError

Meaning: TypeAlias = Literal[
    "missing",  # there is no such object
    "no place",  # there is no such bucket, container or folder
    "exists",
    "credentials",  # they are wrong, missing or have expired
    "denied",  # they are right, and do not allow this
    "full",
    "unreachable",
    "timeout",
    "busy",  # the store asks for patience, or has a fault of its own
    "changed",  # the object was replaced while it was read
    "unsafe",  # whoever answers is not who should
    "skewed",  # the clocks differ
    "other",
]

REASONS: dict[Meaning, str] = {
    "missing": "there is no such object: look at the list of what is there",
    "no place": "the bucket, container or folder does not exist: create it, or correct the URL",
    "exists": "it is there already: choose another name, or delete it first",
    "credentials": "the credentials are missing, wrong or have expired: correct them",
    "denied": "these credentials do not allow it: give them that right, or use others",
    "full": "the store is full, or its quota used up: make room, ask for more, or keep fewer backups there",
    "unreachable": "it could not be reached: check its address, the network and the service",
    "timeout": "it did not answer in time: check the network and the service, then try again",
    "busy": "the store is overloaded or has a fault of its own: try again later",
    "changed": "it was replaced while it was read: try again",
    "unsafe": "its certificate or host key could not be verified: find out who answers there, then trust that key",
    "skewed": "the store's clock and this machine's differ too much: set this machine's clock",
    "other": "an error that is not expected here: look at its cause",
}
_PASSING: set[Meaning] = {"unreachable", "timeout", "busy", "changed"}

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

_BY_STATUS: dict[int, Meaning] = {
    401: "credentials",
    403: "denied",
    404: "missing",
    408: "timeout",
    409: "exists",
    412: "exists",
    423: "busy",
    429: "busy",
    507: "full",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error means. `passing` says that the same call may succeed later."""

    meaning: Meaning

    @property
    def passing(self) -> bool:
        return self.meaning in _PASSING

    @property
    def reason(self) -> str:
        """Why it failed and what to do about it, to stand behind a colon."""
        return REASONS[self.meaning]


def failure_of(error: BaseException) -> Failure:
    """What it means, by itself or by the errors that caused it."""
    chain = [*_chain(error)]
    if any(_is_untrusted(one) for one in chain):
        return Failure("unsafe")  # whatever those made of it through whose hands it went
    for one in chain:
        meaning = _meaning(one)
        if meaning is not None:
            return Failure(meaning)
    return Failure("other")


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, Exception) and failure_of(error).passing


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _is_untrusted(error: BaseException) -> bool:
    return type(error).__name__ == "SSLCertVerificationError"


def _meaning(error: BaseException) -> Meaning | None:
    for ask in (_by_store, _by_library, _by_http, _by_system):
        if (meaning := ask(error)) is not None:
            return meaning
    return None


def _by_library(error: BaseException) -> Meaning | None:
    """By the code a store gives, or by the kind of an error that only one library has."""
    for ask in (_by_ftp, _by_smb, _by_ssh, _by_webdav):
        if (meaning := ask(error)) is not None:
            return meaning
    return None


def _by_store(error: BaseException) -> Meaning | None:
    if isinstance(error, PlaceMissingError):
        return "no place"
    return "changed" if isinstance(error, ReplacedError) else None


# By name, lest a library be imported to find out that its errors did not occur.
_BY_SSH: dict[str, Meaning] = {
    "PermissionDenied": "credentials",
    "IllegalUserName": "credentials",
    "PasswordChangeRequired": "credentials",
    "KeyImportError": "credentials",
    "KeyEncryptionError": "credentials",
    "HostKeyNotVerifiable": "unsafe",
    "MACError": "unsafe",
    "ConnectionLost": "unreachable",
    "ServiceNotAvailable": "unreachable",
    "SFTPConnectionLost": "unreachable",
    "SFTPNoConnection": "unreachable",
    "SFTPNoSuchFile": "missing",
    "SFTPNoSuchPath": "missing",
    "SFTPNotADirectory": "missing",
    "SFTPFileAlreadyExists": "exists",
    "SFTPPermissionDenied": "denied",
    "SFTPWriteProtect": "denied",
    "SFTPCannotDelete": "denied",
    "SFTPNoSpaceOnFilesystem": "full",
    "SFTPQuotaExceeded": "full",
    "SFTPLockConflict": "busy",
}


def _by_ssh(error: BaseException) -> Meaning | None:
    kind = type(error)
    return _BY_SSH.get(kind.__name__) if kind.__module__.partition(".")[0] == "asyncssh" else None


_BY_WEBDAV: dict[str, Meaning] = {
    "ForbiddenOperation": "denied",
    "InsufficientStorage": "full",
    "BadGatewayError": "busy",
    "ResourceLocked": "busy",
    "ResourceAlreadyExists": "exists",
    "ResourceConflict": "missing",  # the folder above is
    "ResourceNotFound": "missing",
}


def _by_webdav(error: BaseException) -> Meaning | None:
    kind = type(error)
    package = kind.__module__.partition(".")[0]
    if package == "webdav4":
        if getattr(error, "status_code", None) == 409:
            return "missing"
        return _BY_WEBDAV.get(kind.__name__)
    if package != "httpx":
        return None
    names = {one.__name__ for one in kind.__mro__}
    if "TimeoutException" in names:
        return "timeout"
    return "unreachable" if {"NetworkError", "RemoteProtocolError", "ProxyError"} & names else None


_BY_SMB: dict[str, Meaning] = {
    "SMBAuthenticationError": "credentials",
    "LogonFailure": "credentials",
    "PasswordExpired": "credentials",
    "WrongPassword": "credentials",
    "AccessDenied": "denied",
    "CannotDelete": "denied",
    "BadNetworkName": "no place",
    "DiskFull": "full",
    "ObjectNameNotFound": "missing",
    "ObjectPathNotFound": "missing",
    "ObjectNameCollision": "exists",
    "SMBConnectionClosed": "unreachable",
    "UserSessionDeleted": "unreachable",
    "IOTimeout": "timeout",
    "InsuffServerResources": "busy",
    "ServerUnavailable": "busy",
    "SharingViolation": "busy",
}


def _by_smb(error: BaseException) -> Meaning | None:
    kind = type(error)
    return _BY_SMB.get(kind.__name__) if kind.__module__ == "smbprotocol.exceptions" else None


# RFC 959, 4.2.1
_BY_FTP: dict[str, Meaning] = {
    "421": "unreachable",
    "425": "unreachable",
    "426": "unreachable",
    "430": "credentials",
    "450": "busy",
    "451": "busy",
    "452": "full",
    "530": "credentials",
    "532": "credentials",
    "552": "full",
    "553": "denied",
}


def _by_ftp(error: BaseException) -> Meaning | None:
    if isinstance(error, EOFError):  # which is how ftplib says that the connection has ended
        return "unreachable"
    if type(error).__module__ != "ftplib":
        return None
    text = str(error)
    if text.startswith("550"):  # for all that may be wrong with a file
        return "denied" if re.search(r"(?i)permission|denied|not (allowed|enough)", text) else "missing"
    return _BY_FTP.get(text[:3])


def _by_http(error: BaseException) -> Meaning | None:
    for name in ("status", "status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 400 <= status < 600:
            return _BY_STATUS.get(status, "busy" if status >= 500 else None)
    return None


def _by_system(error: BaseException) -> Meaning | None:
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
