"""`backupkit://`: what fsspec opens by options alone, in any process."""

from __future__ import annotations

from backupkit.repository_urls.file_system import RepositoryFileSystem

__all__ = ["RepositoryFileSystem"]
