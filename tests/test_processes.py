"""Processes of our own end when nobody has anything more for them to do."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

import backupkit

# A fork of the parent, such as a web server makes them, has the parent's end of the connection too.
_PARENT = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
from backupkit import DirectoryTarget
from backupkit._processes import started
from backupkit._restore_worker import Job

job = Job(reader=None, target=DirectoryTarget("unused"), include=(), exclude=(), only=None, threads=0)
process, connection = started(sys.argv[2], sys.argv[3])
connection.send_bytes(pickle.dumps(job))
if os.fork():
    print(process.pid, flush=True)
    os.kill(os.getpid(), 9)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of any process")
@pytest.mark.parametrize(
    ("module", "function"),
    [("backupkit._restore_worker", "main"), ("backupkit.formats.restic.pack_checking", "work")],
)
def test_a_process_ends_when_its_parent_is_killed_while_a_fork_of_that_lives(
    module: str, function: str
) -> None:
    package = Path(backupkit.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, package, module, function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        try:
            ended = os.pidfd_open(int(parent.stdout.readline()))
        except ProcessLookupError:  # already
            return
        try:
            assert select.select([ended], [], [], 20)[0]
        finally:
            os.close(ended)
