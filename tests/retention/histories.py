"""What the tests of retention share: backups by their times, and what a policy says of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from backupkit.model import Backup, Contents
from backupkit.protocols import RetentionPolicy

FULL: frozenset[Contents] = frozenset({"files", "databases"})
DATABASES: frozenset[Contents] = frozenset({"databases"})
FILES: frozenset[Contents] = frozenset({"files"})
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def backup(time: str | datetime, **facts: Any) -> Backup:
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    made: dict[str, Any] = {
        "id": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}",
        "name": "shop",
        "time": moment,
        "contents": FULL,
        "location": "/mnt/backup",
        "complete": True,
        "stored": 1,
    }
    return Backup(**made | facts)


def kept(policy: RetentionPolicy, history: Iterable[Backup], now: datetime = NOW) -> list[str]:
    return [one.backup.id for one in policy.plan(list(history), now=now).keep]


def reasons(policy: RetentionPolicy, history: Iterable[Backup], now: datetime = NOW) -> dict[str, str]:
    plan = policy.plan(list(history), now=now)
    return {one.backup.id: ", ".join(one.reasons) for one in plan.keep} | {
        one.backup.id: one.reason for one in plan.remove
    }


def zone(key: str) -> tzinfo:
    try:
        return UTC if key == "UTC" else ZoneInfo(key)
    except ZoneInfoNotFoundError:
        pytest.skip(f"this machine has no time zone data for {key}")
