"""A child process that runs a pipeline and is killed on the way. Started by `test_killed.py`.

Arguments: the folder of the application, where to be killed, the folders of the destinations.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from backupkit import BackupPipeline, Command, Directory, Entry, LocalDestination, MachineLock, Problem, Retry
from backupkit.protocols import Destination, Source
from backupkit.testing.destinations import Fault, FaultyDestination

AT_THE_END = 1 << 60


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class KillsBeforeTheFirst:
    """A source that never yields its first entry."""

    name = "killer"
    contents = "files"

    def entries(self) -> Iterator[Entry | Problem]:
        die()
        yield


class KillsWithin:
    """A source of one entry that ends in the middle of its second piece."""

    name = "killer"
    contents = "files"

    def entries(self) -> Iterator[Entry | Problem]:
        yield Entry(path="killer", chunks=self._chunks)

    def _chunks(self) -> Iterator[bytes]:
        yield os.urandom(1 << 20)
        yield os.urandom(1 << 20)
        die()


def within_write(after: int) -> Callable[[Destination], Destination]:
    fault = Fault(method="write", does=die, after=after)
    return lambda inner: FaultyDestination(inner, [fault])


DESTINATIONS: dict[str, Callable[[Destination], Destination]] = {
    "before its first byte is written": within_write(0),
    "after 100 kB were written": within_write(100_000),
    "after its last byte was written": within_write(AT_THE_END),
}


def main(app: str, where: str, *folders: str) -> None:
    sources: list[Source] = [Directory(app), Command(["seq", "200000"], name="numbers")]
    if where == "before the first entry":
        sources = [KillsBeforeTheFirst()]  # type: ignore[list-item]
    elif where == "within an entry":
        sources.append(KillsWithin())  # type: ignore[arg-type]
    destinations: list[Destination] = [LocalDestination(folder) for folder in folders]
    if where in DESTINATIONS:
        destinations[-1] = DESTINATIONS[where](destinations[-1])
    lock = MachineLock(Path(app).with_name("locks"))
    BackupPipeline("shop", sources, destinations, encryptor=None, lock=lock, retry=Retry(tries=1)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
