"""The table of all backups: what is in it, what is found in it, and that it stays fast."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Directory, KeepLast, LocalDestination
from backupkit.integrations.asgi import BackupManager
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.visitor import Browser, as_said

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_backup_is_listed_with_what_is_known_of_it(shop: BackupPipeline, browser: Browser) -> None:
    backup = shop.run().destinations[0].backup
    assert backup is not None
    shop.pin(backup, reason="before the move")
    text = browser.get("/backups").text
    for shown in (backup.id, "files and databases", backup.location, "before the move", "good"):
        assert shown in text
    assert f"/pipelines/shop/backups/{backup.id}?at=" in text


def ids(text: str) -> list[str]:
    return re.findall(r'<code class="soft small">(.*?)</code>', text)
