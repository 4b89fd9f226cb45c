from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, MachineLock, Retry
from backupkit.testing.destinations import MemoryDestination
from tests.caches import caches_of_their_own as caches_of_their_own
from tests.pipeline.shop import Clock, Make
from tests.pipeline.snapshots import impatient as impatient
from tests.pipeline.snapshots import places as places


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(sources: Any, destinations: Any, **options: Any) -> BackupPipeline:
        settings: dict[str, Any] = {
            "encryptor": None,
            "retry": Retry(wait=0),
            "lock": MachineLock(tmp_path / "locks"),
        }
        name = options.pop("name", "shop")
        return BackupPipeline(name, sources, destinations, **(settings | options))

    return made
