"""Placeholder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backupkit.databases.clients import State
from backupkit.databases.urls import DatabaseURL


@dataclass(frozen=True, slots=True)
class MongoDBClient:
    """Placeholder."""

    url: DatabaseURL
    tools: Path | None = None

    def state(self) -> State:
        raise NotImplementedError

    def create(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        raise NotImplementedError

    def count_rows(self) -> Mapping[str, int]:
        raise NotImplementedError

    def databases(self) -> list[str]:
        raise NotImplementedError
