"""What the errors of botocore and s3fs mean, whose codes are those of S3."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.http import by_status
from backupkit.filesystems.meanings.looking import causes

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
    "ResponseParserError": "strange",
}


def s3_code(error: BaseException) -> str | None:
    """The code that S3 gave for an error of botocore, or the status where an answer has no body; else None."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code")) if isinstance(answer, dict) else None


def by_botocore(error: BaseException) -> Meaning | None:
    kind = type(error)
    if kind.__name__ == "FileExpired" and kind.__module__.startswith("s3fs"):
        return "changed"
    if kind.__module__.startswith(("botocore", "aiobotocore")):
        if kind.__name__ == "SSLError":
            # A connection that ends while it is made proves nothing of whom it was to.
            lost = any(type(one).__name__ in ("SSLEOFError", "SSLZeroReturnError") for one in causes(error))
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
    return meaning or by_status(status)
