"""What the errors of Azure's libraries mean."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.looking import names_of

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, and those of all services
_AZURE_CODES: dict[str, Meaning] = {
    "ContainerNotFound": "no place",
    "ContainerBeingDeleted": "no place",
    "ContainerDisabled": "no place",
    "BlobNotFound": "missing",
    "ResourceNotFound": "missing",
    "BlobAlreadyExists": "exists",
    "ConditionNotMet": "exists",
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


def by_azure(error: BaseException) -> Meaning | None:
    """Of azure-core, azure-identity and azure-storage-blob."""
    names = names_of(error)
    if "azure.AzureError" not in names:
        return None
    code = getattr(error, "error_code", None)
    if code is not None:
        # The only one of the reasons for this code that needs another remedy.
        meaning: Meaning | None
        skewed = "date header too old" in str(error)
        meaning = "skewed" if skewed else _AZURE_CODES.get(str(getattr(code, "value", code)))
        # Leases, kinds of blobs, copies and more have these statuses, too.
        ambiguous = getattr(error, "status_code", None) in (409, 412)
        return "other" if meaning is None and ambiguous else meaning
    if "azure.ClientAuthenticationError" in names and getattr(error, "status_code", None) is None:
        return "credentials"  # no token was to be had
    if names & {"azure.ServiceRequestTimeoutError", "azure.ServiceResponseTimeoutError"}:
        return "timeout"
    if names & {"azure.ServiceRequestError", "azure.ServiceResponseError", "azure.IncompleteReadError"}:
        return "unreachable"
    return None
