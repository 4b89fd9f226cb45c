"""Every error this library raises on purpose.

    BackupKitError
    ├── ConfigurationError              wrong before any byte moved
    │   ├── SettingsError               all that is wrong with a file of settings
    │   └── UnsupportedCodecError       this format cannot record that compressor or encryptor
    ├── SourceError                     what should be backed up could not be read
    ├── HookError                       a hook around a source failed: the run fails with it
    ├── DestinationError                a destination did not do as asked
    │   ├── ObjectNotFoundError         (also FileNotFoundError)
    │   ├── ObjectExistsError           (also FileExistsError)
    │   ├── AccessDeniedError           (also PermissionError)
    │   └── OutcomeUnknownError         whether it did is not known
    ├── RepositoryError                 the backups as a whole
    │   ├── RepositoryNotFoundError
    │   ├── RepositoryLockedError       another process uses them in a way that this one cannot stand
    │   └── BackupNotFoundError
    ├── WrongPassphraseError
    ├── IntegrityError                  the bytes are not the bytes that were written
    ├── RestoreError                    an entry could not be put in place
    ├── NotificationError               a notifier or the history could not be reached, or refused
    ├── BackupAlreadyRunningError
    └── OperationCancelledError

An operation that failed at several destinations raises an `ExceptionGroup` of these. Messages are one
sentence – what failed, on what, where – and then what to do about it; they never hold a secret. The
original exception is `__cause__`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backupkit.model import Report


class BackupKitError(Exception):
    """The root of the tree. `report` is set when an operation of a pipeline raised this."""

    report: Report | None = None

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are attributes, not args: without this, queues could not carry these errors.
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[BackupKitError], args: tuple[object, ...]) -> BackupKitError:
    error = kind.__new__(kind)
    error.args = args
    return error


def told(error: BaseException) -> str:
    """What a message may say of an error that is not ours: passwords in URLs and command lines are left out."""
    from subprocess import CalledProcessError, TimeoutExpired

    if isinstance(error, BackupKitError):
        return str(error)
    if isinstance(error, CalledProcessError):
        return f"a command ended with status {error.returncode}"
    if isinstance(error, TimeoutExpired):
        return "a command took longer than it may"
    text = re.sub(r"://\S*@", "://***@", f"{type(error).__name__}: {error}")
    return re.sub(r"(?i)(passw\w*|pwd|token|secret|api_?key)(\W{1,3})[^\s,;&]+", r"\1\2***", text)


class ConfigurationError(BackupKitError):
    """Something is wrong with what was asked for; no byte has moved."""


class UnsupportedCodecError(ConfigurationError):
    """The format has no way to record this compressor or encryptor."""


class SettingsError(ConfigurationError):
    """A file of settings, or a mapping, cannot be used. `problems` are all that is wrong, each with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def one_text(option: str, given: str) -> ConfigurationError:
    """The error for a text where a list belongs: it would be taken for its characters."""
    return ConfigurationError(f"{option}={given!r} is one text: give a list, [{given!r}].")


def require_whole(part: object, name: str, *, least: int) -> None:
    """Refuse a part of which this field is no whole number, or less than that."""
    value = getattr(part, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{type(part).__name__}({name}={value!r}) is not possible: use a whole number, {least} or more."
        )


class SourceError(BackupKitError):
    """An entry, or a whole source, could not be read.

    `path` is the entry's path or the source's name. `retryable` says that a second attempt may well
    succeed (a lock, an I/O error, a failed dump); `severity` is "warning" where nothing was lost that
    exists still, such as a file deleted while the backup ran.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str,
        retryable: bool = False,
        severity: Literal["warning", "error"] = "error",
    ) -> None:
        super().__init__(message)
        self.path = path
        self.retryable = retryable
        self.severity = severity


class HookError(BackupKitError):
    """A hook around a source failed; the whole run fails with it and no backup is made."""


class DestinationError(BackupKitError):
    """A destination failed. `location` is safe to print, `name` the object concerned, if one was.

    `retryable` says that the same call may succeed later (a lost connection, a full disk that is being
    cleaned is not one).
    """

    def __init__(
        self, message: str, *, location: str, name: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message)
        self.location = location
        self.name = name
        self.retryable = retryable


def not_kept_whole(location: str, name: str, *, stored: int, given: int) -> DestinationError:
    """For a destination that says it has stored an object, of another size or checksum than it was given."""
    other = f"{stored} bytes of {name!r} and was given {given}"
    if stored == given:
        other = f"as many bytes of {name!r} as it was given, and not the same ones"
    return DestinationError(
        f"The destination {location} stored {other}: it is broken, do not trust it.",
        location=location,
        name=name,
    )


class ObjectNotFoundError(DestinationError, FileNotFoundError):
    """No object of this name is at the destination."""


class ObjectExistsError(DestinationError, FileExistsError):
    """An object of this name is at the destination already; it was left as it is."""


class AccessDeniedError(DestinationError, PermissionError):
    """The destination refused for want of a right or a credential."""


class OutcomeUnknownError(DestinationError):
    """The destination was told that the object is whole, and did not answer: it may have it, or not."""


class RepositoryError(BackupKitError):
    """The backups as a whole cannot be used."""


class RepositoryNotFoundError(RepositoryError):
    """There are no backups here."""


class RepositoryLockedError(RepositoryError):
    """Somebody else uses the repository. `holder` says who, and in which way; `since` when that was told last."""

    def __init__(self, message: str, *, holder: str, since: datetime) -> None:
        super().__init__(message)
        self.holder = holder
        self.since = since


class BackupNotFoundError(RepositoryError):
    """No backup answers the description."""


class WrongPassphraseError(BackupKitError):
    """None of the given passphrases opens this backup. Proves nothing about its integrity."""


class IntegrityError(BackupKitError):
    """The bytes are not the bytes that were written. `where` names the object or entry."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where


class RestoreError(BackupKitError):
    """An entry could not be restored. `path` is its path, or the target's."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class NotificationError(BackupKitError):
    """A notification could not be delivered, or a report not kept. `retryable` says that it may be later.

    `partly` says that some of several have it: a notice counts as heard, and the error is told all the same.
    """

    def __init__(self, message: str, *, retryable: bool = False, partly: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.partly = partly


class BackupAlreadyRunningError(BackupKitError):
    """Another run holds the lock, or may have taken it from this one; or as many are under way as may be."""


class OperationCancelledError(BackupKitError):
    """The caller's `cancel` event was set; nothing was left behind."""
