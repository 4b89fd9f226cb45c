"""The command line in processes that need not import it first: they are forked from one that has.

A process of the command line takes 0.2 s of a processor until it begins, and hundreds are started.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path

# Of these, Python takes notice only when it starts.
_FOR_PYTHON = ("PYTHON", "LC_", "LANG")


def run(
    arguments: Sequence[str], *, folder: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """As `python -m backupkit` in this folder, with nothing to read and with these variables alone."""
    command = [sys.executable, "-m", "backupkit", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if any(name.startswith(_FOR_PYTHON) and os.environ.get(name) != value for name, value in env.items()):
            code = subprocess.run(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False
            ).returncode
        else:
            code = _forked(
                {"arguments": arguments, "folder": str(folder), "env": env}, out.fileno(), err.fileno()
            )
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(command, code, *printed)


def _forked(call: Mapping[str, object], *files: int) -> int:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(_server(), [b"."], [theirs.fileno(), *files])
        theirs.close()
        ours.sendall(json.dumps(call).encode())
        ours.shutdown(socket.SHUT_WR)
        return int(ours.makefile("rb").read())


@cache
def _server() -> socket.socket:
    """One for each process of tests, with which it ends."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(calls: socket.socket) -> None:
    while True:
        _, files, _, _ = socket.recv_fds(calls, 1, 3)
        if not files:
            return
        answers, out, err = files
        if os.fork() == 0:
            calls.close()
            _answer(socket.socket(fileno=answers), out, err)
        for file in files:
            os.close(file)


def _answer(asked: socket.socket, out: int, err: int) -> None:
    """In a process between the server, which goes on, and the command line, whose end is waited for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with asked:
        call = json.loads(asked.makefile("rb").read())
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["env"])
    time.tzset()
    sys.path[0] = os.getcwd()
    sys.argv = [backupkit.__main__.__file__, *call["arguments"]]
    backupkit.__main__.main()  # and out of here by an exception, as any Python ends


def _warm_up() -> None:
    """Import what takes long, by looking for backups where there are none."""
    sys.argv = ["backupkit", "list", os.devnull + "/none"]
    nowhere = io.StringIO()
    with redirect_stdout(nowhere), redirect_stderr(nowhere), suppress(SystemExit):
        backupkit.__main__.main()


if __name__ == "__main__":
    import backupkit.__main__

    calls = socket.socket(fileno=int(sys.argv[1]))
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _serve(calls)
