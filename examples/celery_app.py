"""How do I run backups as tasks of a Celery application?

Give the application its backups with `register`. Then start, from the folder of this file,

    celery --app celery_app worker --queues backups --concurrency 2
    celery --app celery_app beat

with REDIS_URL, SHOP_FOLDER and BACKUP_FOLDER set. Beat sends what the schedule says, and the workers do it: one run
of a pipeline at a time, however many workers there are. Here a Redis server and a worker are started for one run.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from celery import Celery

from backupkit import BackupPipeline, Directory, FileMemory, Passphrase
from backupkit.integrations.celery import register
from backupkit.scheduling import Schedule


def pipelines() -> list[BackupPipeline]:
    """Asked for in a worker, by the first task: a web application that only sends tasks needs no passphrase."""
    return [
        BackupPipeline(
            "shop",
            Directory(os.environ["SHOP_FOLDER"]),
            os.environ["BACKUP_FOLDER"],
            encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
            memory=FileMemory(os.environ["BACKUP_FOLDER"]),
        )
    ]


def application() -> Celery:
    server = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
    made = Celery("shop", broker=server, backend=server)
    register(made, pipelines, schedule=Schedule())
    return made


app = application()


def main() -> None:
    with TemporaryDirectory() as temporary, redis_server(Path(temporary)) as server:
        root = Path(temporary)
        for folder in ("shop", "backups"):
            (root / folder).mkdir()
        (root / "shop" / "prices.csv").write_text("apple,1\npear,2\n")
        os.environ["REDIS_URL"] = server
        os.environ["SHOP_FOLDER"] = str(root / "shop")
        os.environ["BACKUP_FOLDER"] = str(root / "backups")
        os.environ["BACKUP_ARCHIVE_PASSWORD"] = "correct horse battery staple"

        with worker(), application() as shop:
            result = shop.tasks["backupkit.run"].delay("shop", only="files")
            report = result.get(timeout=60)
        print(f"run: {report['outcome']}; entries: {report['entries']}")
        print(f"archives: {len([*(root / 'backups').glob('shop/*.zip')])}")


@contextmanager
def worker() -> Iterator[None]:
    celery = [sys.executable, "-m", "celery", "--app", Path(__file__).stem]
    with subprocess.Popen(
        [*celery, "worker", "--queues=backups", "--concurrency=1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A server of our own, which keeps nothing."""
    import redis

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["redis-server", f"--port {port}", "--bind 127.0.0.1", f"--dir {folder}", "--save ''"],
        stdout=subprocess.DEVNULL,
    ) as process:
        url = f"redis://127.0.0.1:{port}/0"
        try:
            with redis.Redis.from_url(url) as client:
                for _ in range(200):
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        time.sleep(0.05)
            yield url
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
