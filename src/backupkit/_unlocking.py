"""Locks that killed processes have left in repositories, removed at every destination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from backupkit._operation import raise_all
from backupkit.errors import BackupKitError, ConfigurationError, OperationCancelledError
from backupkit.protocols import Destination, HasLocks, Repository


def unlocked(
    destinations: Sequence[Destination],
    opened: Callable[[Destination], AbstractContextManager[Repository]],
    *,
    force: bool,
) -> Mapping[str, int]:
    """How many locks were removed, by location; see `Backups.unlock`."""
    removed: dict[str, int] = {}
    failures: list[Exception] = []
    for destination in destinations:
        try:
            with opened(destination) as repository:
                if not isinstance(repository, HasLocks):
                    raise ConfigurationError(
                        "Archives have no locks beside them: runs of one pipeline exclude each other by its Lock."
                    )
                removed[destination.location] = repository.unlock(force=force)
        except (ConfigurationError, OperationCancelledError):
            raise
        except BackupKitError as error:
            failures.append(error)
    raise_all("The locks could not be removed everywhere", failures)
    return removed
