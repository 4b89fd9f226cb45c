"""A Scheduler does what is due when it is due, once, one after another, and goes on whatever happens."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, ConfigurationError, Directory, FileMemory
from backupkit.errors import OperationCancelledError
from backupkit.events import Event, Started
from backupkit.model import Report, Summary
from backupkit.scheduling import Job, Schedule, Scheduled, Scheduler, Verb, loop
from backupkit.scheduling.missed import begun, missed
from tests.scheduling.test_missed import DAY, HOUR, NIGHTLY, START, Broken, Kept

DUE = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WITHIN = 30  # seconds that a test waits at most for what must come


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_LOOK", 0.01)


@dataclass
class Clock:
    """One that stands still until it is set, and tells how often it was looked at."""

    now: datetime = START
    looks: int = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return self.now

    def is_looked_at(self) -> None:
        """Return when whoever goes by it has had time to see what it shows, and to act."""
        seen = self.looks + 3
        limit = threading.Event()
        for _ in range(WITHIN * 200):
            if self.looks >= seen:
                return
            limit.wait(0.005)
        raise AssertionError("nobody looks at the clock")


@dataclass
class Shop:
    """Pipelines, and how their jobs end."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    memory: Kept = field(default_factory=Kept)
    done: queue.Queue[tuple[str, Job, object]] = field(default_factory=queue.Queue)

    def pipeline(
        self, name: str = "shop", *, observer: Callable[[Event], None] | None = None
    ) -> BackupPipeline:
        for folder in ("app", "backups"):
            (self.folder / folder).mkdir(exist_ok=True)
        return BackupPipeline(
            name,
            Directory(self.folder / "app"),
            self.folder / "backups",
            encryptor=None,
            memory=self.memory,
            observers=[observer] if observer else [],
        )

    def scheduler(self, *pipelines: BackupPipeline, schedule: Any = NIGHTLY, **options: Any) -> Scheduler:
        return Scheduler(
            pipelines or self.pipeline(),
            schedule,
            clock=self.clock,
            ended=lambda pipeline, job, done: self.done.put((str(pipeline.name), job, done)),
            **options,
        )

    def at(self, time: datetime) -> None:
        """Let it be this time, for who has seen the one before."""
        self.clock.is_looked_at()
        self.clock.now = time

    def next(self) -> tuple[str, Job, object]:
        return self.done.get(timeout=WITHIN)

    def jobs(self) -> list[str]:
        """What has been done by now, and not been asked for."""
        self.clock.is_looked_at()
        found = []
        while not self.done.empty():
            found.append(str(self.done.get()[1]))
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_job_is_done_when_it_is_due_and_once(shop: Shop) -> None:
    with shop.scheduler():
        assert shop.jobs() == []
        shop.at(DUE - SECOND)
        assert shop.jobs() == []
        shop.at(DUE)
        name, job, done = shop.next()
        assert (name, job) == ("shop", Job("run"))
        assert isinstance(done, Report)
        shop.at(DUE + DAY - SECOND)
        assert shop.jobs() == []
        shop.at(DUE + DAY)
        assert shop.next()[1] == Job("run")


def test_what_is_due_while_a_machine_sleeps_for_days_is_done_once(shop: Shop) -> None:
    with shop.scheduler():
        shop.at(DUE + 9 * DAY + HOUR)
        shop.next()
        assert shop.jobs() == []


@pytest.mark.parametrize("memory", [Kept(), Broken()])
def test_a_clock_that_is_set_back_a_little_begins_nothing_again(shop: Shop, memory: Any) -> None:
    shop.memory = memory
    with shop.scheduler():
        shop.at(DUE)
        shop.next()
        for time in (DUE - MINUTE, DUE):
            shop.at(time)
            with pytest.raises(queue.Empty):
                shop.done.get(timeout=0.3)


def test_a_clock_that_is_set_right_by_years_stops_nothing(shop: Shop) -> None:
    shop.clock.now = START + 3650 * DAY
    with shop.scheduler():
        shop.at(START)
        assert shop.jobs() == []
        shop.at(DUE + DAY)
        assert shop.next()[1] == Job("run")


def test_what_was_missed_is_caught_up_once_in_order_at_the_start(shop: Shop) -> None:
    missed(Schedule(), shop.pipeline(), START)
    shop.clock.now = START + 9 * DAY
    with shop.scheduler(schedule=Schedule()):
        assert [str(shop.next()[1]) for _ in range(3)] == ["run", "clean", "monitor"]
        assert shop.jobs() == []


def test_what_becomes_due_while_another_job_runs_is_done_after_it(shop: Shop) -> None:
    def slow(event: Event) -> None:
        if event == Started("run", "shop"):
            shop.clock.now = DUE + 2 * HOUR

    jobs: list[tuple[str, Verb]] = [("0 3 * * *", "run"), ("0 4 * * *", "clean"), ("0 4 * * *", "monitor")]
    schedule = Schedule([Scheduled(when, verb) for when, verb in jobs])
    with shop.scheduler(shop.pipeline(observer=slow), schedule=schedule):
        shop.at(DUE)
        assert sorted(str(shop.next()[1]) for _ in range(3)) == ["clean", "monitor", "run"]


def test_what_is_due_again_while_it_is_under_way_is_not_done_again(shop: Shop) -> None:
    def slow(event: Event) -> None:
        if event == Started("run", "shop"):
            shop.clock.now += 5 * HOUR

    with shop.scheduler(shop.pipeline(observer=slow), schedule=Schedule([Scheduled("0 * * * *", "run")])):
        shop.at(DUE)
        shop.next()
        assert shop.jobs() == []


def test_what_another_process_has_begun_is_not_done_again(shop: Shop) -> None:
    with shop.scheduler():
        shop.clock.is_looked_at()
        begun(shop.pipeline(), Job("run"), DUE)
        shop.at(DUE + SECOND)
        assert shop.jobs() == []


def test_the_first_report_says_that_it_is_not_known_what_was_missed(shop: Shop) -> None:
    pipeline = shop.pipeline()
    pipeline.memory = FileMemory("/proc/nowhere")  # which remembers nothing, and cannot begin to
    with shop.scheduler(pipeline):
        told = []
        for day in range(2):
            shop.at(DUE + day * DAY)
            report: Any = shop.next()[2]
            told.append([problem.check for problem in report.problems])
    assert told == [["schedule"], []]


def test_a_job_that_fails_ends_nothing(shop: Shop) -> None:
    with shop.scheduler():
        (shop.folder / "backups").rmdir()
        shop.at(DUE)
        assert isinstance(shop.next()[2], Exception)
        (shop.folder / "backups").mkdir()
        shop.at(DUE + DAY)
        assert isinstance(shop.next()[2], Report)


def test_a_listener_that_fails_ends_nothing(shop: Shop) -> None:
    heard: queue.Queue[Job] = queue.Queue()

    def ended(pipeline: BackupPipeline, job: Job, done: Report | Summary | Exception) -> None:
        heard.put(job)
        raise ZeroDivisionError

    with Scheduler(shop.pipeline(), NIGHTLY, ended=ended, clock=shop.clock):
        for day in range(2):
            shop.at(DUE + day * DAY)
            assert heard.get(timeout=WITHIN) == Job("run")


@contextmanager
def held(shop: Shop, *names: str, **options: Any) -> Iterator[tuple[queue.Queue[str], threading.Event]]:
    """Pipelines of these names that all stop in the midst of a run until the event is set; who has begun one."""
    begun_ones: queue.Queue[str] = queue.Queue()
    go = threading.Event()

    def holding(event: Event) -> None:
        if isinstance(event, Started):
            begun_ones.put(event.name)
            go.wait(WITHIN)

    pipelines = [shop.pipeline(name, observer=holding) for name in names]
    with shop.scheduler(*pipelines, **options):
        shop.at(DUE)
        yield begun_ones, go
        go.set()


def test_so_many_pipelines_are_at_work_at_once_and_no_more(shop: Shop) -> None:
    with held(shop, "one", "two", "three", at_once=2) as (begun_ones, go):
        first = {begun_ones.get(timeout=WITHIN), begun_ones.get(timeout=WITHIN)}
        assert len(first) == 2
        with pytest.raises(queue.Empty):
            begun_ones.get(timeout=0.3)
        go.set()
        assert {*first, begun_ones.get(timeout=WITHIN)} == {"one", "two", "three"}


def test_what_another_process_begins_while_no_place_is_free_is_not_done_again(shop: Shop) -> None:
    with held(shop, "one", "two", at_once=1) as (begun_ones, go):
        first = begun_ones.get(timeout=WITHIN)
        (second,) = {"one", "two"} - {first}
        threading.Event().wait(0.2)  # in which it finds out that it has to wait
        begun(shop.pipeline(second), Job("run"), DUE)
        go.set()
        assert shop.next()[0] == first
        with pytest.raises(queue.Empty):
            begun_ones.get(timeout=0.3)


def test_two_pipelines_of_one_name_are_refused(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="Two of the pipelines have the same name"):
        shop.scheduler(shop.pipeline(), shop.pipeline())


def test_stopping_cancels_what_is_under_way_and_leaves_nothing(shop: Shop) -> None:
    began, stopped = threading.Event(), threading.Event()

    def holding(event: Event) -> None:
        if isinstance(event, Started):
            began.set()
            stopped.wait(WITHIN)

    scheduler = shop.scheduler(shop.pipeline(observer=holding))
    scheduler.start()
    shop.at(DUE)
    assert began.wait(WITHIN)
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    while not scheduler._stopped.is_set():
        pass
    stopped.set()
    stopping.join(WITHIN)
    assert isinstance(shop.next()[2], OperationCancelledError)
    assert [path for path in (shop.folder / "backups").rglob("*") if path.is_file()] == []


def test_it_can_be_started_again_and_not_twice(shop: Shop) -> None:
    scheduler = shop.scheduler()
    with scheduler, pytest.raises(ConfigurationError, match="has been started already"):
        scheduler.start()
    with scheduler:
        shop.at(DUE)
        assert shop.next()[1] == Job("run")


def test_each_pipeline_has_the_schedule_of_its_name(shop: Shop) -> None:
    one, two = shop.pipeline("one"), shop.pipeline("two")
    schedules = {"one": NIGHTLY, "two": Schedule([Scheduled("0 4 * * *", "monitor")])}
    with shop.scheduler(one, two, schedule=schedules):
        shop.at(DUE)
        assert shop.next()[0] == "one"
        shop.at(DUE + HOUR)
        assert shop.next()[0] == "two"
    with pytest.raises(ConfigurationError, match="There is no schedule for the pipeline two"):
        shop.scheduler(one, two, schedule={"one": NIGHTLY})


def test_the_log_tells_how_each_job_ended(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = shop.pipeline()
    caplog.set_level(logging.INFO, logger="backupkit")
    loop._logged(pipeline, Job("run"), pipeline.run())
    (shop.folder / "backups" / "shop").rename(shop.folder / "elsewhere")
    loop._logged(pipeline, Job("monitor"), pipeline.monitor())
    loop._logged(pipeline, Job("run"), ConfigurationError("There is\nno room."))
    loop._logged(pipeline, Job("run"), ZeroDivisionError("secret"))
    assert [(one.levelname, one.getMessage().split(";")[0]) for one in caplog.records] == [
        ("INFO", "scheduled run of shop succeeded"),
        ("ERROR", "scheduled monitor of shop failed"),
        ("ERROR", "scheduled run of shop failed"),
        ("ERROR", "scheduled run of shop failed"),
    ]
    assert caplog.records[2].getMessage().endswith("; There is\\nno room.")
    assert caplog.records[3].exc_info
