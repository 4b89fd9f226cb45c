"""What holds for every test of the restic format."""

from __future__ import annotations

from pathlib import Path

import pytest

from backupkit.formats.restic import keys, locks
from tests.formats.restic.stock import Restic


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrypt that takes no time, which restic opens as well, and locks seen at once, as on a local disk."""
    monkeypatch.setattr(keys, "usual_cost", lambda: keys.Cost(2, 8, 1))
    monkeypatch.setattr(locks, "_SETTLING", 0.01)


@pytest.fixture(scope="session")
def made_by_restic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of version 1 that restic has made, which takes seconds; leave it as it is."""
    restic = Restic(tmp_path_factory.mktemp("made-by-restic") / "repository")
    restic.must("init", "--repository-version", "1")
    return restic.folder
