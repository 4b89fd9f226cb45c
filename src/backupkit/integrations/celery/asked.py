"""What a page has asked of the workers, where all of its processes see it: beside the lock of the fleet."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock
from backupkit.plain_data import identity_of

if TYPE_CHECKING:
    import redis
    import sqlalchemy as sa

ACT = "backupkit.act"
"""The task that does it."""

_KEPT = 200  # of one queue, the newest
_KEPT_FOR = timedelta(days=1)  # as Celery keeps results

_MINE = "number"  # which each row has, of whoever made it

Said = Mapping[str, str]


class Asked(Protocol):
    """Texts by their names, of each task that was asked for, by its id, as long as people may follow it."""

    def ask(self, id: str, asked: str) -> bool:
        """Begin with this text, called "asked"; False if it is known already, and then nothing changes."""
        ...

    def note(self, id: str, **said: str) -> None:
        """Add these to what is known of it; of what nobody has asked for, nothing is."""
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

    def ask(self, id: str, asked: str) -> bool:
        now = datetime.now(UTC)
        with self._client() as client, client.pipeline() as commands:
            commands.hsetnx(self._key(id), "asked", asked)
            commands.expire(self._key(id), _KEPT_FOR)
            commands.zadd(self._all, {id: now.timestamp()}, nx=True)
            commands.zremrangebyscore(self._all, "-inf", (now - _KEPT_FOR).timestamp())
            commands.zremrangebyrank(self._all, 0, -_KEPT - 1)
            commands.expire(self._all, _KEPT_FOR)
            return bool(commands.execute()[0])

    def note(self, id: str, **said: str) -> None:
        with self._client() as client:
            if client.exists(self._key(id)):
                client.hset(self._key(id), mapping=cast("Any", said))

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

    def ask(self, id: str, asked: str) -> bool:
        table, now = self._table, datetime.now(UTC)
        # Of several who ask at once, one finds its own number again.
        body = json.dumps({"asked": asked, _MINE: secrets.token_hex(8)})
        row = {"identity": self._identity(id), "queue": self._queue, "id": id, "time": now, "body": body}
        with self._records.begin() as connection:
            connection.execute(table.delete().where(table.c.time < now - _KEPT_FOR))
            connection.execute(self._records.insert(table, row))
            return self._body(connection, id) == body

    def note(self, id: str, **said: str) -> None:
        with self._records.begin() as connection:
            if (known := self._body(connection, id)) is not None:
                body = json.dumps({**json.loads(known), **said})
                connection.execute(self._table.update().where(self._this(id)).values(body=body))

    def forget(self, id: str) -> None:
        with self._records.begin() as connection:
            connection.execute(self._table.delete().where(self._this(id)))

    def get(self, id: str) -> Said | None:
        with self._records.begin() as connection:
            body = self._body(connection, id)
        return None if body is None else _said(body)

    def _body(self, connection: sa.Connection, id: str) -> str | None:
        found = self._table.select().with_only_columns(self._table.c.body).where(self._this(id))
        return cast("str | None", connection.scalar(found))

    def _this(self, id: str) -> sa.ColumnElement[bool]:
        return self._table.c.identity == self._identity(id)

    def _identity(self, id: str) -> str:
        return identity_of([self._queue, id])

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
            return {id: _said(body) for id, body in connection.execute(newest)}


def _said(body: str) -> Said:
    return {name: text for name, text in json.loads(body).items() if name != _MINE}


def _texts(found: Mapping[Any, Any]) -> Said:
    return {_text(name): _text(value) for name, value in found.items()}


def _text(value: object) -> str:
    """Clients may be set to decode, or not."""
    return value.decode() if isinstance(value, bytes) else str(value)
