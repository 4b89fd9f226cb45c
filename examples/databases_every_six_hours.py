"""How do I back up the databases every six hours, and everything at night?

One pipeline, started in two ways: `run(only="databases")` and `run()`. Retention plans the two kinds apart, so
frequent small backups never push out the nightly one. "latest" is the newest good backup that holds everything;
`only="databases"` asks for the newest that holds the databases.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, MaximumAge, Passphrase, Report, SQLite, TieredRetention


def start(pipeline: BackupPipeline, hour: int) -> Report:
    """What the scheduler does every six hours, beginning at three."""
    return pipeline.run() if hour == 3 else pipeline.run(only="databases")


def make_pipeline(root: Path, clock: Callable[[], datetime]) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        [Directory(root / "uploads"), SQLite(root / "shop.sqlite3")],
        root / "backups",
        encryptor=Passphrase("correct horse battery staple orbit"),
        retention=TieredRetention(keep_all_days=1, keep_daily_days=30),
        checks=[MaximumAge(days=1), MaximumAge(hours=6, contents="databases")],
        clock=clock,  # only because this example lets three days pass in a moment
    )


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "uploads").mkdir()
        (root / "uploads" / "pear.txt").write_text("a pear\n")
        (root / "backups").mkdir()
        with closing(sqlite3.connect(root / "shop.sqlite3")) as database, database:
            database.execute("CREATE TABLE orders (fruit TEXT)")

        now = datetime(2026, 11, 20, 3, tzinfo=UTC)
        pipeline = make_pipeline(root, lambda: now)
        for _ in range(3 * 4):
            start(pipeline, now.hour)
            now += timedelta(hours=6)
        now -= timedelta(hours=5)  # an hour after the last run

        print("latest:", pipeline.get().id)
        print("latest of the databases:", pipeline.get(only="databases").id)

        print("monitor:", pipeline.monitor().outcome)
        (result,) = pipeline.clean().destinations
        if result.plan is not None:
            for kept in result.plan.keep:
                print(f"keep   {kept.backup.id}: {'; '.join(kept.reasons)}")
            for removed in result.plan.remove:
                print(f"remove {removed.backup.id}: {removed.reason}")


if __name__ == "__main__":
    main()
