"""What was missed while nobody was there to begin it, as far as the pipeline's memory goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, Delivery, Directory, FileMemory, NotificationError
from backupkit.model import Report
from backupkit.protocols import Memory
from backupkit.scheduling import Job, Schedule, Scheduled, missed, perform
from backupkit.scheduling.missed import begun, in_order, was_begun

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)  # a Monday
NIGHTLY = Schedule([Scheduled("0 3 * * *", "run")])
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass
class Kept:
    """A memory that lasts as long as the test."""

    texts: dict[str, str | None] = field(default_factory=dict)

    def recall(self, key: str) -> str | None:
        return self.texts.get(key)

    def remember(self, key: str, value: str | None) -> None:
        self.texts[key] = value


class Broken:
    """One that cannot be asked."""

    def recall(self, key: str) -> str | None:
        raise ConnectionError("postgresql://secret@db is down")

    def remember(self, key: str, value: str | None) -> None:
        raise ConnectionError("postgresql://secret@db is down")


def shop(
    folder: Path, memory: Memory, places: Sequence[str] = ("backups",), name: str = "shop"
) -> BackupPipeline:
    (folder / "app").mkdir(exist_ok=True)
    for place in places:
        (folder / place).mkdir(exist_ok=True)
    return BackupPipeline(
        name,
        Directory(folder / "app"),
        [folder / place for place in places],
        encryptor=None,
        memory=memory,
        delivery=Delivery(limit=5),
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> BackupPipeline:
    return shop(tmp_path, Kept())


def test_the_first_start_misses_nothing(pipeline: BackupPipeline) -> None:
    assert missed(Schedule(), pipeline, START) == ()


def test_what_was_due_since_and_not_begun_is_missed_once_however_often(pipeline: BackupPipeline) -> None:
    missed(NIGHTLY, pipeline, START)
    assert missed(NIGHTLY, pipeline, START + HOUR) == ()
    assert missed(NIGHTLY, pipeline, START + 9 * DAY) == (Job("run"),)


def test_what_never_began_is_missed_from_the_second_start_on(pipeline: BackupPipeline) -> None:
    for day in range(1, 4):  # a machine that is off whenever it is due
        assert missed(NIGHTLY, pipeline, START + day * DAY) == ((Job("run"),) if day > 1 else ())


def test_what_was_begun_is_not_missed(pipeline: BackupPipeline) -> None:
    missed(NIGHTLY, pipeline, START)
    begun(pipeline, Job("run"), START + 2 * HOUR)
    assert missed(NIGHTLY, pipeline, START + 3 * HOUR) == ()
    assert missed(NIGHTLY, pipeline, START + DAY + 3 * HOUR) == (Job("run"),)


def test_it_is_the_same_job_whoever_is_told_of_it(pipeline: BackupPipeline) -> None:
    missed(NIGHTLY, pipeline, START)
    begun(pipeline, Job("run", notify=False), START + 2 * HOUR)
    assert missed(NIGHTLY, pipeline, START + 3 * HOUR) == ()


@pytest.mark.parametrize("other", [Job("run", only="files"), Job("run", to="/mnt/b"), Job("verify")], ids=str)
def test_another_job_is_not_this_one(pipeline: BackupPipeline, other: Job) -> None:
    missed(NIGHTLY, pipeline, START)
    begun(pipeline, other, START + 2 * HOUR)
    assert missed(NIGHTLY, pipeline, START + 3 * HOUR) == (Job("run"),)


def test_what_is_delayed_by_the_jitter_is_not_missed_before_that(pipeline: BackupPipeline) -> None:
    schedule = Schedule(NIGHTLY.jobs, jitter=timedelta(hours=12))
    due = datetime(2026, 3, 2, 3, tzinfo=UTC) + schedule.delay("shop", schedule.jobs[0])
    missed(schedule, pipeline, START)
    assert missed(schedule, pipeline, due - timedelta(seconds=1)) == ()
    assert missed(schedule, pipeline, due) == (Job("run"),)


def test_due_is_what_the_clock_of_the_zone_shows(pipeline: BackupPipeline) -> None:
    schedule = Schedule(NIGHTLY.jobs, time_zone="Europe/Berlin")
    missed(schedule, pipeline, START)
    assert missed(schedule, pipeline, START + HOUR) == (Job("run"),)


def test_missed_ones_come_in_an_order_that_makes_sense(pipeline: BackupPipeline) -> None:
    missed(Schedule(), pipeline, START)
    assert [str(job) for job in missed(Schedule(), pipeline, START + 9 * DAY)] == [
        "run",
        "clean",
        "monitor",
        "summary --send",
    ]


def test_half_a_backup_is_covered_by_a_full_one_since(pipeline: BackupPipeline) -> None:
    missed(Schedule(), pipeline, START)
    begun(pipeline, Job("run"), datetime(2026, 3, 2, 6, 30, tzinfo=UTC))
    assert Job("run", only="databases") not in missed(
        Schedule(), pipeline, datetime(2026, 3, 2, 7, tzinfo=UTC)
    )
    assert Job("run", only="databases") in missed(Schedule(), pipeline, datetime(2026, 3, 2, 13, tzinfo=UTC))


def test_half_a_backup_is_not_covered_by_a_full_one_elsewhere(pipeline: BackupPipeline) -> None:
    schedule = Schedule(
        [
            Scheduled("0 3 * * *", "run", to="/mnt/b"),
            Scheduled("0 3 * * *", "run", only="databases", to="/mnt/a"),
        ]
    )
    missed(schedule, pipeline, START)
    assert set(missed(schedule, pipeline, START + DAY)) == {one.job for one in schedule.jobs}


def test_a_job_of_several_times_is_missed_once(pipeline: BackupPipeline) -> None:
    schedule = Schedule([Scheduled("0 3 * * *", "run"), Scheduled("0 15 * * *", "run")])
    missed(schedule, pipeline, START)
    begun(pipeline, Job("run"), START + 2 * HOUR)
    assert missed(schedule, pipeline, START + 3 * HOUR) == ()
    assert missed(schedule, pipeline, START + 15 * HOUR) == (Job("run"),)


def test_pipelines_of_one_name_to_other_places_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    memory = Kept()
    one, other = shop(tmp_path, memory, ["one"]), shop(tmp_path, memory, ["other"])
    for pipeline in (one, other):
        missed(NIGHTLY, pipeline, START)
    begun(one, Job("run"), START + 2 * HOUR)
    assert missed(NIGHTLY, one, START + 3 * HOUR) == ()
    assert missed(NIGHTLY, other, START + 3 * HOUR) == (Job("run"),)


@pytest.mark.parametrize("text", ["yesterday", "", "2027-03-02T00:00:00+00:00", "9999-12-31T23:59:59-12:00"])
def test_what_cannot_be_right_is_as_if_nothing_were_remembered(pipeline: BackupPipeline, text: str) -> None:
    missed(NIGHTLY, pipeline, START)
    memory: Any = pipeline.memory
    (key,) = memory.texts
    memory.texts[key] = text
    assert missed(NIGHTLY, pipeline, START + DAY) == ()
    assert missed(NIGHTLY, pipeline, START + 2 * DAY) == (Job("run"),)


def test_after_a_clock_was_set_back_nothing_counts_as_begun_that_is_still_to_come(
    pipeline: BackupPipeline,
) -> None:
    missed(NIGHTLY, pipeline, START)
    begun(pipeline, Job("run"), START + 23 * HOUR)
    assert not was_begun(pipeline, Job("run"), START, START + 2 * HOUR)
    begun(pipeline, Job("run"), START + 2 * HOUR)
    assert was_begun(pipeline, Job("run"), START, START + 2 * HOUR - timedelta(minutes=5))  # of a clock ahead


@pytest.mark.parametrize("whens", [("0 3 * * *", "0 12 * * *"), ("0 12 * * *", "0 3 * * *")])
def test_of_several_times_the_last_one_counts_wherever_it_is_written(
    pipeline: BackupPipeline, whens: Sequence[str]
) -> None:
    schedule = Schedule([Scheduled(when, "run") for when in whens])
    missed(schedule, pipeline, START)
    begun(pipeline, Job("run"), START + 2 * HOUR)
    assert missed(schedule, pipeline, START + 12 * HOUR) == (Job("run"),)


def test_what_cannot_be_known_counts_as_not_begun(tmp_path: Path) -> None:
    assert not was_begun(shop(tmp_path, Broken()), Job("run"), START, START)


def test_what_nobody_has_asked_about_is_not_remembered(pipeline: BackupPipeline) -> None:
    perform(pipeline, Job("run"))
    assert pipeline.memory == Kept()


def test_performing_a_job_is_beginning_it_also_if_it_fails(tmp_path: Path) -> None:
    pipeline = shop(tmp_path, FileMemory(tmp_path / "state"))
    missed(NIGHTLY, pipeline, START)
    (tmp_path / "backups").rmdir()
    with pytest.raises(Exception, match="backups"):
        perform(pipeline, Job("run"), clock=lambda: START + DAY)
    assert missed(NIGHTLY, shop(tmp_path, FileMemory(tmp_path / "state")), START + DAY + HOUR) == ()


def test_a_memory_that_cannot_be_asked_is_a_warning_of_the_job_and_no_failure(tmp_path: Path) -> None:
    report = perform(shop(tmp_path, Broken()), Job("run"))
    assert isinstance(report, Report)
    assert report.outcome == "succeeded"
    (problem,) = report.problems
    assert (problem.severity, problem.check) == ("warning", "schedule")
    assert problem.message.endswith("The memory failed: ConnectionError")


def test_what_was_missed_is_an_error_where_nobody_can_know(tmp_path: Path) -> None:
    with pytest.raises(NotificationError, match=r"of shop, .* is not remembered, .* The memory failed: Conn"):
        missed(NIGHTLY, shop(tmp_path, Broken()), START)


def test_jobs_in_order_are_each_there_once() -> None:
    jobs = [Job("monitor"), Job("run", only="files"), Job("run"), Job("clean"), Job("run")]
    assert [str(job) for job in in_order(jobs)] == ["run", "run --only files", "clean", "monitor"]
