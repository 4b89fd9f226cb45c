"""What holds for every test of the restic format."""

from __future__ import annotations

import pytest

from backupkit.formats.restic import keys, locks


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrypt that takes no time, which restic opens as well, and locks seen at once, as on a local disk."""
    monkeypatch.setattr(keys, "usual_cost", lambda: keys.Cost(2, 8, 1))
    monkeypatch.setattr(locks, "_SETTLING", 0.01)
