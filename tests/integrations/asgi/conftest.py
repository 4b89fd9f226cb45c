"""A shop with files and an SQLite database, its page, and a visitor who may do everything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from backupkit import BackupPipeline, DatabaseHistory, Directory, SQLite
from backupkit.integrations.asgi import BackupManager
from backupkit.notifiers.database import DatabaseNotifier
from tests.integrations.asgi.visitor import Browser, as_said


@pytest.fixture
def shop(tmp_path: Path) -> BackupPipeline:
    """A pipeline with a history and kept notifications, of which nothing was run yet."""
    (tmp_path / "backups").mkdir(exist_ok=True)
    files = tmp_path / "files"
    (files / "orders").mkdir(parents=True)
    (files / "orders" / "1.csv").write_text("id,total\n1,10\n")
    (files / "hello.txt").write_text("hello")
    with sqlite3.connect(tmp_path / "shop.sqlite3") as connection:
        connection.execute("create table customers (name text)")
        connection.execute("insert into customers values ('anna')")
    records = f"sqlite:///{tmp_path / 'records.sqlite3'}"
    return BackupPipeline(
        "shop",
        [Directory(files), SQLite(tmp_path / "shop.sqlite3")],
        tmp_path / "backups",
        encryptor=None,
        history=DatabaseHistory(records),
        notifiers=[DatabaseNotifier(records)],
    )


@pytest.fixture
def manager(shop: BackupPipeline, tmp_path: Path) -> Iterator[BackupManager]:
    made = BackupManager(shop, authorize=as_said, scratch=tmp_path / "scratch", secret="not to be guessed")
    yield made
    made.close()


@pytest.fixture
def browser(manager: BackupManager) -> Browser:
    return Browser(manager)
