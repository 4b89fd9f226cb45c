"""Restoring with several processes, where Python's lock bounds one: the many small files of a snapshot."""

from __future__ import annotations

import pickle
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait

from backupkit._operation import Running
from backupkit._parallel import usable_processors
from backupkit._processes import check_can_start, end, how_it_ended, started
from backupkit._restore_worker import Job, Key, Passed, Ready, Stretch, is_apart, key_of
from backupkit.errors import RestoreError
from backupkit.model import Backup, Entry, Problem
from backupkit.protocols import Destination, OnThisMachine, ReadsElsewhere, Repository, Target
from backupkit.selection import Selection
from backupkit.targets import DirectoryTarget

_MOST = 4  # workers, each of which takes 60 MiB and more
WORTH = 4000  # entries that take longer than starting a process
_MOST_LINKS = 20_000  # files with several names, whose paths every worker is told
_MOST_KEPT = 20_000  # folders and the like that are remembered, lest they be read twice
_FIRST = 256  # entries in the first stretches that are noted; they are joined when there are too many
_STRETCHES = 8  # that each worker gets, one after the other, so that all end at the same time
_ENTRY = 16 << 10  # bytes that take as long to restore as a file without content
_PATIENCE = 0.2  # seconds until it is asked again whether all was cancelled
_START = 60.0  # seconds in which a worker must have begun, or is done without
_LEAVE = 5.0  # seconds in which a worker must have ended


class Stretches:
    """Learns, from the entries of a check, how a restore can be divided."""

    def __init__(self) -> None:
        self.count = 0
        self.linked: set[str] = set()
        self._rest: list[Entry] | None = []  # what the workers leave alone, unless that is much
        self._weight = 0
        self._cuts: list[tuple[str, int]] = []  # a path, and what everything before it weighs
        self._step = _FIRST * _ENTRY

    def learning(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if self._rest is not None and not is_apart(entry, ()):
                self._rest.append(entry)
                if entry.kind == "hardlink" or len(self._rest) > _MOST_KEPT:
                    self._rest = None
            if entry.kind == "hardlink":
                self.linked.update((entry.path, entry.target or ""))
            elif entry.kind == "file":
                self.count += 1
                if self._weight >= (self._cuts[-1][1] if self._cuts else 0) + self._step:
                    self._cuts.append((entry.path, self._weight))
                    if len(self._cuts) > 1024:
                        self._cuts, self._step = self._cuts[1::2], self._step * 2
                self._weight += _ENTRY + (entry.size or 0)
            yield entry

    def divided(self, most: int) -> Sequence[Stretch]:
        """Adjoining stretches of about the same weight, in which everything is."""
        keys: list[Key] = [()]
        for path, weight in self._cuts:
            if weight >= len(keys) * self._weight / most:
                keys.append(key_of(path))
        keys.sort()
        linked = frozenset(self.linked)
        return [Stretch(start, end, linked) for start, end in zip(keys, [*keys[1:], None], strict=True)]

    def rest(self, read: Callable[[Callable[[Entry], bool]], Iterator[Entry]]) -> Iterable[Entry]:
        """The entries that the workers leave alone; `read` reads those again that are wanted."""
        if self._rest is not None:
            return self._rest
        return read(lambda entry: not is_apart(entry, self.linked))

    @property
    def worth(self) -> bool:
        return self.count >= WORTH and len(self.linked) <= _MOST_LINKS


@dataclass(eq=False)
class _Process:
    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    busy: bool = False


def workers_for(
    repository: Repository,
    backup: Backup,
    destination: Destination,
    target: Target,
    selection: Selection,
    count: int | None,
) -> RestoreWorkers | None:
    """Workers, if there can be any and so many entries are worth it.

    Only into a folder, and where no limit has to be counted over all.
    """
    if (
        (count or 0) < WORTH
        or not isinstance(repository, ReadsElsewhere)
        or not isinstance(target, DirectoryTarget)
        or target.resume
        or target.max_size is not None
        or target.max_entries is not None
        or usable_processors() == 1
    ):
        return None
    try:
        workers = RestoreWorkers()
    except ValueError:
        return None
    try:
        # Locking the repository takes a while, in which they begin.
        reader = repository.reader(backup)
        if reader is None:
            workers.close()
            return None
        job = Job(
            reader=reader,
            target=replace(target, skipped=None),
            include=(*selection.include,),
            exclude=(*selection.exclude,),
            only=selection.only,
            threads=0 if isinstance(destination, OnThisMachine) else 2,  # which wait for the network
        )
        return workers if workers.take(job) else None
    except BaseException:
        workers.close()
        raise


class RestoreWorkers:
    """Processes that restore; a context manager, which none of them outlives. Started when it is made."""

    def __init__(self) -> None:
        """ValueError if there can be none: it is not known how to start them."""
        self._all: list[_Process] = []
        check_can_start()
        try:
            for _ in range(min(usable_processors(), _MOST)):
                self._all.append(_started())
        except OSError as error:
            self.close()
            raise ValueError("no process could be started") from error

    def take(self, job: Job) -> bool:
        """Tell them what all is for; False, and they are closed, if it cannot be given to another process."""
        try:
            content = pickle.dumps(job)
        except Exception:
            self.close()
            return False
        for one in self._all:
            with suppress(OSError):  # it has ended already: receiving will tell
                one.connection.send_bytes(content)
        return True

    def __enter__(self) -> RestoreWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def around(
        self,
        entries: Iterable[Entry],
        apart: Callable[[Callable[[Entry], bool]], Iterable[Entry]],
        stretches: Stretches,
        running: Running,
        lost: Callable[[Problem], None],
    ) -> Iterator[Entry]:
        """Entries that are not apart: the folders first, then, when the workers have done theirs, the others.

        If no worker can read the backup, as where its destination is made of what only the application's own script
        has, `apart` reads the rest: it is asked for those for which it is told yes.
        """
        later: list[Entry] = []
        for entry in entries:
            if entry.kind == "directory":
                yield entry
            else:
                later.append(entry)
        if not self._work([*stretches.divided(_STRETCHES * len(self._all))], running, lost):
            yield from apart(lambda entry: is_apart(entry, stretches.linked))
        yield from later

    def _work(self, todo: list[Stretch], running: Running, lost: Callable[[Problem], None]) -> bool:
        """Whether they could; if not, nothing was done."""
        todo.reverse()
        latest = time.monotonic() + _START
        while todo or any(one.busy for one in self._all):
            for one in self._all:
                if todo and one.ready and not one.busy:
                    one.busy = True
                    self._send(one, todo.pop())
            running.check_cancelled()
            ready = wait([one.connection for one in self._all], _PATIENCE)
            for one in [*self._all]:
                if one.connection in ready:
                    self._receive(one, running, lost)
                elif not one.ready and time.monotonic() > latest:
                    self._leave_out(one)
            if not ready:
                self._look_for_dead()
            if not self._all:
                return False
        return True

    def _look_for_dead(self) -> None:
        """A process that this program forked while one was started may hold its end of the connection open."""
        for one in [*self._all]:
            if one.process.poll() is not None and not one.connection.poll():
                if one.ready:
                    raise _death(one)
                self._leave_out(one)

    def _leave_out(self, one: _Process) -> None:
        """One that cannot begin."""
        self._all.remove(one)
        one.connection.close()
        end(one.process, 0)

    def _send(self, one: _Process, stretch: Stretch) -> None:
        try:
            one.connection.send(stretch)
        except OSError as error:
            raise _death(one) from error

    def _receive(self, one: _Process, running: Running, lost: Callable[[Problem], None]) -> None:
        try:
            message: Ready | Passed | Exception = one.connection.recv()
        except (EOFError, OSError) as error:
            if not one.ready:
                self._leave_out(one)
                return
            raise _death(one) from error
        if isinstance(message, Ready):
            one.ready = True
            return
        if isinstance(message, Exception):
            if not one.ready:
                self._leave_out(one)
                return
            raise message
        running.count(message.entries, message.read)
        for problem in message.problems:
            running.add(problem)
        for problem in message.lost:
            lost(problem)
        one.busy = one.busy and not message.last

    def close(self) -> None:
        for one in self._all:
            one.connection.close()  # which tells it to leave nothing unfinished, and to end
        latest = time.monotonic() + _LEAVE
        for one in self._all:
            end(one.process, max(0.1, latest - time.monotonic()))
        self._all.clear()


def _started() -> _Process:
    return _Process(*started("backupkit._restore_worker", "main"))


def _death(one: _Process) -> RestoreError:
    return RestoreError(
        f"A process that restored files {how_it_ended(one.process)}: see whether memory was short, and restore "
        "again, with resume.",
        path="",
    )
