"""The message broker: the lock that it can keep for the fleet, and when it delivers a message again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError
from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock

if TYPE_CHECKING:
    from celery import Celery

_MARGIN = 300  # seconds


def fleet_lock(app: Celery, lock: RedisLock | DatabaseLock | None) -> RedisLock | DatabaseLock:
    """The lock that is given, or one in the Redis server that is the broker of the application."""
    if lock is not None:
        return lock
    url = app.conf.broker_read_url or app.conf.broker_url
    if not isinstance(url, str) or not url.startswith(("redis://", "rediss://")) or ";" in url:
        raise ConfigurationError(
            "The broker of this application is not one Redis server, which could keep the lock: give "
            "register(…, lock=RedisLock(url)) or lock=DatabaseLock(url) with one that all workers reach."
        )
    return RedisLock(url)


def see_to_redelivery(app: Celery, longest: int) -> None:
    """Have the broker wait for longer than `longest` seconds before it believes that a worker is dead.

    Otherwise it would give a run that is under way to another worker, too. What the application has said itself is
    only checked: ConfigurationError if it is too short.
    """
    transport = app.connection_for_read().get_transport_cls()
    if not hasattr(
        getattr(transport, "Channel", None), "visibility_timeout"
    ):  # as those of Redis and SQS have
        return
    options = app.conf.broker_transport_options or {}
    given = options.get("visibility_timeout")
    if given is None:
        app.conf.broker_transport_options = {**options, "visibility_timeout": longest + _MARGIN}
    elif given <= longest:
        raise ConfigurationError(
            f"broker_transport_options has a visibility_timeout of {given:g} seconds, and a backup may take and "
            f"wait for {longest}: the broker would give it to a second worker while the first is at it. Set it "
            f"to more than {longest}, leave it out, or shorten time_limit= of register()."
        )
