"""Runs, and prunes, that go wrong at one call of their destination, here or in a fork that is killed.

python -m tests.formats.restic.killing     # a line of JSON for each case wanted
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backupkit.destinations.local import LocalDestination
from backupkit.formats.restic import keys, locks, packing
from backupkit.formats.restic.format import Restic
from backupkit.model import Pruned
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry
from backupkit.sources.files import Directory
from backupkit.testing.destinations import Fault, FaultyDestination, Method
from tests.restics import PASSWORD

END = 1 << 60
METHODS: Sequence[Method] = ("write", "read", "stat", "list", "delete")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run into the folder, or without an app a prune of what the oldest snapshot needed.

    At one call: "kill", "error" or "dead", after which each later one fails too.
    """

    folder: str
    app: str
    does: str = ""
    method: Method = "write"
    call: int = 0
    after: int = 0
    answer_lost: bool = False
    threads: bool = False


def run(case: Case) -> str:
    """How it ended: "succeeded", or the error; and how often each method was called."""
    destination = FaultyDestination(LocalDestination(case.folder), faults(case))
    try:
        if not case.app:
            prune(destination, threads=case.threads)
            return "succeeded"
        written = write(destination, case.app, threads=case.threads)
    except Exception as error:
        return type(error).__name__
    return "succeeded" if written.backup.complete else "incomplete"


def calls(case: Case) -> Mapping[Method, int]:
    counted = FaultyDestination(LocalDestination(case.folder))
    if case.app:
        write(counted, case.app)
    else:
        prune(counted)
    return counted.calls


def write(destination: Destination, app: str | Path, *, name: str = "shop", threads: bool = False) -> Any:
    with (
        ThreadPoolExecutor(2) if threads else nullcontext() as executor,
        Restic(cache=False).open(
            destination, name=name, encryptor=Passphrase(PASSWORD), executor=executor
        ) as repository,
    ):
        return repository.write(
            Directory(app).entries(),
            time=datetime.now(UTC),
            contents=frozenset({"files"}),
            retry=Retry(tries=1),
        )


def prune(destination: Destination, *, threads: bool = False) -> Pruned:
    """Remove the oldest snapshot, if there are several, and leave nothing that is of no use."""
    with (
        ThreadPoolExecutor(2) if threads else nullcontext() as executor,
        Restic(cache=False, pruning=PruneLimits("0 B")).open(
            destination, name="shop", encryptor=Passphrase(PASSWORD), executor=executor
        ) as repository,
    ):
        *newer, oldest = sorted(repository.list(), key=lambda one: one.time, reverse=True)
        if newer:
            repository.remove(oldest)
        return repository.prune()


def contents(destination: Destination) -> list[dict[str, bytes]]:
    """What each snapshot holds, below the folder of the application, the newest first; each must be whole."""
    with Restic(cache=False).open(destination, name="shop", encryptor=Passphrase(PASSWORD)) as repository:
        backups = sorted(repository.list(), key=lambda one: one.time, reverse=True)
        for backup in backups:
            assert [*repository.check(backup)] == []
        return [
            {
                entry.path.partition("/app/")[2]: b"".join(entry.chunks())
                for entry in repository.read(backup)
                if entry.kind == "file"
            }
            for backup in backups
        ]


def faults(case: Case) -> list[Fault]:
    from backupkit.errors import DestinationError

    dead = False

    def happen() -> None:
        nonlocal dead
        dead = case.does == "dead"
        if case.does == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise DestinationError("The cable was cut.", location=case.folder)

    def stay_dead() -> None:
        if dead:
            raise DestinationError("The cable is cut.", location=case.folder)

    first = Fault(
        method=case.method, call=case.call, after=case.after, answer_lost=case.answer_lost, does=happen
    )
    return [first, *(Fault(method=one, call=None, does=stay_dead, goes_on=True) for one in METHODS)]


def forked(case: Case) -> str:
    """How it ended in a fork of this process, which has one thread."""
    answers, answer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(answer, run(case).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(answer)
    with os.fdopen(answers, "rb") as told:
        text = told.read().decode()
    _, status = os.waitpid(child, 0)
    return f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else text


def cheapen() -> None:
    """Let keys cost nothing and packs be small, so that a little tree fills several."""
    vars(keys).update(usual_cost=lambda: keys.Cost(2, 8, 1))
    vars(locks).update(_SETTLING=0)
    vars(packing).update(PACK_SIZE=300_000)


def wish(process: subprocess.Popen[str], case: Case) -> None:
    """Have a case tried by a process of this program, which does not wait."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(case)) + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    """How the case ended."""
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline()))


if __name__ == "__main__":
    cheapen()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(forked(Case(**json.loads(line)))) + "\n")
        sys.stdout.flush()
