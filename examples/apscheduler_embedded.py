"""How do I let the scheduler that my application has already make its backups?

`add_jobs` gives APScheduler the jobs of a schedule, with cron's meaning of days. What was missed while the
application was down is caught up once when the scheduler starts, and that is what this example waits for.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler

from backupkit import BackupPipeline, Directory, FileMemory, Passphrase
from backupkit.integrations.apscheduler import add_jobs
from backupkit.scheduling import Schedule, Scheduled, missed

NIGHTLY = Schedule(
    [
        Scheduled("30 2 * * *", "run"),
        Scheduled("0 5 * * *", "clean"),
        Scheduled("0 9 * * MON-FRI", "monitor"),
    ],
    time_zone="Europe/Berlin",
    jitter=timedelta(minutes=10),
)


def make_pipeline(root: Path) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        Directory(root / "shop"),
        root / "backups",
        encryptor=Passphrase("correct horse battery staple orbit"),
        memory=FileMemory(root / "state"),
    )


def application(root: Path) -> None:
    pipeline, caught_up, cancel = make_pipeline(root), threading.Event(), threading.Event()

    def ended(event: JobExecutionEvent) -> None:
        print("ended:", event.job_id)
        caught_up.set()

    scheduler = BackgroundScheduler()
    scheduler.add_listener(ended, EVENT_JOB_EXECUTED)
    add_jobs(scheduler, pipeline, NIGHTLY, cancel=cancel)
    scheduler.start()
    try:
        caught_up.wait()  # here, an application serves its users
        for job in scheduler.get_jobs():
            print("next:", job.id)
    finally:
        cancel.set()  # a backup that is under way ends at the next chunk
        scheduler.shutdown()
    print("backups:", len(pipeline.list().backups))


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "pear.txt").write_text("a pear\n")
        (root / "backups").mkdir()
        # As if the application had been started a week ago for the first time, and soon been stopped.
        missed(NIGHTLY, make_pipeline(root), datetime.now(UTC) - timedelta(days=7))
        application(root)


if __name__ == "__main__":
    main()
