"""Leases as keys of a Redis server, by redis-py. Import this module where it is needed only: it needs redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError
from backupkit.locking.leases import NoAnswerError, reason_of, this_process
from backupkit.locking.names import short_name

try:
    import redis
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("RedisLock needs redis: pip install 'backupkit[redis]'") from error

from redis.backoff import NoBackoff
from redis.exceptions import LockNotOwnedError, RedisError
from redis.lock import Lock
from redis.retry import Retry

_ANSWER = 5.0  # seconds, unless the URL says otherwise


class LeaseKey:
    """The key of one lease: see `leases.Place`. `secret` is what no message may show."""

    def __init__(
        self, client: redis.Redis, name: str, life: float, *, location: str, secret: str | None
    ) -> None:
        self.location = location
        self._client = client
        self._secret = secret
        self._key = f"backupkit:lock:{short_name(name)}"
        self._token = f"{uuid4().hex} {this_process()}"
        self._lock = Lock(client, self._key, timeout=life, thread_local=False)

    def take(self) -> bool:
        with self._answers():
            return bool(self._lock.acquire(blocking=False, token=self._token))

    def renew(self) -> bool:
        with self._answers():
            try:
                return bool(self._lock.reacquire())
            except LockNotOwnedError:
                return False

    def release(self) -> None:
        with self._answers(), suppress(LockNotOwnedError):
            self._lock.release()

    def holder(self) -> str | None:
        with self._answers():
            found = self._client.get(self._key)
        text = found.decode(errors="replace") if isinstance(found, bytes) else str(found or "")
        return text.partition(" ")[2] or None

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            reason = reason_of(error, self._secret)
            raise NoAnswerError(f"The Redis server {self.location} could not be used: {reason}.") from error


def connected(url: DatabaseURL) -> redis.Redis:
    """A client that connects when it is first used, and that waits for no answer for long."""
    try:
        return redis.Redis.from_url(
            url.for_clients(),
            socket_timeout=_ANSWER,
            socket_connect_timeout=_ANSWER,
            # If a key was set and only the answer was lost, asking again would find it taken.
            retry=Retry(NoBackoff(), 0),
        )
    except (RedisError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The URL {url} of a Redis server asks for what redis-py does not take ({type(error).__name__}): "
            "correct its options."
        ) from None


def location_of(client: object) -> str:
    """Where a client connects to, without user and password; ConfigurationError if it is no client."""
    if not isinstance(client, redis.Redis):
        raise ConfigurationError(
            f"{type(client).__name__} is neither the URL of a Redis server nor a redis.Redis (an asynchronous "
            "client will not do: give its URL)."
        )
    options = client.connection_pool.connection_kwargs
    where = options.get("path") or f"{options.get('host', '')}:{options.get('port', '')}"
    return f"redis://{where}/{options.get('db') or 0}"
