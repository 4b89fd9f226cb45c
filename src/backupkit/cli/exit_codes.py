"""What the process's exit code says about how an operation ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backupkit.errors import (
    BackupAlreadyRunningError,
    BackupKitError,
    BackupNotFoundError,
    ConfigurationError,
    OperationCancelledError,
    RepositoryLockedError,
    RepositoryNotFoundError,
    WrongPassphraseError,
)
from backupkit.model import Listing, Outcome

CANCELLED = 130
OF_OUTCOME: Mapping[Outcome, int] = {"succeeded": 0, "failed": 1, "incomplete": 3}

# The first that fits.
_OF_ERROR: tuple[tuple[type[BaseException], int], ...] = (
    (ConfigurationError, 2),
    (RepositoryNotFoundError, 10),
    (BackupNotFoundError, 10),
    (BackupAlreadyRunningError, 11),
    (RepositoryLockedError, 11),
    (WrongPassphraseError, 12),
    (OperationCancelledError, CANCELLED),
    (KeyboardInterrupt, CANCELLED),
    (BackupKitError, 1),
)
_WORST_FIRST = (1, 12, 11, 10, 2, CANCELLED, 3, 0)


def of_error(error: BaseException) -> int | None:
    """The code for an error, the worst one for a group; None if something in it is not an error of ours."""
    if isinstance(error, BaseExceptionGroup):
        codes = [of_error(one) for one in error.exceptions]
        known = [code for code in codes if code is not None]
        return worst(known) if len(known) == len(codes) else None
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), None)


def worst(codes: Iterable[int]) -> int:
    """Of several codes the one that counts."""
    return min(codes, key=_WORST_FIRST.index)


def of_listing(listing: Listing) -> int:
    """What could not be listed makes it incomplete, or, with nothing to show for it, failed."""
    if not listing.problems:
        return 0
    return OF_OUTCOME["incomplete" if listing.backups else "failed"]
