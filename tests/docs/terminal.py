"""Programs that ask a person, and what the person writes."""

from __future__ import annotations

import os
import pty
import select
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress


class ProgramFailedError(Exception):
    """It ended with another status than 0: what it said."""


def at_terminal(arguments: Sequence[str], answers: Mapping[str, str]) -> bool:
    """Run it at a terminal; to whatever ends with a prompt, its answer is written. Whether anything was asked."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(arguments[0], list(arguments))  # noqa: S606
    asked = False
    said, unanswered = b"", b""
    with suppress(OSError):  # which is how a terminal ends
        while piece := os.read(terminal, 4096):
            said += piece
            unanswered += piece
            for prompt, answer in answers.items():
                if unanswered.rstrip().endswith(prompt.encode()) and _is_silent(terminal):
                    os.write(terminal, answer.encode() + b"\n")
                    unanswered, asked = b"", True
                    break
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise ProgramFailedError(f"It ended with status {code}:\n{said.decode('utf-8', 'replace')}")
    return asked


def _is_silent(terminal: int) -> bool:
    """Wait until it does not show what is written: some prompt first, then throw away what was written before.

    False if the program goes on instead: it prompts also where something else than the terminal answers.
    """
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        if select.select([terminal], [], [], 0.01)[0]:
            return False
    return True
