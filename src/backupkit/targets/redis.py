"""Placeholder."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.databases.clients import DatabaseClient
from backupkit.targets.database import Loading


def load_redis(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Placeholder."""
    raise NotImplementedError
