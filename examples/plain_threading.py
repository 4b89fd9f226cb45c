"""How do I make backups on a schedule with nothing but a thread of my own program?

With a `Scheduler`, which does what is due on threads, catches up what was missed, and stops cleanly. Or, where that
says too much, with the ten lines of `every_time`: `time_after` knows when, and `perform` does it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupKitError, BackupPipeline, Directory, FileMemory, Passphrase, Report, Summary
from backupkit.scheduling import Job, Schedule, Scheduled, Scheduler, missed, perform
from backupkit.scheduling.cron import time_after

NIGHTLY = Schedule(
    [Scheduled("0 3 * * *", "run"), Scheduled("0 4 * * *", "clean")], time_zone="Europe/Berlin"
)


def every_time(pipeline: BackupPipeline, when: str, job: Job, stopped: threading.Event) -> None:
    """Do a job whenever it is due, until the event is set. Clocks that are set are noticed within a minute."""
    due = time_after(when, datetime.now(UTC))
    while not stopped.wait(min(60.0, max(0.0, (due - datetime.now(UTC)).total_seconds()))):
        if datetime.now(UTC) < due:
            continue
        try:
            perform(pipeline, job, cancel=stopped)
        except BackupKitError as error:  # notifiers have heard of it
            print("failed:", error)
        due = time_after(when, datetime.now(UTC))


def make_pipeline(root: Path) -> BackupPipeline:
    return BackupPipeline(
        "shop",
        Directory(root / "shop"),
        root / "backups",
        encryptor=Passphrase("correct horse battery staple orbit"),
        memory=FileMemory(root / "state"),
    )


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "pear.txt").write_text("a pear\n")
        (root / "backups").mkdir()
        pipeline, cleaned = make_pipeline(root), threading.Event()
        # As if the program had been started a week ago for the first time, and soon been stopped.
        missed(NIGHTLY, pipeline, datetime.now(UTC) - timedelta(days=7))

        def ended(pipeline: BackupPipeline, job: Job, done: Report | Summary | Exception) -> None:
            print(f"{job}:", done.outcome if isinstance(done, Report) else done)
            if job.verb == "clean":
                cleaned.set()

        with Scheduler(pipeline, NIGHTLY, ended=ended):
            cleaned.wait()  # here, the program does what it is for

        stopped = threading.Event()
        thread = threading.Thread(target=every_time, args=(pipeline, "0 3 * * *", Job("run"), stopped))
        thread.start()
        stopped.set()
        thread.join()
        print("backups:", len(pipeline.list().backups))


if __name__ == "__main__":
    main()
