"""What all tests of browsing have."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from backupkit.repository_urls import RepositoryFileSystem
from tests.browsing.kept import FORMATS, Kept, kept
from tests.caches import caches_of_their_own as caches_of_their_own
from tests.impatience import be_impatient


@pytest.fixture(scope="session", autouse=True)
def _registered() -> Iterator[None]:
    """As the entry point does where the package was installed."""
    fsspec.register_implementation("backupkit", RepositoryFileSystem, clobber=True)
    yield
    RepositoryFileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)


@pytest.fixture(scope="session", params=["archive", "snapshot"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """For tests that change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch)
        return kept(tmp_path_factory.mktemp(request.param), FORMATS[request.param])
