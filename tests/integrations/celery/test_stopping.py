"""What the signals of Celery do to a process of the prefork pool, at whatever moment of a task they come."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

STOPPED = """
import os, signal, sys
from billiard.pool import soft_timeout_sighandler
from backupkit.integrations.celery.stopping import stoppable
signal.signal(signal.SIGUSR1, soft_timeout_sighandler)  # as in a pool
with stoppable() as stop:
    os.kill(os.getpid(), int(sys.argv[1]))
    stop.cancel.wait()
    print(stop.cancel.because, flush=True)
assert signal.getsignal(signal.SIGUSR1) is soft_timeout_sighandler
print("it goes on", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "says", "ends"),
    [
        (signal.SIGUSR1, "its time limit was reached\nit goes on\n", 0),
        (signal.SIGTERM, "its process was told to stop\n", -signal.SIGTERM),
    ],
)
def test_whoever_is_told_to_stop_ends_although_its_task_succeeded(
    number: signal.Signals, says: str, ends: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(int(number))], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == (says, ends)
