"""What something leaves behind in this process: files that stay open, threads that stay at work.

Only what is new counts. Files and threads of tests before may end at any time, when a collector comes or a call
that was given up returns; they would make a count fall.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_DESCRIPTORS = "/proc/self/fd"


@contextmanager
def no_file_left_open() -> Iterator[None]:
    """Fail if a file is open at the end that was not at the beginning; say nothing where the system lists none."""
    before = open_files()
    yield
    assert open_files() - before == set()


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Fail if a thread is alive at the end that was not at the beginning."""
    before = {*threading.enumerate()}
    yield
    assert {*threading.enumerate()} - before == set()


def open_files() -> set[tuple[int, str]]:
    """Each open descriptor, and what it leads to."""
    found = set()
    for number in os.listdir(_DESCRIPTORS) if os.path.isdir(_DESCRIPTORS) else []:
        with suppress(OSError):  # the one of the listing itself is closed again
            found.add((int(number), os.readlink(f"{_DESCRIPTORS}/{number}")))
    return found
