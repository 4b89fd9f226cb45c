"""Where restored entries go."""

from __future__ import annotations

from backupkit.targets.directory import DirectoryTarget

__all__ = ["DirectoryTarget"]
