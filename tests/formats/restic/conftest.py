"""What holds for every test of the restic format."""

from __future__ import annotations

import signal
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _dies_of_hangups() -> Iterator[None]:
    """As a new process would: where a lock could not be removed, this one ignores them from then on."""
    yield
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
