"""Placeholder."""

from __future__ import annotations

from collections.abc import Iterator

from backupkit.databases.urls import DatabaseURL
from backupkit.model import Contents, Entry


class Redis:
    """Placeholder."""

    name = ""
    contents: Contents = "databases"

    def __init__(self, url: str | DatabaseURL) -> None:
        raise NotImplementedError

    def entries(self) -> Iterator[Entry]:
        raise NotImplementedError
