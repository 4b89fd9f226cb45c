"""What a store refuses, as an error that says what to do about it."""

from __future__ import annotations

from backupkit.destinations.local_errors import not_found
from backupkit.errors import (
    AccessDeniedError,
    DestinationError,
    ObjectExistsError,
    OutcomeUnknownError,
    not_kept_whole,
)
from backupkit.filesystems.failures import REASONS, failure_of
from backupkit.filesystems.stores import CutShortError


def translated(error: BaseException, what: str, name: str | None, location: str) -> DestinationError:
    """Say that the object (or all of them, without a name) could not be `what`, and why."""
    if isinstance(error, CutShortError) and name is not None:
        return not_kept_whole(location, name, stored=error.kept, given=error.sent)
    failure = failure_of(error)
    if failure.meaning == "missing" and what != "written" and name is not None:
        return not_found(name, location)
    subject = f"The object {name!r}" if name else "The objects"
    reason = failure.reason
    if failure.meaning == "missing":
        reason = REASONS["no place"]
    elif failure.meaning == "other":
        reason = f"{type(error).__name__}, which is not expected here: look at its cause"
    message = f"{subject} could not be {what} at {location}: {reason}."
    kind: type[DestinationError] = DestinationError
    if failure.meaning == "exists":
        kind = ObjectExistsError
    elif failure.meaning in ("denied", "credentials"):
        kind = AccessDeniedError
    return kind(message, location=location, name=name, retryable=failure.passing)


def overtaken(name: str, location: str) -> DestinationError:
    """For an object that is another one when it is looked at, and so perhaps another writer's, and good."""
    return DestinationError(
        f"The object {name!r} at {location} is not the one that was written: another writer has replaced it at "
        "that very moment, or the store is broken. See to it that only one writes it, and try again.",
        location=location,
        name=name,
        retryable=True,
    )


def cannot_tell(name: str, location: str) -> OutcomeUnknownError:
    """For an object whose end was sent, when the store does not say whether it has it."""
    return OutcomeUnknownError(
        f"Whether {location} has kept the object {name!r} is not known, for it stopped answering at the very end: "
        "look at the list of what is there once it answers again.",
        location=location,
        name=name,
        retryable=True,
    )
