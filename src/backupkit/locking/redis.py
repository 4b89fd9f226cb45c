"""`RedisLock`: one run of a pipeline at a time in a whole fleet, by a key of a Redis or Valkey server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from backupkit.databases.urls import DatabaseURL, parse_database_url
from backupkit.errors import ConfigurationError
from backupkit.locking.leases import LIFE, held, seconds_of
from backupkit.protocols import Lease

if TYPE_CHECKING:
    import redis


class RedisLock:
    """A key on a server that all machines reach, which expires unless its holder renews it.

        RedisLock("rediss://:password@redis.internal/0")

    The server is given by its URL (`redis://`, `rediss://`, `unix://`), or as a client of redis-py, best one with
    time limits. `life` is how long a run that was killed, or cut off from the server, keeps others waiting.

    A run whose key is gone is given up: the server must keep its keys when it is restarted, and evict none.

    Needs `pip install 'backupkit[redis]'`.
    """

    def __init__(self, server: str | redis.Redis, *, life: timedelta = LIFE) -> None:
        from backupkit.locking.redis_keys import location_of

        self._life = seconds_of(life, "RedisLock")
        self._server: DatabaseURL | redis.Redis
        if isinstance(server, str):
            self._server = _redis_url(server)
            self._location = str(self._server)
        else:
            self._server, self._location = server, location_of(server)

    def __repr__(self) -> str:
        return f"RedisLock({self._location!r})"

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        """Hold the lock of this name, as `protocols.Lock` says."""
        from backupkit.locking.redis_keys import LeaseKey

        secret = self._server.password if isinstance(self._server, DatabaseURL) else None
        with self.connected() as client:
            key = LeaseKey(client, name, self._life, location=self._location, secret=secret)
            with held(key, name, life=self._life, wait=wait) as lease:
                yield lease

    @contextmanager
    def connected(self) -> Iterator[redis.Redis]:
        """A client of the server, for what else a fleet has to keep there."""
        from backupkit.locking.redis_keys import connected

        if isinstance(self._server, DatabaseURL):
            # Connected here, so that a lock may live at module level and survive a fork.
            with closing(connected(self._server)) as client:
                yield client
        else:
            yield self._server


def _redis_url(server: str) -> DatabaseURL:
    from backupkit.databases.redis import check_url

    url = parse_database_url(server)
    if url.engine != "redis":
        raise ConfigurationError(f"{url} is no Redis server: write redis://, rediss:// or unix://.")
    return check_url(url)
