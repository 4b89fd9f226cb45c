"""A fleet under fire: hundreds of pipelines, processes and workers killed at random, messages delivered twice.

Run it as `python -m tests.integrations.celery.soak [seconds] [seed]`, or by `./dev test -s fleet`. At the end each
task has succeeded, no pipeline ever ran twice at once, the limits were kept, and nothing is left but backups.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from celery import Celery

from backupkit import BackupPipeline, FileMemory, Passphrase, RedisLock
from backupkit.integrations.celery import register
from backupkit.model import Entry, Problem
from tests.integrations.celery.application import PASSPHRASE
from tests.integrations.celery.fleets import Fleet, ended
from tests.servers import redis as redis_server

PIPELINES = 300
WORKERS = 3
AT_ONCE = 4
LIFE = timedelta(seconds=3)
# Who was killed is forgotten sooner than its lock is free.
ALIVE = timedelta(seconds=1)


class Watched:
    """A source of one file, for half a second of work, which notices whether it is alone."""

    contents = "files"

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.hosts = frozenset({"db1.internal"} if name.endswith("0") else ())
        self._url = url

    def entries(self) -> Iterator[Entry | Problem]:
        yield Entry(path=self.name, chunks=self._chunks)

    def _chunks(self) -> Iterator[bytes]:
        token = uuid4().hex
        with redis.Redis.from_url(self._url) as client:
            other = client.get(f"here {self.name}")
            if other is not None:
                client.rpush("violations", f"{self.name} runs twice")
            client.incr(f"begun {self.name}")
            try:
                for _ in range(10):
                    client.set(f"here {self.name}", token, px=ALIVE)
                    if self.hosts:
                        self._count(client, token)
                    yield bytes(1000)
                    time.sleep(0.05)
            finally:  # also when it is stopped
                client.delete(f"here {self.name}")
                client.zrem("limited", token)

    def _count(self, client: redis.Redis, token: str) -> None:
        now = time.time()
        client.zadd("limited", {token: now})
        client.zremrangebyscore("limited", 0, now - ALIVE.total_seconds())
        if int(client.zcard("limited")) > AT_ONCE:
            client.rpush("violations", "more than may be")


def pipelines(url: str, folder: Path) -> Mapping[str, BackupPipeline]:
    return {
        name: BackupPipeline(
            name,
            Watched(url, name),  # type: ignore[arg-type]
            str(folder / "backups"),
            encryptor=Passphrase(PASSPHRASE),
            memory=FileMemory(folder / "memory"),
        )
        for name in (f"shop-{number}" for number in range(PIPELINES))
    }


def application(url: str, folder: Path) -> Celery:
    app = Celery("fleet", broker=url, backend=url, set_as_current=False)
    app.conf.update(worker_lost_wait=0.1, broker_connection_retry_on_startup=True)
    register(
        app,
        lambda: pipelines(url, folder),
        lock=RedisLock(url, life=LIFE),
        limits={"db1.internal": AT_ONCE},
        try_again=timedelta(seconds=1),
    )
    return app


if "FLEET_REDIS" in os.environ:
    app = application(os.environ["FLEET_REDIS"], Path(os.environ["FLEET_FOLDER"]))


def main(seconds: float = 60, seed: float = 0) -> None:
    chance = random.Random(seed)
    with redis_server() as server, tempfile.TemporaryDirectory(prefix="bk-soak-") as name:
        folder, url = Path(name), server.url("0").replace("default", "", 1)
        (folder / "backups").mkdir()
        with redis.Redis.from_url(url) as client:
            fleet = Fleet(application(url, folder), client, url, folder, server.folder)
            try:
                soak(fleet, chance, seconds)
            finally:
                for program in fleet.programs:
                    program.stop()


def soak(fleet: Fleet, chance: random.Random, seconds: float) -> None:
    client = fleet.client
    workers = [start(fleet, number) for number in range(WORKERS)]
    names = [f"shop-{number}" for number in range(PIPELINES)]
    results: list[tuple[str, Any]] = []
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if client.llen("backups") == 0:  # no more than a fleet of this size gets done
            results += [(name, fleet.send(name)) for name in chance.choices(names, k=8)]
        act = chance.choice(["nothing", "nothing", "process", "worker", "stop", "again"])
        done[act] += 1
        number = chance.randrange(WORKERS)
        children = children_of(workers[number].process.pid)
        if act in ("process", "stop") and children:
            kill(chance.choice(children), signal.SIGKILL if act == "process" else signal.SIGTERM)
        elif act == "worker":
            workers[number].kill()
            workers[number] = start(fleet, number)
        elif act == "again":
            deliver_again(client)
        time.sleep(chance.uniform(0.1, 1))
    deliver_again(client)
    workers.append(start(fleet, WORKERS))
    sent: Counter[str] = Counter()
    lost = 0
    for name, result in results:
        try:
            state = ended(result, patience=60)
        except AssertionError:
            if not was_never_received(fleet, result.id):
                raise
            lost += 1
            continue
        died = "its worker died each time" in str(result.result)
        assert state == "SUCCESS" or died, f"{name}: {state} {result.result}"
        sent[name] += not died
    assert lost <= done["worker"], f"{lost} messages lost"
    violations: Any = client.lrange("violations", 0, -1)
    assert violations == [], violations
    backups = {name: len(fleet.archives(name)) for name in sent}
    assert [name for name in sent if backups[name] < sent[name]] == [], "backups that were made are not there"
    # A process may be killed between the end of its backup and the note that it has ended.
    twice = sum(backups.values()) - sum(sent.values())
    killed = done["process"] + done["worker"] * 2
    assert twice <= killed, f"{twice} backups too many after {killed} kills"
    begun = sum(int(client.get(f"begun {name}") or 0) for name in sent)
    sys.stdout.write(
        f"{len(results)} tasks, {begun} runs begun, {twice} backups made twice, "
        f"{lost} messages lost in the hands of a worker; {dict(done)}\n"
    )


def was_never_received(fleet: Fleet, task: str) -> bool:
    """Whether no worker ever had its message, which has gone all the same.

    Kombu takes a message out of Redis by one command and writes it down as not acknowledged by the next: it is
    lost if the worker is killed between the two.
    """
    waiting: Any = [*fleet.client.lrange("backups", 0, -1), *fleet.client.hvals("unacked")]
    return not any(task in one.output for one in fleet.programs) and not any(
        task.encode() in one for one in waiting
    )


def start(fleet: Fleet, number: int) -> Any:
    return fleet.worker(f"soak-{number}", app="tests.integrations.celery.soak")


def children_of(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def kill(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def deliver_again(client: redis.Redis) -> None:
    """As if the visibility timeout were over for all that was not acknowledged, of the living as well."""
    tags: Any = client.zrange("unacked_index", 0, -1)
    for tag in tags:
        client.zadd("unacked_index", {tag: 1}, xx=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
