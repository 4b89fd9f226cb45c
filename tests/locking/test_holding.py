"""Waiting for a lock of any kind: as long as is said, and in steps between which it can be ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from backupkit import BackupAlreadyRunningError
from backupkit.locking import hold, holding
from backupkit.protocols import Lease


class Taken:
    """A lock that another has, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    @contextmanager
    def hold(self, name: str, *, wait: timedelta) -> Iterator[Lease]:
        self.waits.append(round(wait.total_seconds(), 3))
        self.now += wait.total_seconds()
        raise BackupAlreadyRunningError("Another run is under way.")
        yield


@pytest.mark.parametrize(
    ("seconds", "waits"), [(0, [0]), (0.3, [0.3]), (1.2, [0.5, 0.5, 0.2]), (0.75, [0.5, 0.25])]
)
def test_a_lock_is_waited_for_as_long_as_is_said_in_short_steps(
    monkeypatch: pytest.MonkeyPatch, seconds: float, waits: list[float]
) -> None:
    lock = Taken()
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: lock.now))
    looked: list[int] = []
    with (
        pytest.raises(BackupAlreadyRunningError),
        hold(lock, "shop", wait=timedelta(seconds=seconds), between=lambda: looked.append(len(lock.waits))),
    ):
        pass
    assert lock.waits == waits
    assert looked == [*range(len(waits))], "it can be ended before each step"
