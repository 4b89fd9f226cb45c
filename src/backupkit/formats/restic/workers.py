"""Workers: the processes among which a run is spread. See the architecture, "How a run is spread"."""

from __future__ import annotations

import pickle
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from backupkit._processes import check_can_start, end, how_it_ended, started
from backupkit.formats.restic.exchange import Message, Ready, Setup, WorkerDiedError

_PATIENCE = 10.0  # seconds in which a worker must have begun
_LEAVE = 5.0  # seconds in which one that has nothing more to do must have ended


@dataclass(slots=True, eq=False)
class Worker:
    """One process; `busy` with what it was given, while it is."""

    process: subprocess.Popen[bytes]
    connection: Connection
    said: Any  # a file with what it wrote to its standard error
    ready: bool = False
    busy: Sequence[Any] | None = None

    def receive(self) -> Message:
        """What it sent; WorkerDiedError if it has ended."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise self.death() from error
        return message

    def send(self, message: object) -> None:
        self.send_bytes(pickle.dumps(message))

    def send_bytes(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except OSError as error:
            raise self.death() from error

    def death(self) -> WorkerDiedError:
        how = how_it_ended(self.process)
        self.said.seek(0)
        last = self.said.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
        return WorkerDiedError(
            f"A process that read files for this run {how}{f' ({last})' if last else ''}: see whether memory was "
            "short, and run again, with Restic(workers=0) if it happens again."
        )


class Workers:
    """A few processes, all started at once. Close it, whatever happens: none may outlive it."""

    def __init__(self, setup: Setup, count: int) -> None:
        """ValueError if this process cannot start any, or they cannot be told what they need."""
        self.all: list[Worker] = []
        try:
            content = pickle.dumps(setup)
        except Exception as error:
            raise ValueError("the destination cannot be given to another process") from error
        check_can_start()
        self._latest = time.monotonic() + _PATIENCE
        try:
            for _ in range(count):
                self.all.append(_started(content))
        except OSError as error:
            self.close()
            raise ValueError("no process could be started") from error

    def idle(self) -> Sequence[Worker]:
        return [one for one in self.all if one.ready and one.busy is None]

    def receive(self, timeout: float) -> Sequence[tuple[Worker, Message]]:
        """What those have sent that have sent something, waiting for the first; of each one message."""
        found = []
        by_connection = {one.connection: one for one in self.all}
        for connection in wait([*by_connection], timeout):
            worker = by_connection[connection]  # type: ignore[index]  # what was given
            try:
                message = worker.receive()
            except WorkerDiedError:
                if worker.ready:
                    raise
                self._leave_out(worker)
                continue
            if isinstance(message, Ready):
                worker.ready = True
            elif not worker.ready:
                self._leave_out(worker)  # it cannot make the destination of what it can import
            else:
                found.append((worker, message))
        if time.monotonic() > self._latest:
            for worker in [*self.all]:
                if not worker.ready:
                    self._leave_out(worker)
        return found

    def close(self) -> None:
        """End all: those with nothing to do end by themselves, the others are killed."""
        for worker in self.all:
            if worker.busy is not None or not worker.ready:
                worker.process.kill()
            worker.connection.close()
        latest = time.monotonic() + _LEAVE
        for worker in self.all:
            _wait(worker, max(latest - time.monotonic(), 0.1))
        self.all.clear()

    def dismiss(self, worker: Worker) -> None:
        """Let one end that has done everything."""
        self.all.remove(worker)
        worker.connection.close()
        _wait(worker, _LEAVE)

    def _leave_out(self, worker: Worker) -> None:
        self.all.remove(worker)
        worker.process.kill()
        worker.connection.close()
        _wait(worker, 1)


def _wait(worker: Worker, seconds: float) -> None:
    end(worker.process, seconds)
    worker.said.close()


def _started(setup: bytes) -> Worker:
    said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
    try:
        process, connection = started("backupkit.formats.restic.worker", "work", errors=said)
    except BaseException:
        said.close()
        raise
    with suppress(OSError):  # it has ended already: receiving will tell
        connection.send_bytes(setup)
    return Worker(process, connection, said)
