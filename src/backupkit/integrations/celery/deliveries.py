"""Which tasks have ended, and how often others were begun: for messages that are delivered more than once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from backupkit.locking.database import DatabaseLock
from backupkit.locking.redis import RedisLock
from backupkit.plain_data import identity_of

if TYPE_CHECKING:
    import redis
    import sqlalchemy as sa

KEPT = timedelta(days=7)
"""How long a task is remembered: longer than any broker keeps a message that was not acknowledged."""


_ENDED = (b"ended", "ended")


class Deliveries(Protocol):
    """What is known of a task by its id, wherever its result is kept, or if it is not."""

    def begin(self, task: str) -> int:
        """Count a delivery that begins, and return how many there are now; 0 if the task has ended."""
        ...

    def put_off(self, task: str) -> None:
        """It will be delivered again on purpose: this time does not count."""
        ...

    def end(self, task: str) -> None:
        """It has ended, in whatever way, and is not to be done again."""
        ...


def deliveries_beside(lock: RedisLock | DatabaseLock) -> Deliveries:
    """They are where the lock of the fleet is, which all workers reach."""
    return RedisDeliveries(lock) if isinstance(lock, RedisLock) else DatabaseDeliveries(lock)


class RedisDeliveries:
    """A key for each task, with the number of its delivery, and "ended" at last."""

    def __init__(self, lock: RedisLock) -> None:
        self._lock = lock

    def begin(self, task: str) -> int:
        with self._key(task) as (client, key):
            if client.get(key) in _ENDED:
                return 0
            number = int(client.incr(key))
            client.expire(key, KEPT)
            return number

    def put_off(self, task: str) -> None:
        with self._key(task) as (client, key):
            if client.get(key) not in _ENDED:  # as one that was revoked meanwhile has
                client.decr(key)

    def end(self, task: str) -> None:
        with self._key(task) as (client, key):
            client.set(key, b"ended", ex=KEPT)

    @contextmanager
    def _key(self, task: str) -> Iterator[tuple[redis.Redis, str]]:
        with self._lock.connected() as client:
            yield client, f"backupkit:task:{task}"


class DatabaseDeliveries:
    """A row for each task in the table `backupkit_tasks`; -1 stands for "ended"."""

    def __init__(self, lock: DatabaseLock) -> None:
        from backupkit.tables import TASKS, Records

        self._records = Records(lock.engine, (TASKS,))
        self._table = TASKS

    def begin(self, task: str) -> int:
        row = {"identity": identity_of(task), "number": 0, "time": datetime.now(UTC)}
        with self._records.begin() as connection:
            connection.execute(self._records.insert(self._table, row))
            connection.execute(self._counted(task, 1))
            number = connection.scalar(
                self._table.select()
                .with_only_columns(self._table.c.number)
                .where(self._table.c.identity == identity_of(task))
            )
        return max(0, int(number or 0))

    def put_off(self, task: str) -> None:
        with self._records.begin() as connection:
            connection.execute(self._counted(task, -1))

    def _counted(self, task: str, more: int) -> sa.Update:
        """One that has ended stays so."""
        columns = self._table.c
        of_task = columns.identity == identity_of(task), columns.number >= 0
        return self._table.update().where(*of_task).values(number=columns.number + more)

    def end(self, task: str) -> None:
        now = datetime.now(UTC)
        row = {"identity": identity_of(task), "number": -1, "time": now}
        with self._records.begin() as connection:
            connection.execute(self._table.delete().where(self._table.c.time < now - KEPT))
            connection.execute(self._records.insert(self._table, row, replace=True))
