"""A private Redis, and workers of the tests' application that are processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from celery.result import AsyncResult

from tests import servers
from tests.integrations.celery.application import application

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


def until(ready: Callable[[], Any], what: str, *, log: Path | None = None, patience: float = PATIENCE) -> Any:
    """What it returns as soon as that is true; fails after a minute, or what else is said."""
    end = time.monotonic() + patience
    while not (found := ready()):
        if time.monotonic() > end:
            told = log.read_text(errors="replace")[-6000:] if log else ""
            raise AssertionError(f"{what} never came\n{told}")
        time.sleep(0.02)
    return found


@dataclass
class Program:
    """A process of Celery's with its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    name: str = ""

    def said(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said this."""
        until(lambda: self.output.count(text) >= times, repr(text), log=self.log)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """As a power cut would: its pool ends with it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.kill()


@dataclass
class Fleet:
    app: Celery
    client: redis.Redis
    url: str
    folder: Path
    servers_folder: Path
    programs: list[Program] = field(default_factory=list)
    _names: Iterator[str] = field(default_factory=lambda: (f"shop-{number}" for number in range(1, 30)))

    def name(self) -> str:
        """A pipeline that no test has used."""
        return next(self._names)

    def start(
        self, *arguments: str, app: str = "tests.integrations.celery.application", **more: str
    ) -> Program:
        log = self.folder / f"log-{len(self.programs)}"
        environment = {
            **os.environ,
            "FLEET_REDIS": self.url,
            "FLEET_FOLDER": str(self.folder),
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "TMPDIR": str(self.folder),
            **more,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        program = Program(process, log)
        self.programs.append(program)
        return program

    def worker(self, name: str = "one", *arguments: str, ready: bool = True, **more: str) -> Program:
        program = self.start(
            *("worker", "-Q", "backups", "-n", f"{name}@fleet", "--concurrency=2", "--loglevel=INFO"),
            "--without-mingle",
            *arguments,
            **more,
        )
        program.name = name
        if ready:
            program.said(" ready.")
        return program

    def send(self, name: str, verb: str = "run", **options: Any) -> AsyncResult[Any]:
        return self.app.tasks[f"backupkit.{verb}"].apply_async(kwargs={"pipeline": name}, **options)

    def begun(self, name: str) -> int:
        """Wait until a run has begun; the process that it is in."""
        began = until(
            lambda: self.client.lpop(f"begun {name}"), f"the run of {name}", log=self.programs[-1].log
        )
        return int(began)

    def go(self, name: str) -> None:
        """Let a run end, the one that is under way or the next."""
        self.client.rpush(f"go {name}", 1)

    def told(self, name: str) -> list[str]:
        found: Any = self.client.lrange(f"told {name}", 0, -1)
        return [one.decode() for one in found]

    def why(self, name: str) -> str:
        """The last problem that a notifier heard of."""
        found: Any = self.client.lindex(f"why {name}", -1)
        return str(found.decode())

    def stored(self, name: str) -> list[str]:
        """What there is of a pipeline, the unfinished as well."""
        return sorted(one.name for one in (self.folder / "backups" / name).glob("**/*") if one.is_file())

    def archives(self, name: str) -> list[str]:
        return [one for one in self.stored(name) if one.endswith(".zip")]


def ended(result: AsyncResult[Any], *, patience: float = PATIENCE) -> str:
    """How a task has ended."""
    states = ("SUCCESS", "FAILURE", "REVOKED")
    until(lambda: result.state in states, f"the end of {result.id} ({result.state})", patience=patience)
    return str(result.state)


@contextmanager
def fleet(folder: Path, **more: Any) -> Iterator[Fleet]:
    with servers.redis(settings=["appendonly yes"]) as server:
        url = server.url("0").replace("default", "", 1)
        (folder / "backups").mkdir()
        app = application(url, folder, **more)
        with redis.Redis.from_url(url) as client:
            made = Fleet(app, client, url, folder, server.folder)
            try:
                yield made
            finally:
                for program in made.programs:
                    program.stop()
                app.close()
