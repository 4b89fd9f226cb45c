"""The verbs `schedule catch-up` and `schedule run`, which do what is due."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from backupkit.cli.options import DryRun, Json, Quiet, grouped
from backupkit.cli.output import Output, error_lines
from backupkit.cli.reports import report_lines
from backupkit.cli.scheduling import Scheduling
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.cli.summaries import summary_lines
from backupkit.errors import BackupKitError, NotificationError
from backupkit.model import Report, Summary
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Job, Schedule, Scheduler, missed, perform
from backupkit.scheduling.calling import RUN_WAITS

# What is due now, cron is about to begin.
_ABOUT_TO_BEGIN = timedelta(minutes=2)


@grouped
def catch_up(
    *, dry_run: DryRun = False, choice: Scheduling, json: Json = False, quiet: Quiet = False
) -> None:
    """Do what was due and not begun, each job once.

    The first time, nothing is missed: it counts from then on. Half a backup is not missed if there was a full one
    since. The exit code is that of the worst.

    \b
    Examples:
      backupkit schedule catch-up --app shop.backups:pipeline --dry-run
    In cron, after the machine was off:
      @reboot  cd /srv/shop && backupkit schedule catch-up --app shop.backups:pipeline --quiet
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        now = datetime.now(UTC) - _ABOUT_TO_BEGIN
        items = [
            item for one, schedule in choice.chosen(output) for item in _missed(one.pipeline, schedule, now)
        ]
        if dry_run:
            output.told(
                [f"{one.name}: {one.job}" for one in items], [f"{one.name}: {one.job}" for one in items]
            )
            return
        if not items and not json and not quiet:
            print("Nothing was missed.")
        with cancelled_by_signals() as cancel:
            output.each(items, lambda one: one.do(cancel), _lines)


@dataclass(frozen=True, slots=True)
class _Missed:
    """A job that was missed, or why it is not known whether one was."""

    pipeline: BackupPipeline
    job: Job | NotificationError

    @property
    def name(self) -> str:
        return str(self.pipeline.name)

    def do(self, cancel: threading.Event) -> Report | Summary:
        if isinstance(self.job, NotificationError):
            raise self.job
        return perform(self.pipeline, self.job, wait=timedelta(seconds=RUN_WAITS), cancel=cancel)


def _missed(pipeline: BackupPipeline, schedule: Schedule, now: datetime) -> Iterator[_Missed]:
    try:
        for job in missed(schedule, pipeline, now):
            yield _Missed(pipeline, job)
    except NotificationError as error:
        yield _Missed(pipeline, error)


@grouped
def run(
    *,
    at_once: Annotated[
        int,
        typer.Option("--at-once", metavar="COUNT", min=1, help="How many pipelines may be at work at once."),
    ] = 2,
    choice: Scheduling,
    quiet: Quiet = False,
) -> None:
    """Stay, and do what is due: for containers, and wherever there is neither cron nor systemd.

    Catches up what was missed before. SIGTERM and Ctrl-C cancel what is under way and end it, with exit code 0.

    \b
    Examples:
      backupkit schedule run --app shop.backups:pipeline
      backupkit schedule run --config /etc/backupkit.toml --quiet
    """
    output = Output(quiet=quiet)
    with output.ending(), cancelled_by_signals() as cancel:
        chosen = choice.chosen(Output(quiet=True))
        by_name = {str(one.pipeline.name): schedule for one, schedule in chosen}
        telling = threading.Lock()

        def ended(pipeline: BackupPipeline, job: Job, done: Report | Summary | Exception) -> None:
            with telling:
                _tell(f"{pipeline.name}: {job}", done, quiet=quiet)

        with Scheduler([one.pipeline for one, _ in chosen], by_name, at_once=at_once, ended=ended):
            while not cancel.is_set():
                time.sleep(
                    0.2
                )  # a signal sets the event in this thread, which must not be about to look at it


def _tell(what: str, done: Report | Summary | Exception, *, quiet: bool) -> None:
    well = isinstance(done, Summary) or (isinstance(done, Report) and done.outcome == "succeeded")
    if well and quiet:
        return
    lines = error_lines(done) if isinstance(done, Exception) else _lines(done)
    print(
        f"{what}:",
        *(f"\n  {line}" for line in lines),
        sep="",
        file=sys.stdout if well else sys.stderr,
        flush=True,
    )
    if isinstance(done, Exception) and not isinstance(done, BackupKitError | ExceptionGroup):  # a fault
        traceback.print_exception(done)


def _lines(done: Report | Summary) -> Iterator[str]:
    return report_lines(done) if isinstance(done, Report) else summary_lines(done)
