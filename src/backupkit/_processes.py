"""Processes of this package's own: how they are started, and how they ended."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any

from backupkit.errors import BackupKitError, told

_LOOK = 1.0  # seconds after which one looks whether the other is still there
# Not by `multiprocessing`, which either runs the application's own program again or forks a process with threads.
# The package stands in for itself until somebody asks for one of its names: all of it takes 0.13 s to import.
_PROGRAM = """
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
spec = find_spec("backupkit")
package = sys.modules["backupkit"] = module_from_spec(spec)
def whole(name):
    del package.__getattr__
    spec.loader.exec_module(package)
    return getattr(package, name)
package.__getattr__ = whole
getattr(import_module(sys.argv[2]), sys.argv[3])(connection, int(sys.argv[4]))
"""


def check_can_start() -> None:
    """ValueError if it is not known how Python is started here: in a server such as uWSGI, in a frozen program."""
    name = os.path.basename(sys.executable or "")
    if not name.startswith(("python", "pypy")) or getattr(sys, "frozen", False):
        raise ValueError("it is not known how Python is started here")


def python_command() -> list[str]:
    """How this Python is started once more, for a program of ours, with the flags that say where modules are found.

    Never in the current folder, in which anybody may have put some; and names of files are the same texts there.
    """
    command = [sys.executable, "-P", f"-Xutf8={sys.flags.utf8_mode}"]
    if sys.flags.isolated:
        command.append("-I")
    elif sys.flags.ignore_environment:
        command.append("-E")
    return command


def started(
    module: str, function: str, *, errors: IO[bytes] | None = None
) -> tuple[subprocess.Popen[bytes], Connection]:
    """A process that calls this function of ours with the other end of the connection, and the number of this one.

    OSError if none starts. What it writes to its standard error goes to the file `errors`, or nowhere. Wait for it
    with `end`.
    """
    ours, theirs = Pipe()
    try:
        process = subprocess.Popen(  # our own program
            [*python_command(), "-c", _PROGRAM, str(theirs.fileno()), module, function, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if errors is None else errors,
            pass_fds=(theirs.fileno(),),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    with suppress(OSError):  # it has ended already: receiving will tell
        ours.send(sys.path)
    return process, ours


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    """In words, of one that is about to end or has."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    status = process.returncode
    return f"was killed by signal {-status}" if status and status < 0 else f"ended with status {status}"


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait so long for its end, then kill it."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # one that a dead mount keeps cannot even be killed
            process.wait(1)


def received(connection: Connection, parent: int) -> Any:
    """What comes next; EOFError if nothing can, also where the parent was killed and a fork of it holds its end."""
    while not connection.poll(_LOOK):
        if os.getppid() != parent:
            raise EOFError
    return connection.recv()


def answer_of(process: subprocess.Popen[bytes], connection: Connection) -> Any:
    """What comes next from a process of ours; EOFError if it has ended, though a fork may hold its end."""
    while not connection.poll(_LOOK):
        if process.poll() is not None and not connection.poll():
            raise EOFError
    return connection.recv()


def sendable(error: Exception) -> Exception:
    """The error, or what it says in one that can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    except Exception:
        return BackupKitError(told(error))
    return error
