"""A program at a terminal, and a person who waits for what it shows before answering."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cli.shop import SECRET, environment

ENTER, DOWN, CTRL_C = "\r", "\x1b[B", "\x03"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>].?")
# Makes the terminal that of the new session, so that passphrases are asked there and Ctrl-C is heard.
_ITS_OWN = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_PATIENCE = 60  # seconds; only a failure takes as long


class Terminal:
    """`screen` is all that was shown so far, without what moves the cursor and colours."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process = process
        self._end = end
        self._shown = b""
        self._seen = 0

    @property
    def screen(self) -> str:
        return _CONTROL.sub("", self._shown.decode(errors="replace"))

    def answer(self, question: str, *keys: str) -> None:
        """Wait until the question is shown, anew since the last answer, and press these keys."""
        while question not in self.screen[self._seen :]:
            assert self._read(), f"{question!r} was not asked:\n{self.screen}"
        self._seen = len(self.screen)
        os.write(self._end, "".join(keys).encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and what was shown since the last answer."""
        while self._read():
            pass
        return self.process.wait(), self.screen[self._seen :]

    def _read(self) -> bool:
        if not select.select([self._end], [], [], _PATIENCE)[0]:
            return False
        try:
            shown = os.read(self._end, 1 << 16)
        except OSError:  # what Linux says when the program has ended
            return False
        self._shown += shown
        return bool(shown)


@contextmanager
def at_terminal(command: Sequence[str], folder: Path) -> Iterator[Terminal]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 300, 0, 0))
    # Nobody here answers when it asks where the cursor is.
    variables = environment({"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"})
    with subprocess.Popen(
        [sys.executable, "-c", _ITS_OWN, *command],
        cwd=folder,
        env=variables,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)
        terminal = Terminal(process, ours)
        try:
            yield terminal
        finally:
            process.kill()
            os.close(ours)
    assert SECRET not in terminal.screen
