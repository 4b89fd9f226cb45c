"""How a repository is come by: opened or made, locked, and with or without a cache on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from backupkit.errors import RepositoryNotFoundError
from backupkit.formats.restic.cache import Cache
from backupkit.formats.restic.locks import Lease, held, idle
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create, open_existing
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, OnThisMachine, nothing
from backupkit.retrying import Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What was said of it: see `Restic`."""

    passphrase: Passphrase
    creates: bool
    lock_wait: timedelta
    cache: bool | str | os.PathLike[str]

    def opened(self, destination: Destination, retry: Retry | None = None) -> OpenedRepository:
        """RepositoryNotFoundError if there is none."""
        return self._cached(open_existing(Objects(destination, retry=retry), self.passphrase))

    def made(
        self, destination: Destination, retry: Retry | None = None, *, polynomial: int
    ) -> OpenedRepository:
        """A new one, with this chunker parameter; RepositoryNotFoundError if none is to be made."""
        if not self.creates:
            raise RepositoryNotFoundError(
                f"There is no repository at {destination.location}, and none is made there (create=False): mount "
                "the place, or correct the location."
            )
        return self._cached(create(Objects(destination, retry=retry), self.passphrase, polynomial=polynomial))

    def locked(
        self,
        repository: OpenedRepository,
        *,
        exclusive: bool = False,
        or_without: bool = False,
        between: Callable[[], None] = nothing,
        settle: Callable[[float], None] = idle,
    ) -> AbstractContextManager[Lease]:
        """See `locks.held`."""
        return held(
            repository.objects,
            repository.sealer,
            exclusive=exclusive,
            wait=self.lock_wait,
            between=between,
            settle=settle,
            or_without=or_without,
        )

    def _cached(self, repository: OpenedRepository) -> OpenedRepository:
        # A folder of this machine is as fast as the cache would be.
        if self.cache is not False and not isinstance(repository.objects.destination, OnThisMachine):
            folder = None if isinstance(self.cache, bool) else self.cache
            repository.objects.cache = Cache(repository.config.id, folder=folder)
        return repository
