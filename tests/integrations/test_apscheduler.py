"""Schedulers of APScheduler do the jobs of pipelines, by cron's rules, and catch up what was missed."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.errors import OperationCancelledError
from backupkit.events import Event, Started
from backupkit.integrations import apscheduler
from backupkit.integrations.apscheduler import DueTrigger, add_jobs
from backupkit.scheduling import Job, Schedule, Scheduled
from backupkit.scheduling.missed import begun, missed
from tests.scheduling.test_missed import Kept

WITHIN = 30
YEARLY = Schedule([Scheduled("0 0 29 2 *", "run")])  # which is not due while a test runs
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apscheduler, "_added", {})


def shop(folder: Path, observer: Callable[[Event], None] | None = None, name: str = "shop") -> BackupPipeline:
    for one in ("app", "backups"):
        (folder / one).mkdir(exist_ok=True)
    observers = [observer] if observer else []
    return BackupPipeline(
        name,
        Directory(folder / "app"),
        folder / "backups",
        encryptor=None,
        memory=Kept(),
        observers=observers,
    )


@contextmanager
def started(scheduler: Any, ends: queue.Queue[Any]) -> Iterator[None]:
    scheduler.add_listener(ends.put, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown()


def at_once(scheduler: Any, id: str) -> None:
    scheduler.get_job(id).modify(next_run_time=datetime.now(UTC))


def end_of(ends: queue.Queue[Any], id: str) -> Any:
    while (event := ends.get(timeout=WITHIN)).job_id != id:
        pass
    return event


@pytest.mark.parametrize("when", ["0 8 * * 0", "0 8 * * 1-5", "0 3 13 * FRI", "0 3 L * *", "*/7 */5 * * *"])
def test_a_job_is_due_when_cron_would_begin(tmp_path: Path, when: str) -> None:
    schedule = Schedule([Scheduled(when, "run")], time_zone="Europe/Berlin", jitter=timedelta(minutes=9))
    trigger = DueTrigger("shop", schedule.jobs[0], schedule)
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, now) == schedule.due_after("shop", schedule.jobs[0], now)


def test_a_scheduler_counts_sunday_as_cron_does(tmp_path: Path) -> None:
    scheduler = BackgroundScheduler()
    add_jobs(scheduler, shop(tmp_path), Schedule([Scheduled("0 8 * * 0", "run")], time_zone="Europe/Berlin"))
    ends: queue.Queue[Any] = queue.Queue()
    with started(scheduler, ends):
        due = scheduler.get_job("backupkit shop 0 8 * * 0 run").next_run_time
    assert due.strftime("%A %H:%M %Z") in ("Sunday 08:00 CET", "Sunday 08:00 CEST")


def test_what_was_due_while_nobody_was_there_counts_once() -> None:
    trigger = DueTrigger("shop", Schedule().jobs[0], Schedule())
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert trigger.get_next_fire_time(LONG_AGO, now) == datetime(2026, 5, 2, 3, tzinfo=UTC)


def test_what_was_missed_is_caught_up_once_at_the_start(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    missed(YEARLY, pipeline, LONG_AGO)
    for backups in (1, 1):
        scheduler = BackgroundScheduler()
        add_jobs(scheduler, pipeline, YEARLY)
        ends: queue.Queue[Any] = queue.Queue()
        with started(scheduler, ends):
            assert end_of(ends, "backupkit shop catch-up").exception is None
        assert len(pipeline.list().backups) == backups


def test_what_is_missed_and_fails_does_not_keep_the_rest(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    schedule = Schedule([*YEARLY.jobs, Scheduled("0 0 29 2 *", "clean"), Scheduled("0 0 29 2 *", "monitor")])
    missed(schedule, pipeline, LONG_AGO)
    (tmp_path / "app").rmdir()
    scheduler = BackgroundScheduler()
    add_jobs(scheduler, pipeline, schedule)
    ends: queue.Queue[Any] = queue.Queue()
    with started(scheduler, ends):
        assert end_of(ends, "backupkit shop catch-up").exception is not None
    memory: Any = pipeline.memory
    assert all(datetime.fromisoformat(text) > LONG_AGO for text in memory.texts.values() if text)


def test_it_works_in_an_event_loop(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    missed(YEARLY, pipeline, LONG_AGO)

    async def host() -> None:
        caught_up = asyncio.Event()
        scheduler = AsyncIOScheduler()
        add_jobs(scheduler, pipeline, YEARLY)
        scheduler.add_listener(lambda event: caught_up.set(), EVENT_JOB_EXECUTED)
        scheduler.start()
        await asyncio.wait_for(caught_up.wait(), WITHIN)
        scheduler.shutdown()

    asyncio.run(host())
    assert len(pipeline.list().backups) == 1


def test_jobs_last_in_a_job_store_and_are_replaced_by_the_next_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.sqlite3"
    pipeline, id = shop(tmp_path), "backupkit shop 0 0 29 2 * run"
    for backups in (1, 2):
        scheduler = BackgroundScheduler()
        scheduler.add_jobstore("sqlalchemy", url=url)
        add_jobs(scheduler, pipeline, YEARLY)
        ends: queue.Queue[Any] = queue.Queue()
        with started(scheduler, ends):
            end_of(ends, "backupkit shop catch-up")
            assert [job.id for job in scheduler.get_jobs()] == [id]
            memory: Any = pipeline.memory
            memory.texts.clear()
            at_once(scheduler, id)
            assert end_of(ends, id).retval.outcome == "succeeded"
        assert len(pipeline.list().backups) == backups


def test_a_process_that_has_not_added_the_pipeline_is_told_to(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="call add_jobs before the scheduler starts"):
        apscheduler.do("shop", "0 3 * * *", {"verb": "run"})


def test_what_comes_late_is_done_once_however_late(tmp_path: Path) -> None:
    scheduler = BackgroundScheduler()
    add_jobs(scheduler, shop(tmp_path), YEARLY)
    ways = {(job.coalesce, job.max_instances, job.misfire_grace_time) for job in scheduler.get_jobs()}
    assert ways == {(True, 1, None)}


def test_jobs_of_a_pipeline_that_was_renamed_say_how_to_be_rid_of_them(tmp_path: Path) -> None:
    add_jobs(BackgroundScheduler(), shop(tmp_path, name="forum"), YEARLY)
    with pytest.raises(ConfigurationError, match="remove its jobs from the job store: their ids begin with"):
        apscheduler.do("shop", "0 3 * * *", {"verb": "run"})


def test_what_another_process_begins_while_a_job_waits_for_its_turn_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, hour = shop(tmp_path), timedelta(hours=1)
    add_jobs(BackgroundScheduler(), pipeline, YEARLY)
    missed(YEARLY, pipeline, LONG_AGO)
    began = datetime(2024, 2, 29, tzinfo=UTC)
    begun(pipeline, Job("run"), began + 2 * hour)
    monkeypatch.setattr(apscheduler, "utc_now", iter([began, began + 3 * hour]).__next__)
    assert apscheduler.do("shop", "0 0 29 2 *", {"verb": "run"}) is None


def test_what_another_process_has_begun_is_not_done_again(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    add_jobs(BackgroundScheduler(), pipeline, YEARLY)
    missed(YEARLY, pipeline, LONG_AGO)
    begun(pipeline, Job("run"), datetime.now(UTC))
    assert apscheduler.do("shop", "0 0 29 2 *", {"verb": "run"}) is None


def test_what_the_schedule_has_no_more_is_not_done(tmp_path: Path) -> None:
    add_jobs(BackgroundScheduler(), shop(tmp_path), YEARLY)
    assert apscheduler.do("shop", "0 3 * * *", {"verb": "run"}) is None
    assert apscheduler.do("shop", "0 0 29 2 *", {"verb": "run"}) is not None


def test_jobs_of_one_pipeline_wait_for_each_other(tmp_path: Path) -> None:
    running: list[str] = []
    most: list[int] = []

    def observer(event: Event) -> None:
        if isinstance(event, Started):
            running.append(event.operation)
            most.append(len(running))
            threading.Event().wait(0.2)  # in which the other one would begin
            running.remove(event.operation)

    schedule = Schedule([*YEARLY.jobs, Scheduled("0 0 29 2 *", "monitor")])
    add_jobs(BackgroundScheduler(), shop(tmp_path, observer), schedule)
    threads = [
        threading.Thread(target=apscheduler.do, args=("shop", "0 0 29 2 *", {"verb": verb}))
        for verb in ("run", "monitor")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN)
    assert most == [1, 1]


def test_an_event_cancels_what_is_under_way(tmp_path: Path) -> None:
    cancel = threading.Event()
    add_jobs(BackgroundScheduler(), shop(tmp_path, lambda event: cancel.set()), YEARLY, cancel=cancel)
    with pytest.raises(OperationCancelledError):
        apscheduler.do("shop", "0 0 29 2 *", {"verb": "run"})


def test_two_pipelines_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Two of the pipelines have the same name"):
        add_jobs(BackgroundScheduler(), [shop(tmp_path), shop(tmp_path)])


def test_without_apscheduler_it_is_said_what_to_install() -> None:
    hidden = "import sys; sys.modules['apscheduler.schedulers.base'] = None"
    program = f"{hidden}\nimport backupkit.integrations.apscheduler"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "which is missing: pip install 'backupkit[apscheduler]'" in done.stderr
