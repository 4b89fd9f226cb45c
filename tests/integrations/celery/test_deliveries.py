"""What is known of tasks that were delivered before, in Redis and in a database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import DatabaseLock, RedisLock
from backupkit.integrations.celery.deliveries import Deliveries, deliveries_beside
from backupkit.plain_data import identity_of
from backupkit.tables import TASKS
from tests.servers import Server

WEEK = 7 * 24 * 3600
TASK = "0d864b92-f0b3-44e2-8334-12db29cd7ed4" * 3  # longer than most columns


@pytest.fixture(params=["redis", "database"])
def deliveries(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deliveries]:
    if request.param == "database":
        yield deliveries_beside(DatabaseLock(f"sqlite:///{tmp_path / 'fleet.sqlite3'}"))
        return
    server: Server = request.getfixturevalue("redis_server")
    lock = RedisLock(server.url("0"))
    with lock.connected() as client:
        client.flushall()
    yield deliveries_beside(lock)


def test_deliveries_are_counted(deliveries: Deliveries) -> None:
    assert [deliveries.begin(TASK), deliveries.begin(TASK), deliveries.begin("other")] == [1, 2, 1]


def test_one_that_was_put_off_does_not_count(deliveries: Deliveries) -> None:
    deliveries.begin(TASK)
    deliveries.begin(TASK)
    deliveries.put_off(TASK)
    assert deliveries.begin(TASK) == 2


def test_a_task_that_has_ended_is_never_begun(deliveries: Deliveries) -> None:
    deliveries.begin(TASK)
    deliveries.end(TASK)
    deliveries.put_off(TASK)
    assert [deliveries.begin(TASK) for _ in range(3)] == [0, 0, 0]


def test_the_end_of_one_lets_nobody_forget_another(deliveries: Deliveries) -> None:
    deliveries.begin("other")
    deliveries.end(TASK)
    assert deliveries.begin("other") == 2


def test_redis_forgets_tasks_after_a_week(redis_server: Server) -> None:
    lock = RedisLock(redis_server.url("0"))
    deliveries_beside(lock).begin("begun")
    deliveries_beside(lock).end("ended")
    with lock.connected() as client:
        for task in ("begun", "ended"):
            assert WEEK - 600 < client.ttl(f"backupkit:task:{task}") <= WEEK


def test_a_database_forgets_tasks_after_a_week(tmp_path: Path) -> None:
    deliveries = deliveries_beside(lock := DatabaseLock(f"sqlite:///{tmp_path / 'fleet.sqlite3'}"))
    deliveries.end("old")
    deliveries.end("new")
    for task, age in (("old", WEEK + 600), ("new", WEEK - 600)):
        time = datetime.now(UTC) - timedelta(seconds=age)
        with lock.engine.begin() as connection:
            connection.execute(TASKS.update().where(TASKS.c.identity == identity_of(task)).values(time=time))
    deliveries.end(TASK)
    assert [deliveries.begin("old"), deliveries.begin("new")] == [1, 0]


def test_a_task_can_end_before_it_was_begun(deliveries: Deliveries) -> None:
    deliveries.end(TASK)
    assert [deliveries.begin(TASK) for _ in range(3)] == [0, 0, 0]
