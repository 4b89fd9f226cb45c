"""What the errors of the Dropbox SDK mean."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.filesystems.meanings import Meaning

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


def by_dropbox(error: BaseException) -> Meaning | None:
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
