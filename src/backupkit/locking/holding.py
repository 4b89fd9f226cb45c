"""`hold`: a lock of any kind, waited for in a way that can be ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from backupkit.errors import BackupAlreadyRunningError
from backupkit.protocols import Lease, Lock

_STEP = 0.5  # seconds between two looks at whether waiting is still wanted


@contextmanager
def hold(lock: Lock, name: str, *, wait: timedelta, between: Callable[[], None]) -> Iterator[Lease]:
    """Hold any lock; wait for it in short steps, `between` which something is called that may end the waiting."""
    end = time.monotonic() + wait.total_seconds()
    with ExitStack() as held:
        while True:
            between()
            left = end - time.monotonic()
            step = timedelta(seconds=max(0.0, min(left, _STEP)))
            try:
                lease = held.enter_context(lock.hold(name, wait=step))
                break
            except BackupAlreadyRunningError:
                if left <= _STEP:
                    raise
        yield lease
