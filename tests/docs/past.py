"""Backups that were made before a page begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backupkit import BackupPipeline, Directory, Passphrase, Restic, SQLite, Zip
from tests.docs.worlds import PASSPHRASE


def make_backups(root: str, days: Sequence[int], *, snapshots: bool) -> None:
    """One of 03:00 for each number of days ago, oldest first; before each, somebody orders something."""
    today = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)
    shop = Path(root, "srv/shop")
    database = [SQLite(shop / "shop.sqlite3")] if (shop / "shop.sqlite3").exists() else []
    for ago in sorted(days, reverse=True):
        with (shop / "data/orders.csv").open("a") as orders:
            orders.write(f"{ago},bob,1\n")
        BackupPipeline(
            "shop",
            [Directory(shop), *database],
            f"{root}/mnt/backup",
            encryptor=Passphrase(PASSPHRASE),
            format=Restic(workers=0) if snapshots else Zip(),
            clock=lambda time=today - timedelta(days=ago): time,  # type: ignore[misc]
        ).run()
