"""The directory target holds to the contract of all targets, with any of its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backupkit.protocols import Target
from backupkit.targets import DirectoryTarget
from backupkit.testing.targets import TargetTests


class TestDirectoryTarget(TargetTests):
    @pytest.fixture(
        params=[{}, {"overwrite": True}, {"resume": True}, {"max_size": "1MB", "max_entries": 9}], ids=str
    )
    def target(self, request: pytest.FixtureRequest, tmp_path: Path) -> Target:
        options: dict[str, Any] = request.param
        return DirectoryTarget(tmp_path / "new", **options)

    def names(self, target: Target) -> list[str]:
        assert isinstance(target, DirectoryTarget)
        folder = Path(target.folder)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
