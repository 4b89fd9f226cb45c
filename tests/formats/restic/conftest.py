"""What holds for every test of the restic format."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.caches import caches_of_their_own as caches_of_their_own
from tests.formats.restic.stock import Restic
from tests.impatience import be_impatient


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)


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
