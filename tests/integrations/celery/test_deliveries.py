"""What is known of tasks that were delivered before, in Redis and in a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import DatabaseLock, RedisLock
from backupkit.integrations.celery.deliveries import Deliveries, deliveries_beside
from tests.servers import Server

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
    assert [deliveries.begin(TASK), deliveries.begin(TASK)] == [0, 0]


def test_a_task_can_end_before_it_was_begun(deliveries: Deliveries) -> None:
    deliveries.end(TASK)
    assert deliveries.begin(TASK) == 0
