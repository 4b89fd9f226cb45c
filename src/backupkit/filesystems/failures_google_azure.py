"""What the errors of Google's and Azure's libraries mean, and those of aiohttp, over which both are reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backupkit.filesystems.failures import Meaning

# https://cloud.google.com/storage/docs/json_api/v1/status-codes
_GOOGLE_REASONS: dict[str, Meaning] = {
    "rateLimitExceeded": "busy",
    "userRateLimitExceeded": "busy",
    "quotaExceeded": "full",
}
# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, and those of all services
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
    "InvalidBlockList": "ended",  # another's commit drops all blocks that are not in it
    "Md5Mismatch": "busy",  # something was changed on its way
    "OperationTimedOut": "timeout",
    "ServerBusy": "busy",
    "InternalError": "busy",
}


def by_google(error: BaseException) -> Meaning | None:
    """Of google-auth, of gcsfs where it asks that, and of `gcs_requests`."""
    names = _names(error)
    if "google.GoogleAuthError" in names:
        passing = "google.TransportError" in names or getattr(error, "retryable", False)
        return "unreachable" if passing else "credentials"
    if "gcsfs.HttpError" in names and error.__cause__ is not None:
        return by_google(error.__cause__)  # a token that could not be renewed
    reason = getattr(error, "google_reason", None)
    if reason is None:
        return None
    if "bucket does not exist" in getattr(error, "message", ""):
        return "no place"
    return _GOOGLE_REASONS.get(reason)


def by_azure(error: BaseException) -> Meaning | None:
    """Of azure-core, azure-identity and azure-storage-blob."""
    names = _names(error)
    if "azure.AzureError" not in names:
        return None
    code = getattr(error, "error_code", None)
    if code is not None:
        # The only one of the reasons for this code that needs another remedy.
        skewed = "date header too old" in str(error)
        return "skewed" if skewed else _AZURE_CODES.get(str(getattr(code, "value", code)))
    if "azure.ClientAuthenticationError" in names and getattr(error, "status_code", None) is None:
        return "credentials"  # no token was to be had
    if names & {"azure.ServiceRequestTimeoutError", "azure.ServiceResponseTimeoutError"}:
        return "timeout"
    if names & {"azure.ServiceRequestError", "azure.ServiceResponseError", "azure.IncompleteReadError"}:
        return "unreachable"
    return None


def by_aiohttp(error: BaseException) -> Meaning | None:
    names = _names(error)
    if "aiohttp.ServerTimeoutError" in names:
        return "timeout"
    lost = {"aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError"}
    return "unreachable" if names & lost else None


def _names(error: BaseException) -> set[str]:
    """The error's classes, each with the package it is of: nothing is imported to find out that it is not its."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
