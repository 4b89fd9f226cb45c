"""What the errors of Google's libraries and of gcsfs mean."""

from __future__ import annotations

from backupkit.filesystems.meanings import Meaning
from backupkit.filesystems.meanings.looking import names_of

# https://cloud.google.com/storage/docs/json_api/v1/status-codes
_GOOGLE_REASONS: dict[str, Meaning] = {
    "rateLimitExceeded": "busy",
    "userRateLimitExceeded": "busy",
    "quotaExceeded": "full",
}


def by_google(error: BaseException) -> Meaning | None:
    """Of google-auth, of gcsfs where it asks that, and of `gcs_requests`."""
    names = names_of(error)
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
