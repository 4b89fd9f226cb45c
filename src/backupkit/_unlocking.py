"""Whether there are locks in repositories that could be removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from backupkit.errors import ConfigurationError
from backupkit.protocols import Destination, HasLocks, Repository


def check_locks(
    destinations: Sequence[Destination], opened: Callable[[Destination], AbstractContextManager[Repository]]
) -> None:
    """ConfigurationError if these backups have no locks; asks nothing of any destination."""
    with opened(destinations[0]) as repository:
        with_locks(repository)


def with_locks(repository: Repository) -> HasLocks:
    """The same one."""
    if not isinstance(repository, HasLocks):
        raise ConfigurationError(
            "Archives have no locks beside them: runs of one pipeline exclude each other by its Lock."
        )
    return repository
