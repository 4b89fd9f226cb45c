"""What the errors of the libraries mean. Many of them are no OSError; none of their texts is repeated."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
    for one in _chain(error):
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


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _meaning(error: BaseException) -> Meaning | None:
    for ask in (_by_library, _by_http, _by_system):
        if (meaning := ask(error)) is not None:
            return meaning
    return None


def _by_library(error: BaseException) -> Meaning | None:
    """By the code a store gives, or by the kind of an error that only one library has."""
    return _by_botocore(error)


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


def _by_http(error: BaseException) -> Meaning | None:
    for name in ("status", "status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 400 <= status < 600:
            return _BY_STATUS.get(status, "busy" if status >= 500 else None)
    return None


def _by_system(error: BaseException) -> Meaning | None:
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
