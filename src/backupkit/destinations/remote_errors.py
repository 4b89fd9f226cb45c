"""What a store refuses, as an error that says what to do about it."""

from __future__ import annotations

from backupkit.destinations.local_errors import not_found
from backupkit.errors import (
    AccessDeniedError,
    DestinationError,
    ObjectExistsError,
    OutcomeUnknownError,
)
from backupkit.filesystems.failures import failure_of


def translated(error: BaseException, what: str, name: str | None, location: str) -> DestinationError:
    """Say that the object (or all of them, without a name) could not be `what`, and why."""
    failure = failure_of(error)
    if failure.meaning == "missing" and what != "written" and name is not None:
        return not_found(name, location)
    subject = f"The object {name!r}" if name else "The objects"
    reason = failure.reason
    if failure.meaning == "missing":
        reason = "the bucket, container or folder does not exist: create it, or correct the URL"
    elif failure.meaning == "other":
        reason = f"{type(error).__name__}, which is not expected here: look at its cause"
    message = f"{subject} could not be {what} at {location}: {reason}."
    kind: type[DestinationError] = DestinationError
    if failure.meaning == "exists":
        kind = ObjectExistsError
    elif failure.meaning in ("denied", "credentials"):
        kind = AccessDeniedError
    return kind(message, location=location, name=name, retryable=failure.passing)


def cannot_tell(name: str, location: str) -> OutcomeUnknownError:
    """For an object whose end was sent, when the store does not say whether it has it."""
    return OutcomeUnknownError(
        f"Whether {location} has kept the object {name!r} is not known, for it stopped answering at the very end: "
        "look at the list of what is there once it answers again.",
        location=location,
        name=name,
        retryable=True,
    )


def another_is_there(name: str, location: str) -> DestinationError:
    """For an object that was replaced, when it is not what was sent."""
    return DestinationError(
        f"The object {name!r} at {location} is not the one that was written: somebody else has replaced it at that "
        "moment, or the store is broken. Try again; if it stays so, do not trust it.",
        location=location,
        name=name,
        retryable=True,
    )
