"""When beat sends what: moments on the clocks of zones, one of those that were missed, and no stale messages."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.integrations.celery import register
from backupkit.integrations.celery.beat import Moments, entries
from backupkit.integrations.pipelines import Pipelines
from backupkit.scheduling import Schedule, Scheduled

NONE = timedelta(0)
NIGHTLY = Scheduled("0 3 * * *", "run")
OTHERS = [
    *(Scheduled("0 4 * * *", "clean"), Scheduled("0 9 * * *", "monitor")),
    *(Scheduled("0 8 * * MON", "summary"), Scheduled("0 5 1 * *", "drill")),
]


def pipelines(folder: Path, *names: str) -> Mapping[str, BackupPipeline]:
    return {
        name: BackupPipeline(name, Directory(folder / "app"), str(folder / "backups"), encryptor=None)
        for name in names
    }


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_moments_are_those_of_the_zone_in_summer_and_winter() -> None:
    berlin = Moments("30 2 * * *", "Europe/Berlin", NONE)
    assert berlin.after(at("2026-01-10 12:00")) == at("2026-01-11 01:30")
    assert berlin.after(at("2026-07-10 12:00")) == at("2026-07-11 00:30")
    # In this night there is no half past two, and right after it is three.
    assert berlin.after(at("2026-03-28 12:00")) == at("2026-03-29 01:00")


def test_each_moment_is_later_by_the_delay() -> None:
    later = Moments("0 3 * * *", "UTC", timedelta(minutes=7))
    assert later.after(at("2026-01-10 03:06")) == at("2026-01-10 03:07")
    assert later.after(at("2026-01-10 03:07")) == at("2026-01-11 03:07")


@pytest.mark.parametrize(
    ("night", "due", "then"),
    [
        ("2026-03-29 00:00", "2026-03-29 02:50", "2026-03-30 01:50"),
        ("2026-10-24 23:00", "2026-10-25 01:50", "2026-10-26 02:50"),
    ],
)
def test_a_delay_is_as_long_in_the_nights_in_which_clocks_change(night: str, due: str, then: str) -> None:
    later = Moments("50 1 * * *", "Europe/Berlin", timedelta(hours=2))
    for zone in (UTC, ZoneInfo("Europe/Berlin")):
        assert later.after(at(night).astimezone(zone)) == at(due)
        assert later.after(at(due).astimezone(zone)) == at(then), "it is not due over and over"


def test_of_what_was_missed_one_is_due_and_then_the_next() -> None:
    hourly = Moments("0 * * * *", "UTC", NONE)
    is_due, seconds = hourly.is_due(datetime.now(UTC) - timedelta(days=3))
    assert is_due
    assert 0 < seconds <= 3600
    is_due, again = hourly.is_due(datetime.now(UTC))
    assert not is_due
    assert 0 < again <= seconds


def test_moments_are_values_that_beat_can_keep() -> None:
    one, same = (Moments("0 3 * * *", "Europe/Berlin", timedelta(minutes=1)) for _ in range(2))
    assert pickle.loads(pickle.dumps(one)) == one == same
    assert one != Moments("0 3 * * *", "UTC", timedelta(minutes=1))


def test_there_is_an_entry_for_each_job_of_each_pipeline(tmp_path: Path) -> None:
    known = Pipelines(pipelines(tmp_path, "shop", "wiki"))
    jobs = [NIGHTLY, Scheduled("0 */6 * * *", "run", only="databases"), *OTHERS]
    found = entries(known, Schedule(jobs), "night")
    assert len(found) == 12
    entry = found["backupkit shop: run --only databases, 0 */6 * * *"]
    assert entry["task"] == "backupkit.run"
    assert entry["kwargs"] == {"pipeline": "shop", "only": "databases"}
    assert entry["options"] == {"queue": "night", "expires": 6 * 3600}
    assert {one["task"] for one in found.values()} == {
        *("backupkit.run", "backupkit.clean", "backupkit.monitor", "backupkit.report", "backupkit.drill")
    }


@pytest.mark.parametrize("named", [False, True])
def test_of_the_usual_jobs_a_pipeline_gets_those_that_it_has_a_use_for(tmp_path: Path, named: bool) -> None:
    known = Pipelines(pipelines(tmp_path, "shop"))
    usual = Schedule(time_zone="Europe/Berlin")
    found = entries(known, {"shop": usual} if named else usual, "q")
    assert [*found] == [
        "backupkit shop: run, 0 3 * * *",
        "backupkit shop: clean, 0 4 * * *",
        "backupkit shop: monitor, 0 9 * * *",
    ]


def test_a_pipeline_that_is_not_named_is_left_alone(tmp_path: Path) -> None:
    known = Pipelines(pipelines(tmp_path, "shop", "wiki"))
    assert {one["kwargs"]["pipeline"] for one in entries(known, {"wiki": Schedule()}, "q").values()} == {
        "wiki"
    }


def test_a_message_is_stale_when_the_next_one_comes(tmp_path: Path) -> None:
    known = Pipelines(pipelines(tmp_path, "shop"))
    (entry,) = entries(known, Schedule([Scheduled("0 8,9 * * *", "run", notify=False)]), "q").values()
    assert entry["options"]["expires"] == 3600
    assert entry["kwargs"] == {"pipeline": "shop", "notify": False}


def test_the_pipelines_of_a_fleet_begin_at_different_times(tmp_path: Path) -> None:
    names = [f"shop-{number}" for number in range(100)]
    found = entries(
        Pipelines(pipelines(tmp_path, *names)), Schedule([NIGHTLY], jitter=timedelta(hours=1)), "q"
    )
    assert len({one["schedule"].delay for one in found.values()}) > 90


def test_a_schedule_of_no_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no pipeline 'shoop' here: use one of shop"):
        entries(Pipelines(pipelines(tmp_path, "shop")), {"shoop": Schedule()}, "q")
    wrong: Any = {"shop": "daily"}
    with pytest.raises(ConfigurationError, match="The schedule of the pipeline shop is of type str"):
        entries(Pipelines(pipelines(tmp_path, "shop")), wrong, "q")
    with pytest.raises(ConfigurationError, match="schedule= is of type list: give a Schedule"):
        entries(Pipelines(pipelines(tmp_path, "shop")), [Schedule()], "q")  # type: ignore[arg-type]


def test_other_entries_stay_and_pipelines_are_asked_for_by_beat_only(tmp_path: Path) -> None:
    asked: list[str] = []

    def load() -> Mapping[str, BackupPipeline]:
        asked.append("pipelines")
        return pipelines(tmp_path, "shop")

    app = Celery("shop", broker="memory://", set_as_current=False)
    register(app, load, schedule=Schedule([NIGHTLY]))
    app.conf.beat_schedule = {"mine": {"task": "mine", "schedule": crontab()}}
    app.finalize()
    assert asked == []
    assert [*app.conf.beat_schedule] == ["backupkit shop: run, 0 3 * * *", "mine"]
    assert asked == ["pipelines"]
    app.add_periodic_task(60.0, app.tasks["backupkit.run"].s("shop"), name="more")
    assert "more" in app.conf.beat_schedule
    app.close()
