from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, Command, Directory, MachineLock
from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Kept, Removed, RetentionPlan
from backupkit.retention import KeepAll, KeepLast, TieredRetention
from backupkit.retention.simulation import ScheduledRun, SimulatedSeries, Simulation, simulate
from tests.retention.histories import DATABASES, FULL

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class KeepNothing:
    minimum: int = 1

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(remove=tuple(Removed(backup, "unloved") for backup in backups))


class Forgetful:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(keep=tuple(Kept(backup, ("remembered",)) for backup in backups[1:]))


def times(simulation: Simulation) -> list[str]:
    return [f"{one.backup.time:%d %H:%M}" for one in simulation.backups]


def made(run: ScheduledRun, days: int, start: str, zone: str) -> list[str]:
    return times(
        simulate(KeepAll(), run, days, start=date.fromisoformat(start), clean_at="23:59", time_zone=zone)
    )


# ---- when runs are


def test_a_run_by_the_hour_is_at_its_time_and_so_many_hours_around_it() -> None:
    assert made(ScheduledRun("09:30", 6 * HOUR), 1, "2026-11-23", "UTC") == [
        "23 03:30",
        "23 09:30",
        "23 15:30",
        "23 21:30",
    ]


def test_a_run_every_few_days_begins_on_the_first() -> None:
    assert made(ScheduledRun("03:00", 3 * DAY), 8, "2026-11-23", "UTC") == [
        "23 03:00",
        "26 03:00",
        "29 03:00",
    ]


def test_runs_are_on_the_wall_clock() -> None:
    # Berlin leaves out 02:00 to 03:00 on 29 March.
    assert made(ScheduledRun("03:00"), 3, "2026-03-28", "Europe/Berlin") == [
        "28 02:00",
        "29 01:00",
        "30 01:00",
    ]


def test_a_time_that_the_clock_leaves_out_is_an_hour_later() -> None:
    assert made(ScheduledRun("02:30"), 2, "2026-03-28", "Europe/Berlin") == ["28 01:30", "29 01:30"]


def test_a_time_that_comes_twice_is_the_first() -> None:
    assert made(ScheduledRun("02:30"), 2, "2026-10-24", "Europe/Berlin") == ["24 00:30", "25 00:30"]


def test_an_hourly_run_is_not_made_twice_where_the_clock_skips() -> None:
    there = made(ScheduledRun("00:00", HOUR), 1, "2026-03-29", "Europe/Berlin")
    assert len(there) == len(set(there)) == 23


def test_the_end_is_the_last_cleaning() -> None:
    simulation = simulate(
        KeepAll(), ScheduledRun("04:00", 12 * HOUR), 2, start=date(2026, 11, 23), clean_at="04:00"
    )
    assert times(simulation) == ["23 04:00", "23 16:00", "24 04:00"]
    assert simulation.end == datetime(2026, 11, 24, 4, tzinfo=UTC)


def test_the_days_are_told_on_the_wall_clock() -> None:
    simulation = simulate(KeepAll(), ScheduledRun(), 1, start=date(2026, 7, 1), time_zone="Asia/Seoul")
    assert simulation.end.isoformat() == "2026-07-01T04:00:00+09:00"


def test_two_runs_of_the_same_contents_at_the_same_time_are_two_backups() -> None:
    simulation = simulate(KeepAll(), [ScheduledRun(), ScheduledRun()], 1, start=date(2026, 11, 23))
    assert [one.backup.id for one in simulation.backups] == [
        "2026-11-23T03-00-00.000000Z",
        "2026-11-23T03-00-00.000001Z",
    ]


# ---- what becomes of backups


def test_a_backup_that_goes_says_when_and_why() -> None:
    first, second = simulate(KeepLast(1), ScheduledRun(), 2, start=date(2026, 11, 23)).backups
    assert first.removed == datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert first.reasons == ("older than the newest good",)
    assert (second.removed, second.reasons[0]) == (None, "the newest good")


def test_a_day_tells_what_is_there_and_what_was_before_its_cleaning() -> None:
    schedule = [
        ScheduledRun("03:00", size=1000),
        ScheduledRun("00:00", 12 * HOUR, only="databases", size="10 B"),
    ]
    _, _, day = simulate(KeepLast(1), schedule, 3, start=date(2026, 11, 23)).days
    assert day.time == datetime(2026, 11, 25, 4, tzinfo=UTC)
    assert (day.count, day.stored) == (2, 1010)
    assert day.peak == 2 * 1000 + 3 * 10
    assert day.series == (
        SimulatedSeries(contents=FULL, count=1, stored=1000),
        SimulatedSeries(contents=DATABASES, count=1, stored=10),
    )


def test_the_guard_stands_behind_a_policy_that_keeps_nothing() -> None:
    simulation = simulate(KeepNothing(), ScheduledRun(), 3)
    assert [day.count for day in simulation.days] == [1, 1, 1]
    assert [one.reasons[0] for one in simulation.kept] == ["newest good backup of files and databases"]


def test_the_minimum_of_a_policy_stays() -> None:
    simulation = simulate(KeepNothing(minimum=3), ScheduledRun(), 5)
    assert [day.count for day in simulation.days] == [1, 2, 3, 3, 3]


def test_a_policy_that_forgets_a_backup_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^The retention policy's plan leaves out 2025-01-01T03"):
        simulate(Forgetful(), ScheduledRun(), 2)


def test_a_policy_cannot_change_what_is_there() -> None:
    class Greedy:
        def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
            if isinstance(backups, list):
                del backups[:-1]
            return KeepAll().plan(backups, now=now)

    assert len(simulate(Greedy(), ScheduledRun(), 3).kept) == 3


def test_the_same_is_simulated_each_time() -> None:
    assert simulate(TieredRetention(), ScheduledRun(), 40) == simulate(TieredRetention(), ScheduledRun(), 40)


def test_a_pipeline_cleans_exactly_as_simulated(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "note.txt").write_text("a note")
    (tmp_path / "backups").mkdir()
    now = datetime(2026, 11, 23, tzinfo=UTC)
    pipeline = BackupPipeline(
        "shop",
        [
            Directory(tmp_path / "files"),
            Command(["echo", "rows"], name="shop.sql", contents="databases"),
        ],
        tmp_path / "backups",
        encryptor=None,
        retention=TieredRetention(1, 2, 1),
        lock=MachineLock(tmp_path / "locks"),
        clock=lambda: now,
    )
    gone: dict[str, str] = {}
    stays: dict[str, tuple[str, ...]] = {}
    for hour in range(6 * 24 + 5):
        now = datetime(2026, 11, 23, tzinfo=UTC) + hour * HOUR
        if now.hour == 3:
            pipeline.run()
        elif now.hour in (0, 12):
            pipeline.run(only="databases")
        elif now.hour == 4:
            (result,) = pipeline.clean().destinations
            assert result.plan is not None
            gone |= {removed.backup.id: removed.reason for removed in result.plan.remove}
            stays = {kept.backup.id: kept.reasons for kept in result.plan.keep}
    schedule = [ScheduledRun("03:00"), ScheduledRun("00:00", 12 * HOUR, "databases")]
    simulation = simulate(pipeline.retention, schedule, 7, start=date(2026, 11, 23))
    assert {one.backup.id: one.reasons for one in simulation.kept} == stays
    assert {one.backup.id: one.reasons[0] for one in simulation.backups if one.removed} == gone
    assert gone


# ---- what cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScheduledRun("3:00"), "ScheduledRun(at=…) is '3:00', which is no time of day"),
        (lambda: ScheduledRun("24:00"), "ScheduledRun(at=…) is '24:00', which is no time of day"),
        (lambda: ScheduledRun("03:00\n"), "ScheduledRun(at=…) is '03:00\\n', which is no time of day"),
        (lambda: ScheduledRun(every=timedelta(0)), "use whole days, or whole hours up to 24"),
        (lambda: ScheduledRun(every=-DAY), "use whole days, or whole hours up to 24"),
        (lambda: ScheduledRun(every=timedelta(minutes=90)), "use whole days, or whole hours up to 24"),
        (lambda: ScheduledRun(every=25 * HOUR), "use whole days, or whole hours up to 24"),
        (lambda: ScheduledRun(every=6), "use whole days, or whole hours up to 24"),  # type: ignore[arg-type]
        (lambda: ScheduledRun(only="everything"), 'use "databases", "files", or None'),  # type: ignore[arg-type]
        (lambda: ScheduledRun(size="much"), "'much' is not a size"),
        (lambda: simulate(KeepAll(), [], 1), "give one ScheduledRun or more"),
        (lambda: simulate(KeepAll(), ScheduledRun(), 0), "use a whole number of days, 1 or more"),
        (lambda: simulate(KeepAll(), ScheduledRun(), True), "use a whole number of days, 1 or more"),
        (lambda: simulate(KeepAll(), ScheduledRun(), 1, clean_at="noon"), "'noon', which is no time of day"),
        (lambda: simulate(KeepAll(), ScheduledRun(), 1, time_zone="Mars"), "no time zone 'Mars'"),
        (lambda: simulate(KeepAll(), ScheduledRun(), 10**9), "go beyond the calendar"),
        (lambda: simulate(KeepAll(), ScheduledRun(), 5, start=date(9999, 12, 30)), "go beyond the calendar"),
        (
            lambda: simulate(KeepAll(), ScheduledRun("00:30"), 1, start=date.min, time_zone="Asia/Seoul"),
            "go beyond the calendar",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert message in str(refused.value)
