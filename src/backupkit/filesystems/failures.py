"""What the errors of the libraries mean. Many of them are no OSError; none of their texts is repeated."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from socket import gaierror
from typing import Literal, TypeAlias

from backupkit.filesystems.failures_google_azure import by_aiohttp, by_azure, by_google
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
    "ended",  # somebody ended the upload before it was whole
    "archived",  # it lies in cold storage, which must bring it back first
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
    "ended": "somebody else ended the unfinished upload: find the rule of the store, or the host, that does it too "
    "soon, then try again",
    "archived": "it lies in cold storage: have the store bring it back, then try again",
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
    """Whether the very same call may succeed later; one that asks for the old state of an object may not."""
    if not isinstance(error, Exception):
        return False
    failure = failure_of(error)
    return failure.passing and failure.meaning != "changed"


def asked_to_wait(error: BaseException) -> float:
    """For how many seconds the store asked not to be called again (`Retry-After`); 0 if it did not."""
    seconds = getattr(error, "backoff", None)  # dropbox
    return max(float(seconds), 0.0) if isinstance(seconds, int | float) else 0.0


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
    for ask in (_by_store, _by_library, _by_dropbox, _by_requests, _by_http, _by_system):
        if (meaning := ask(error)) is not None:
            return meaning
    return None


def _by_library(error: BaseException) -> Meaning | None:
    """By the code a store gives, or by the kind of an error that only one library has."""
    for ask in (_by_botocore, _by_ftp, _by_smb, _by_ssh, _by_webdav, by_google, by_azure, by_aiohttp):
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


_BY_S3_CODE: dict[str, Meaning] = {
    "NoSuchKey": "missing",
    "NoSuchVersion": "missing",
    "NoSuchBucket": "no place",
    "NoSuchUpload": "ended",
    "InvalidAccessKeyId": "credentials",
    "SignatureDoesNotMatch": "credentials",
    "ExpiredToken": "credentials",
    "InvalidToken": "credentials",
    "TokenRefreshRequired": "credentials",
    "InvalidSecurity": "credentials",
    "CredentialsNotSupported": "credentials",
    "UnauthorizedAccess": "credentials",
    "RequestTimeTooSkewed": "skewed",
    "RequestExpired": "skewed",
    "EntityTooLarge": "full",
    "QuotaExceeded": "full",
    "InsufficientCapacity": "full",
    "XMinioStorageFull": "full",
    "XMinioAdminBucketQuotaExceeded": "full",
    "PreconditionFailed": "exists",
    "ConditionalRequestConflict": "busy",
    "OperationAborted": "busy",
    "SlowDown": "busy",
    "Throttling": "busy",
    "RequestLimitExceeded": "busy",
    "BadDigest": "busy",  # something was changed on its way
    "IncompleteBody": "busy",
    "RequestTimeout": "timeout",
    "InvalidObjectState": "archived",
}
_BY_BOTOCORE_ERROR: dict[str, Meaning] = {
    "NoCredentialsError": "credentials",
    "PartialCredentialsError": "credentials",
    "CredentialRetrievalError": "credentials",
    "TokenRetrievalError": "credentials",
    "SSOTokenLoadError": "credentials",
    "UnauthorizedSSOTokenError": "credentials",
    "ProfileNotFound": "credentials",
    "ConnectTimeoutError": "timeout",
    "ReadTimeoutError": "timeout",
    "EndpointConnectionError": "unreachable",
    "ProxyConnectionError": "unreachable",
    "ConnectionClosedError": "unreachable",
    "HTTPClientError": "unreachable",
    "IncompleteReadError": "unreachable",
    "ResponseStreamingError": "unreachable",
    "ResponseParserError": "busy",  # whoever answers in its place
}


def s3_code(error: BaseException) -> str | None:
    """The code that S3 gave for an error of botocore, or the status where an answer has no body; else None."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code")) if isinstance(answer, dict) else None


def _by_botocore(error: BaseException) -> Meaning | None:
    kind = type(error)
    if kind.__name__ == "FileExpired" and kind.__module__.startswith("s3fs"):
        return "changed"
    if kind.__module__.startswith(("botocore", "aiobotocore")):
        if kind.__name__ == "SSLError":
            # A connection that ends while it is made proves nothing of whom it was to.
            lost = any(type(one).__name__ in ("SSLEOFError", "SSLZeroReturnError") for one in _chain(error))
            return "unreachable" if lost else "unsafe"
        if kind.__name__ in _BY_BOTOCORE_ERROR:
            return _BY_BOTOCORE_ERROR[kind.__name__]
    elif kind.__module__.startswith("aiohttp") and kind.__name__ in (
        "ClientPayloadError",
        "ServerDisconnectedError",
    ):
        return "unreachable"  # while a body was read, which botocore does not see
    code = s3_code(error)
    if code is None:
        return None
    meaning = _BY_S3_CODE.get(code)
    if meaning == "exists" and getattr(error, "operation_name", "") == "GetObject":
        return "changed"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)  # type: ignore[attr-defined]
    return meaning or _BY_STATUS.get(status, "busy" if status >= 500 else None)


# https://www.dropbox.com/developers/documentation/http/documentation, and the docstrings of dropbox.files and .auth
_BY_DROPBOX_TAG: dict[str, Meaning] = {
    "not_found": "missing",
    "not_file": "missing",
    "not_folder": "missing",
    "conflict": "exists",
    "insufficient_space": "full",
    "team_folder_insufficient_space": "full",
    "member_folder_insufficient_space": "full",
    "upload_traffic_limit_reached": "full",
    "too_large": "full",
    "too_many_write_operations": "busy",
    "content_hash_mismatch": "busy",  # bytes were changed on the way, and the store noticed
    "locked": "busy",
    "reset": "changed",
    "no_write_permission": "denied",
    "access_restricted": "denied",
    "operation_suppressed": "denied",
    "restricted_content": "denied",
    "team_folder": "denied",
}
_OF_A_SESSION = {"UploadSessionAppendError", "UploadSessionLookupError"}


def _by_dropbox(error: BaseException) -> Meaning | None:
    if type(error).__module__ != "dropbox.exceptions":
        return None
    kind = type(error).__name__
    if kind == "AuthError":
        denied = {"missing_scope", "route_access_denied"} & {*_tags(error)}
        return "denied" if denied else "credentials"
    if kind == "BadInputError" and "access token" in str(getattr(error, "message", "")):
        return "credentials"  # a malformed one
    if kind == "PathRootError":
        return "no place"
    if kind != "ApiError":
        return None  # it has a status
    return next((_BY_DROPBOX_TAG[tag] for tag in _tags(error) if tag in _BY_DROPBOX_TAG), "other")


def _tags(error: BaseException) -> Iterator[str]:
    """What the answer says, from the outside in: path, conflict, file."""
    value = getattr(error, "error", None)
    while value is not None:
        tag = getattr(value, "_tag", None)
        if tag == "not_found" and type(value).__name__ in _OF_A_SESSION:
            return  # no file is missing
        if tag is not None:
            yield tag
        value = getattr(value, "_value", None) if tag is not None else getattr(value, "reason", None)


def _by_requests(error: BaseException) -> Meaning | None:
    kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "requests.exceptions"}
    if "Timeout" in kinds:
        return "timeout"
    if "SSLError" in kinds and _refused_certificate(error):
        return "unsafe"
    if kinds & {"ConnectionError", "ChunkedEncodingError", "ContentDecodingError"}:
        # One that ends while a body is sent or read is said to be a lost connection.
        late = any(isinstance(one, TimeoutError) for one in _chain(error)) or "timed out" in str(error)
        return "timeout" if late else "unreachable"
    return None


def _refused_certificate(error: object) -> bool:
    """Whether that is at the bottom of it; urllib3 puts errors into each other's arguments."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return True
    inner = [*getattr(error, "args", ()), getattr(error, "reason", None)]
    return any(_refused_certificate(one) for one in inner if isinstance(one, BaseException))


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
