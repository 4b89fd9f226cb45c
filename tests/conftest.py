"""What holds for every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# pytest's importlib mode leaves sys.path alone, and tests write `from tests.tools import …`.
sys.path.insert(0, str(Path(__file__).parent.parent))

# No deadline: the machines that run this are shared, and slowness is what benchmarks/ is for.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

from backupkit import state_folder  # noqa: E402 - only now can the tests be found
from backupkit.locking import machine  # noqa: E402
from tests import restics, servers  # noqa: E402
from tests.storage import ceph, s3, seaweedfs  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def roots_state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where root's processes would remember something, if tests let them."""
    folder = state_folder._FOR_ROOT
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_folder, "_FOR_ROOT", str(tmp_path_factory.mktemp("state") / "backupkit"))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _locks_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in several processes, and each has a pipeline "shop" that stores in "memory:memory"."""
    folder = tmp_path_factory.mktemp("locks")
    folder.chmod(0o1777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_SHARED", (str(folder),))
        yield


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.Server]:
    """Shared by all tests that leave it as it was: they make databases with names of their own."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[servers.Server]:
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Server]:
    """It holds one data set: each test empties it first."""
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    """SeaweedFS, or Ceph where the session of that name asks for it. Each test makes a bucket of its own."""
    with ceph.ceph() if os.environ.get("BACKUPKIT_TESTS_S3") == "ceph" else seaweedfs.seaweedfs() as server:
        yield server


@pytest.fixture(params=restics.clients())
def restic(request: pytest.FixtureRequest) -> restics.Client:
    """Each stock client in turn; one that could not be fetched is skipped. `installed_restic` is only one."""
    return restics.client(request.param)


@pytest.fixture
def installed_restic() -> restics.Client:
    """The stock client that this machine has."""
    return restics.client("installed")
