"""When the jobs of a schedule are, in its time zone, and what no schedule can be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.scheduling import Schedule, Scheduled
from backupkit.scheduling.cron import time_after, time_until
from backupkit.scheduling.schedule import schedule_of

BERLIN = ZoneInfo("Europe/Berlin")


def test_the_usual_one_is_what_the_specification_has() -> None:
    assert [f"{one.when}: {one.job}" for one in Schedule().jobs] == [
        "0 3 * * *: run",
        "0 */6 * * *: run --only databases",
        "0 4 * * *: clean",
        "0 9 * * *: monitor",
        "0 8 * * MON: summary --send",
    ]


def test_a_time_is_on_the_wall_clock_of_the_zone() -> None:
    winter, summer = datetime(2026, 1, 1, tzinfo=BERLIN), datetime(2026, 7, 1, tzinfo=BERLIN)
    assert time_after("0 3 * * *", winter).astimezone(UTC).hour == 2
    assert time_after("0 3 * * *", summer).astimezone(UTC).hour == 1


def test_what_falls_into_the_hour_that_is_skipped_comes_right_after_it() -> None:
    assert time_after("30 2 * * *", datetime(2026, 3, 29, tzinfo=BERLIN)).isoformat() == (
        "2026-03-29T03:00:00+02:00"
    )


def test_what_falls_into_the_hour_that_comes_twice_comes_once() -> None:
    first = time_after("30 2 * * *", datetime(2026, 10, 25, tzinfo=BERLIN))
    assert first.isoformat() == "2026-10-25T02:30:00+02:00"
    assert time_after("30 2 * * *", first).isoformat() == "2026-10-26T02:30:00+01:00"


def test_in_the_second_of_two_equal_hours_those_of_the_first_are_over() -> None:
    second = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    assert time_after("45 2 * * *", second).isoformat() == "2026-10-26T02:45:00+01:00"
    assert time_until("45 2 * * *", second).isoformat() == "2026-10-25T02:45:00+02:00"


@pytest.mark.parametrize("when", ["45 2 * * *", "0,30 1-4 * * *", "*/20 * * * *", "10 */2 * * *"])
@pytest.mark.parametrize(
    "change", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)], ids=str
)
def test_where_clocks_change_the_last_time_and_the_next_enclose_the_moment(
    when: str, change: datetime
) -> None:
    for minutes in range(0, 300, 7):
        now = (change + timedelta(minutes=minutes)).astimezone(BERLIN)
        before, after = time_until(when, now).astimezone(UTC), time_after(when, now).astimezone(UTC)
        assert before <= now.astimezone(UTC) < after
        assert time_after(when, before.astimezone(BERLIN)).astimezone(UTC) == after


def test_the_last_time_may_be_now() -> None:
    now = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    assert time_until("0 3 * * *", now) == now
    assert time_until("0 3 * * *", now - timedelta(microseconds=1)) == now - timedelta(days=1)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))
def test_the_last_time_and_the_next_enclose_any_moment(now: datetime) -> None:
    before, after = time_until("*/7 */5 * * *", now), time_after("*/7 */5 * * *", now)
    assert before <= now < after
    assert time_after("*/7 */5 * * *", before) == after


@given(st.text("abcXYZ", min_size=1, max_size=10))
def test_a_delay_is_the_same_each_time_and_within_the_jitter(name: str) -> None:
    schedule = Schedule(jitter=timedelta(minutes=10))
    delays = [schedule.delay(name, one) for one in schedule.jobs]
    assert delays == [schedule.delay(name, one) for one in schedule.jobs]
    assert all(timedelta(0) <= one < timedelta(minutes=10) for one in delays)


def test_delays_spread_the_pipelines_of_a_fleet() -> None:
    schedule = Schedule(jitter=timedelta(minutes=10))
    delays = sorted(schedule.delay(f"shop-{number}", schedule.jobs[0]) for number in range(200))
    quarters = [sum(one // timedelta(seconds=150) == quarter for one in delays) for quarter in range(4)]
    assert sum(quarters) == 200
    assert min(quarters) > 25


def test_the_usual_jobs_in_another_zone_are_also_those_that_a_pipeline_has_a_use_for(tmp_path: Path) -> None:
    pipeline = BackupPipeline("shop", Directory(tmp_path), tmp_path / "backups", encryptor=None)
    berlin = Schedule(time_zone="Europe/Berlin", jitter=timedelta(minutes=9))
    for said in (berlin, {"shop": berlin}):
        found = schedule_of(pipeline, said)
        assert [str(one.job) for one in found.jobs] == ["run", "clean", "monitor"]
        assert (found.time_zone, found.jitter) == (berlin.time_zone, berlin.jitter)


@pytest.mark.parametrize("said", [[Scheduled("0 3 * * *", "run")], {"shop": "nightly"}])
def test_what_is_no_schedule_is_told_apart_from_one_that_is_missing(tmp_path: Path, said: Any) -> None:
    pipeline = BackupPipeline("shop", Directory(tmp_path), tmp_path / "backups", encryptor=None)
    with pytest.raises(ConfigurationError, match=r"The schedule of the pipeline shop is of type (list|str)"):
        schedule_of(pipeline, said)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Scheduled("03:00", "run"), "'03:00' is no cron expression: use five fields"),
        (lambda: Scheduled("0 0 3 * * *", "run"), "is no cron expression: use five fields"),
        (lambda: Scheduled("0 25 * * *", "run"), "'0 25 * * *' is not possible (Bad hour)"),
        (lambda: Scheduled("0 0 30 2 *", "run"), "'0 0 30 2 *' is not possible (Bad day-of-month)"),
        (lambda: Scheduled("0 3 * * *", "clean", only="files"), "clean deals with all contents"),
        (lambda: Schedule(time_zone="Europe/Berlim"), "There is no time zone 'Europe/Berlim'"),
        (lambda: Schedule(jitter=timedelta(hours=13)), "use between none and 12 hours"),
        (lambda: Schedule(jitter=timedelta(seconds=-1)), "use between none and 12 hours"),
        (lambda: Schedule([Scheduled("0 3 * * *", "run")] * 2), "run at '0 3 * * *' twice"),
    ],
)
def test_what_no_schedule_can_be_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert says in str(caught.value)
