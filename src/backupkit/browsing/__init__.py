"""Backups as a read-only file system, as fsspec has it."""

from __future__ import annotations

from backupkit.browsing.file_system import BackupFileSystem

__all__ = ["BackupFileSystem"]
