"""How do I see what a retention policy keeps, before I trust it with my backups?

Simulate it: years of a schedule and its cleanings take seconds and touch nothing. The simulation says of every
backup why it stays or when it went, and how much was stored on each day; `plot_retention` draws it.
"""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

from backupkit import ScheduledRun, TieredRetention, plot_retention, simulate


def main(folder: Path) -> None:
    schedule = [
        ScheduledRun("03:00", size="2GB"),
        ScheduledRun("00:00", every=timedelta(hours=6), only="databases", size="100MB"),
    ]
    policy = TieredRetention(keep_all_days=7, keep_daily_days=14, keep_weekly_weeks=8, max_size="50GB")
    simulation = simulate(policy, schedule, days=365, start=date(2026, 1, 1))

    print(f"{len(simulation.kept)} of {len(simulation.backups)} backups are there at the end")
    peak = max(day.peak for day in simulation.days)
    print(f"the disk must hold {peak / 10**9:g} GB")

    oldest = simulation.kept[0]
    print(f"the oldest is of {oldest.backup.time:%d %B}: {'; '.join(oldest.reasons)}")
    gone = next(one for one in simulation.backups if "size limit" in one.reasons[0])
    print(f"the first that was over the limit went on {gone.removed:%d %B}: {gone.backup.id}")

    picture = folder / "kept.svg"
    picture.write_text(plot_retention(simulation), encoding="utf-8")
    print(f"{picture.name} begins with {picture.read_text(encoding='utf-8')[:4]}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
