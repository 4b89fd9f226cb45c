"""How do I notice that a backup lost half of its files, and keep the older ones until I know why?

`SizeAnomaly` compares the newest backup with those before it; `monitor` tells. A pin keeps cleaning from removing a
backup, whatever the retention policy says.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, KeepLast, MaximumAge, SizeAnomaly


def main() -> None:
    now = datetime(2026, 11, 1, 3, tzinfo=UTC)
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "uploads").mkdir()
        (root / "backups").mkdir()
        pipeline = BackupPipeline(
            "shop",
            Directory(root / "uploads"),
            root / "backups",
            encryptor=None,
            retention=KeepLast(1),
            checks=[MaximumAge(days=1), SizeAnomaly()],
            clock=lambda: now,
        )
        for number in range(20):
            (root / "uploads" / f"{number}.jpg").write_bytes(os.urandom(20_000))
        for day in range(10):
            (root / "uploads" / f"of-day-{day}.jpg").write_bytes(os.urandom(2_000))
            pipeline.run()
            now += timedelta(days=1)
        whole = pipeline.get()

        for photo in sorted((root / "uploads").iterdir())[:12]:
            photo.unlink()  # nobody meant to
        print(f"the run: {pipeline.run().outcome}")
        report = pipeline.monitor()
        print(f"the monitor: {report.outcome}")
        for problem in report.problems:
            print(problem.message)

        pipeline.pin(whole, reason="still has all the photos")
        pipeline.clean()
        for backup in pipeline.list().backups:
            print(backup.time.date(), backup.pin.reason if backup.pin else "not pinned")


if __name__ == "__main__":
    main()
