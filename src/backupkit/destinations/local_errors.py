"""What a file system refuses, as an error that says what to do about it."""

from __future__ import annotations

import errno

from backupkit.errors import AccessDeniedError, DestinationError, ObjectExistsError, ObjectNotFoundError

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT}

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space on it, or keep fewer backups there",
    errno.EDQUOT: "the disk quota is used up: ask for a larger one, or keep fewer backups there",
    errno.EFBIG: (
        "the file is larger than the file system or a limit of this process allows: "
        "use another file system, or raise the limit (ulimit -f)"
    ),
    errno.EROFS: "the file system is read-only: mount it writable, or use another folder",
    errno.EACCES: "permission denied: give this user the right to the folder, or use another one",
    errno.EPERM: "the operation is not permitted: give this user the right to the folder, or use another one",
    errno.EIO: "input/output error: look for a failing disk or connection in the system log, then try again",
    errno.ESTALE: "the network file system lost the file: check its server, then try again",
    errno.ETIMEDOUT: "the file system did not answer in time: check the connection, then try again",
    errno.ENOENT: "something removed it meanwhile: let nothing but backupkit clean this folder",
}


def not_found(name: str | None, location: str) -> ObjectNotFoundError:
    return ObjectNotFoundError(
        f"There is no object {name!r} at {location}: look at the list of what is there.",
        location=location,
        name=name,
    )


def translated(error: OSError, what: str, name: str | None, location: str) -> DestinationError:
    """Say that the object (or all of them, without a name) could not be `what`, and why."""
    if error.errno == errno.EEXIST:
        return ObjectExistsError(
            f"The object {name!r} is at {location} already and was left as it is: "
            "choose another name, or delete it first.",
            location=location,
            name=name,
        )
    subject = f"The object {name!r}" if name else "The objects"
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}: look at that folder")
    message = f"{subject} could not be {what} at {location}: {reason}."
    if error.errno in _DENIED:
        return AccessDeniedError(message, location=location, name=name)
    return DestinationError(message, location=location, name=name, retryable=error.errno in _PASSING)
