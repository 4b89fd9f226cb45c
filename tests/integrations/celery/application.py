"""The application whose workers the tests start: pipelines whose runs say that they began, and end when told to.

Both are said in Redis: a run pushes to the list `begun <pipeline>`, and ends when it finds something in
`go <pipeline>`. What the notifiers hear is in `told <pipeline>`; how many runs there are at most, in `most`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import redis
from celery import Celery
from celery.concurrency.asynpool import AsynPool

from backupkit import BackupKitError, BackupPipeline, Delivery, FileMemory, Passphrase, RedisLock, Retry
from backupkit.integrations.celery import register
from backupkit.model import Entry, Notice, Occasion, Problem
from backupkit.scheduling import Schedule, Scheduled

PASSPHRASE = "the passphrase of all tests that nobody may see"
SECRET = "hunter2-of-the-database"
LIMITED = [f"limited-{number}" for number in range(20)]
NAMES = [*(f"shop-{number}" for number in range(30)), *LIMITED, "broken", "large", "stuck", "teller", "leaky"]
MOST_AT_ONCE = 3

# How often a pool looks which of its processes are gone: every five seconds otherwise.
AsynPool.timers = property(lambda pool: {pool.maintain_pool: 0.2})

_COUNTED = """
local now = redis.call('incrby', 'now', ARGV[1])
if now > tonumber(redis.call('get', 'most') or 0) then redis.call('set', 'most', now) end
"""


class Gated:
    """A source of one file that grows until somebody lets it end."""

    contents = "files"

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.hosts = frozenset({"db1.internal"} if name in LIMITED else ())
        self._url = url

    def entries(self) -> Iterator[Entry | Problem]:
        if self.name == "broken":
            raise ValueError(f"no connection to postgresql://shop:{SECRET}@db/shop")
        yield Entry(path=self.name, chunks=self._chunks)

    def _chunks(self) -> Iterator[bytes]:
        if self.name == "large":
            yield bytes(len(bytearray(b"x" * (200 << 20))))[:1000]
        with redis.Redis.from_url(self._url) as client:
            client.eval(_COUNTED, 0, 1)
            client.rpush(f"begun {self.name}", os.getpid())
            try:
                while client.blpop(f"go {self.name}", timeout=0.05) is None:
                    if self.name != "stuck":
                        yield bytes(1000)  # cancelling is heard between two chunks
            finally:
                client.eval(_COUNTED, 0, -1)


class Tells:
    """A notifier that writes down what it hears."""

    def __init__(self, url: str) -> None:
        self._url = url

    on: Collection[Occasion] = ("run failed", "run succeeded", "summary")

    def notify(self, notice: Notice) -> None:
        with redis.Redis.from_url(self._url) as client:
            for problem in notice.problems:
                client.rpush(f"why {notice.name}", problem.message)
            client.rpush(f"told {notice.name}", notice.occasion)
            if notice.occasion == "summary" and notice.name == "teller":
                client.rpush("begun teller", os.getpid())
                client.blpop("go teller", timeout=4)


class Leaky(BackupPipeline):
    """One whose error has a cause that nobody may read."""

    def run(self, **options: Any) -> NoReturn:
        try:
            raise ValueError(f"postgresql://shop:{SECRET}@db/shop")
        except ValueError as error:
            raise BackupKitError("It could not be run.") from error


def pipelines(url: str, folder: Path) -> Mapping[str, BackupPipeline]:
    return {
        name: (Leaky if name == "leaky" else BackupPipeline)(
            name,
            Gated(url, name),  # type: ignore[arg-type]
            str(folder / "backups"),
            encryptor=Passphrase(PASSPHRASE),
            notifiers=[Tells(url)],
            memory=FileMemory(folder / "memory"),
            delivery=Delivery(tries=1, limit=5),
            retry=Retry(tries=1),
        )
        for name in NAMES
    }


def application(url: str, folder: Path, **more: Any) -> Celery:
    app = Celery("fleet", broker=url, backend=url, set_as_current=False)
    app.conf.update(
        worker_lost_wait=0.1,  # seconds until a process that is gone counts as lost
        broker_connection_retry_on_startup=True,
        worker_send_task_events=True,
    )
    options: dict[str, Any] = {
        "lock": RedisLock(url, life=timedelta(seconds=2)),
        "limits": {"db1.internal": MOST_AT_ONCE},
        "try_again": timedelta(seconds=1),
        "time_limit": timedelta(minutes=5),
        "scratch": folder / "scratch",
        "places": {"beside": folder / "beside"},
        "schedule": {"shop-0": Schedule([Scheduled("0 3 * * *", "monitor")])},
    }
    register(app, lambda: pipelines(url, folder), **(options | more))
    return app


if "FLEET_REDIS" in os.environ:
    app = application(os.environ["FLEET_REDIS"], Path(os.environ["FLEET_FOLDER"]))
