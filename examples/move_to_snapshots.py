"""How do I move a pipeline from archives to snapshots without losing its history?

Copy everything before the first run: each copy is the same backup, with its time, id, tags and pin, so that
listing, restoring and cleaning go on as before. Copy again right after the switch, for what was made meanwhile.
Back to archives it goes in the same way. Needs `pip install 'backupkit[snapshots]'`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, Restic, TieredRetention, Zip

PASSPHRASE = Passphrase("correct horse battery staple orbit")


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name in ("shop", "archives", "snapshots"):
            (root / name).mkdir()
        now = datetime(2026, 11, 1, 3, tzinfo=UTC)

        def pipeline(folder: str, format: Zip | Restic) -> BackupPipeline:
            return BackupPipeline(
                "shop",
                Directory(root / "shop"),
                root / folder,
                encryptor=PASSPHRASE,
                format=format,
                retention=TieredRetention(keep_all_days=1, keep_daily_days=6, keep_weekly_weeks=1),
                clock=lambda: now,
            )

        archives = pipeline("archives", Zip())
        for day in range(3):
            (root / "shop" / "orders.csv").write_text(f"{day},apples\n")
            archives.run(tags=["the first"] if day == 0 else [])
            now += timedelta(days=1)
        archives.pin(archives.list().backups[-1], reason="the audit")

        snapshots = pipeline("snapshots", Restic(cache=False))
        copied = archives.copy("all", to=snapshots)
        print(f"copied: {copied.outcome}, {len(copied.destinations)} backups")
        snapshots.run()
        print(f"again: {archives.copy('all', to=snapshots).skipped} were there already")

        for backup in snapshots.list().backups:
            print(f"{backup.id}: {backup.tags}, {'pinned' if backup.pin else 'not pinned'}")
        oldest = snapshots.list().backups[-1]
        with snapshots.open(oldest, "shop/orders.csv") as file:  # copies keep the paths that archives have
            print(f"the oldest: {file.read().decode().strip()}")

        now += timedelta(days=10)
        snapshots.run()
        snapshots.clean()
        print(f"after cleaning: {[backup.id[:10] for backup in snapshots.list().backups]}")


if __name__ == "__main__":
    main()
