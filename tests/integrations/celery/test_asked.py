"""What pages have asked of the workers, in Redis and in a database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import DatabaseLock, RedisLock
from backupkit.integrations.celery import asked
from backupkit.integrations.celery.asked import Asked, asked_beside
from backupkit.tables import ASKED
from tests.servers import Server

Made = Callable[[str], Asked]


@pytest.fixture(params=["redis", "database"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    if request.param == "database":
        return lambda queue: asked_beside(DatabaseLock(f"sqlite:///{tmp_path / 'fleet.sqlite3'}"), queue)
    server: Server = request.getfixturevalue("redis_server")
    lock = RedisLock(server.url("0"))
    with lock.connected() as client:
        client.flushall()
    return lambda queue: asked_beside(lock, queue)


def test_what_is_noted_later_is_added(made: Made) -> None:
    made("backups").ask("one", "a")
    made("backups").note("one", who="ä\udcff".encode("utf-8", "replace").decode())
    made("backups").note("one", report="r")
    assert made("backups").get("one") == {"asked": "a", "who": "ä?", "report": "r"}


def test_what_was_asked_for_already_stays_as_it_is(made: Made) -> None:
    assert made("backups").ask("one", "a")
    made("backups").note("one", report="r")
    assert not made("backups").ask("one", "a")
    assert not made("backups").ask("one", "b")
    assert made("backups").get("one") == {"asked": "a", "report": "r"}
    assert made("others").ask("one", "a")


def test_of_several_who_ask_at_once_one_does(made: Made) -> None:
    asking = [made("backups") for _ in range(4)]
    asking[0].ask("another", "a")  # so that there is a table
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(lambda one: one.ask("one", "a"), asking)].count(True) == 1


def test_of_what_nobody_has_asked_for_nothing_is_noted(made: Made) -> None:
    made("backups").note("one", report="r")
    assert made("backups").get("one") is None
    assert made("backups").all() == {}


def test_all_of_one_queue_come_the_newest_first(made: Made) -> None:
    for id in ("one", "two", "three"):
        made("backups").ask(id, id)
    made("others").ask("other", "other")
    made("backups").note("one", cancelled="c")
    found = made("backups").all()
    assert [*found] == ["three", "two", "one"]
    assert found["one"] == {"asked": "one", "cancelled": "c"}


def test_what_is_forgotten_is_unknown(made: Made) -> None:
    made("backups").ask("one", "a")
    made("backups").forget("one")
    assert made("backups").get("one") is None
    assert made("backups").all() == {}


def test_so_many_are_shown(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "_KEPT", 2)
    for id in ("one", "two", "three"):
        made("backups").ask(id, id)
    assert [*made("backups").all()] == ["three", "two"]


def test_redis_forgets_them_after_a_day(redis_server: Server) -> None:
    lock = RedisLock(redis_server.url("0"))
    asked_beside(lock, "backups").ask("one", "a")
    with lock.connected() as client:
        for key in ("backupkit:asked:backups", "backupkit:asked:backups:one"):
            assert 86_000 < client.ttl(key) <= 86_400


def test_a_database_forgets_them_after_a_day(tmp_path: Path) -> None:
    lock = DatabaseLock(f"sqlite:///{tmp_path / 'fleet.sqlite3'}")
    asked_beside(lock, "backups").ask("old", "a")
    with lock.engine.begin() as connection:
        connection.execute(ASKED.update().values(time=datetime.now(UTC) - timedelta(days=1, minutes=1)))
    asked_beside(lock, "backups").ask("new", "a")
    assert [*asked_beside(lock, "backups").all()] == ["new"]
