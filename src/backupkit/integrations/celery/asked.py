"""What a page has asked of the workers, where all of its processes see it: beside the lock of the fleet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock
from backupkit.plain_data import identity_of

if TYPE_CHECKING:
    import redis

ACT = "backupkit.act"
"""The task that does it."""

_KEPT = 200  # of one queue, the newest
_KEPT_FOR = timedelta(days=1)  # as Celery keeps results

Said = Mapping[str, str]


class Asked(Protocol):
    """Texts by their names, of each task that was asked for, by its id, as long as people may follow it."""

    def note(self, id: str, **said: str) -> None:
        """Add these to what is known of it."""
        ...

    def forget(self, id: str) -> None:
        """As if it had never been asked for."""
        ...

    def get(self, id: str) -> Said | None:
        """What is known of it; None for what nobody knows."""
        ...

    def all(self) -> Mapping[str, Said]:
        """Of all tasks, the newest first."""
        ...


def asked_beside(lock: RedisLock | DatabaseLock, queue: str) -> Asked:
    """What was asked of this queue."""
    return RedisAsked(lock, queue) if isinstance(lock, RedisLock) else DatabaseAsked(lock, queue)


class RedisAsked:
    """A hash for each task, and a sorted set of their ids by time."""

    def __init__(self, lock: RedisLock, queue: str) -> None:
        self._lock = lock
        self._all = f"backupkit:asked:{queue}"

    def note(self, id: str, **said: str) -> None:
        now = datetime.now(UTC)
        with self._client() as client, client.pipeline() as commands:
            commands.hset(self._key(id), mapping=cast("Any", said))
            commands.expire(self._key(id), _KEPT_FOR)
            commands.zadd(self._all, {id: now.timestamp()}, nx=True)
            commands.zremrangebyscore(self._all, "-inf", (now - _KEPT_FOR).timestamp())
            commands.zremrangebyrank(self._all, 0, -_KEPT - 1)
            commands.expire(self._all, _KEPT_FOR)
            commands.execute()

    def forget(self, id: str) -> None:
        with self._client() as client:
            client.delete(self._key(id))
            client.zrem(self._all, id)

    def get(self, id: str) -> Said | None:
        with self._client() as client:
            return _texts(client.hgetall(self._key(id))) or None

    def all(self) -> Mapping[str, Said]:
        with self._client() as client, client.pipeline() as commands:
            ids = [_text(one) for one in client.zrange(self._all, 0, _KEPT - 1, desc=True)]
            for id in ids:
                commands.hgetall(self._key(id))
            found = map(_texts, commands.execute())
            return {id: said for id, said in zip(ids, found, strict=True) if said}

    def _key(self, id: str) -> str:
        return f"{self._all}:{id}"

    @contextmanager
    def _client(self) -> Iterator[redis.Redis]:
        with self._lock.connected() as client:
            yield client


class DatabaseAsked:
    """A row for each task in the table `backupkit_asked`."""

    def __init__(self, lock: DatabaseLock, queue: str) -> None:
        from backupkit.tables import ASKED, Records

        self._records = Records(lock.engine, (ASKED,))
        self._table = ASKED
        self._queue = identity_of(queue)

    def note(self, id: str, **said: str) -> None:
        table, now = self._table, datetime.now(UTC)
        identity = identity_of([self._queue, id])
        row = {"identity": identity, "queue": self._queue, "id": id, "time": now, "body": "{}"}
        with self._records.begin() as connection:
            connection.execute(table.delete().where(table.c.time < now - _KEPT_FOR))
            connection.execute(self._records.insert(table, row))
            this = table.c.identity == identity
            known = connection.scalar(table.select().with_only_columns(table.c.body).where(this))
            body = json.dumps({**json.loads(known or "{}"), **said})
            connection.execute(table.update().where(this).values(body=body))

    def forget(self, id: str) -> None:
        this = self._table.c.identity == identity_of([self._queue, id])
        with self._records.begin() as connection:
            connection.execute(self._table.delete().where(this))

    def get(self, id: str) -> Said | None:
        columns = self._table.c
        this = columns.identity == identity_of([self._queue, id])
        with self._records.begin() as connection:
            body = connection.scalar(self._table.select().with_only_columns(columns.body).where(this))
        return None if body is None else json.loads(body)

    def all(self) -> Mapping[str, Said]:
        columns = self._table.c
        newest = (
            self._table.select()
            .with_only_columns(columns.id, columns.body)
            .where(columns.queue == self._queue)
            .order_by(columns.time.desc())
            .limit(_KEPT)
        )
        with self._records.begin() as connection:
            return {id: json.loads(body) for id, body in connection.execute(newest)}


def _texts(found: Mapping[Any, Any]) -> Said:
    return {_text(name): _text(value) for name, value in found.items()}


def _text(value: object) -> str:
    """Clients may be set to decode, or not."""
    return value.decode() if isinstance(value, bytes) else str(value)
