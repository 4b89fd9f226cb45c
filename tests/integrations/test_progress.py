"""What is told of how far an operation has come, and how often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from backupkit.events import BytesRead, EntryStarted, Expected
from backupkit.integrations import progress


def test_numbers_are_handed_on_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    told: list[dict[str, Any]] = []
    observer = progress.Numbers(told.append)
    observer(Expected(1000))
    observer(EntryStarted("a", 1000))
    for second in (100.5, 101, 101.5, 101.9, 102):
        now = second
        observer(BytesRead(100))
    assert told == [
        {"entries": 1, "read": 200, "expected": 1000, "rate": 200, "remaining": 4.0},
        {"entries": 1, "read": 500, "expected": 1000, "rate": 250, "remaining": 2.0},
    ]
