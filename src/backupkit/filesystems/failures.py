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


class ChangedError(Exception):
    """A file was replaced, or deleted, while it was read. Only reading all of it again may help."""


def failure_of(error: BaseException) -> Failure:
    """What it means, by itself or by the errors that caused it."""
    if any("ssl.SSLCertVerificationError" in _names(one) for one in _chain(error)):
        return Failure("unsafe")  # whatever the libraries make of it
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
    if isinstance(error, ChangedError):
        return "changed"
    return _by_botocore(error) or _by_google(error) or _by_azure(error) or _by_aiohttp(error)


_GOOGLE_REASONS: dict[str, Meaning] = {
    "rateLimitExceeded": "busy",
    "userRateLimitExceeded": "busy",
    "quotaExceeded": "full",
}


def _by_google(error: BaseException) -> Meaning | None:
    """https://cloud.google.com/storage/docs/json_api/v1/status-codes, and what google-auth raises."""
    names = _names(error)
    if "google.GoogleAuthError" in names:
        passing = "google.TransportError" in names or getattr(error, "retryable", False)
        return "unreachable" if passing else "credentials"
    if "gcsfs.HttpError" in names and error.__cause__ is not None:
        return _by_google(error.__cause__)  # a token that could not be renewed
    reason = getattr(error, "google_reason", None)
    if reason is None:
        return None
    if "bucket does not exist" in getattr(error, "message", ""):
        return "no place"
    return _GOOGLE_REASONS.get(reason)


_AZURE_CODES: dict[str, Meaning] = {
    "ContainerNotFound": "no place",
    "ContainerBeingDeleted": "no place",
    "ContainerDisabled": "no place",
    "BlobNotFound": "missing",
    "ResourceNotFound": "missing",
    "BlobAlreadyExists": "exists",
    "AuthenticationFailed": "credentials",
    "InvalidAuthenticationInfo": "credentials",
    "NoAuthenticationInformation": "credentials",
    "AuthorizationFailure": "denied",
    "AuthorizationPermissionMismatch": "denied",
    "InsufficientAccountPermissions": "denied",
    "AccountIsDisabled": "denied",
    "BlobImmutableDueToPolicy": "denied",
    "LeaseIdMissing": "denied",
    "SnapshotsPresent": "denied",
    "BlobArchived": "archived",
    "BlobBeingRehydrated": "archived",
    "InvalidBlockList": "ended",
    "Md5Mismatch": "busy",  # something was changed on its way
    "OperationTimedOut": "timeout",
    "ServerBusy": "busy",
    "InternalError": "busy",
}


def _by_azure(error: BaseException) -> Meaning | None:
    """https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, and what the SDK raises."""
    names = _names(error)
    if "azure.AzureError" not in names:
        return None
    if "azure.ClientAuthenticationError" in names and getattr(error, "status_code", None) is None:
        return "credentials"  # no token was to be had
    code = getattr(error, "error_code", None)
    if "date header too old" in str(error):
        return "skewed"
    if code is not None:
        return _AZURE_CODES.get(str(getattr(code, "value", code)))
    if names & {"azure.ServiceRequestTimeoutError", "azure.ServiceResponseTimeoutError"}:
        return "timeout"
    if names & {"azure.ServiceRequestError", "azure.ServiceResponseError", "azure.IncompleteReadError"}:
        return "unreachable"
    return None


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


def _by_aiohttp(error: BaseException) -> Meaning | None:
    names = _names(error)
    if "aiohttp.ServerTimeoutError" in names:
        return "timeout"
    if names & {"aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError", "aiohttp.ClientOSError"}:
        return "unreachable"
    if names & {"requests.Timeout"}:
        return "timeout"
    return "unreachable" if "requests.ConnectionError" in names else None


def _names(error: BaseException) -> set[str]:
    """The error's classes, each as the library it is of and its name: nothing is imported for asking."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}


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
