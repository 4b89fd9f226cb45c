"""The calendar of the last sixty days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backupkit.integrations.asgi.pictures.days import (
    Day,
    Due,
    Happened,
    calendar,
    days_of,
    in_backups,
    in_reports,
)
from backupkit.model import Contents, Outcome, Report
from tests.integrations.asgi.drawings import FULL, NOW, backup, heard, table, taken_apart, tips

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def run(age: timedelta, outcome: Outcome = "succeeded") -> Happened:
    return Happened("run", NOW - age, outcome)


def drill(age: timedelta, outcome: Outcome = "succeeded") -> Happened:
    return Happened("drill", NOW - age, outcome)


def daily(start: datetime, end: datetime) -> datetime:
    """A run is due at three each day."""
    return start + 3 * HOUR


def test_what_is_seen_is_told_and_stands_in_a_table() -> None:
    happened = [
        run(DAY * 4),
        run(DAY * 2, "failed"),
        run(DAY * 2 - HOUR),
        run(DAY, "incomplete"),
        run(HOUR),
        drill(HOUR),
        drill(DAY, "failed"),
    ]
    days = days_of(happened, now=NOW, zone=UTC, due=daily)
    root = taken_apart(calendar(days, zone=UTC, source="This is what the history tells."))
    assert root.findtext("figcaption/p") == (
        "1 day with a failed run, 1 day with an incomplete run, 1 day on which a run was missing, 2 days on which "
        "all runs succeeded. Drills on 2 days, on 1 of them one failed. This is what the history tells."
    )
    assert heard(root).endswith("The last trouble: Sun 22 Nov 2026, incomplete.")
    assert table(root)[:6] == [
        ["Mon 23 Nov 2026", "1 succeeded", "drill passed"],
        ["Sun 22 Nov 2026", "1 incomplete", "drill failed"],
        ["Sat 21 Nov 2026", "1 failed, 1 succeeded", ""],
        ["Fri 20 Nov 2026", "missing: a run was due at 03:00", ""],
        ["Thu 19 Nov 2026", "1 succeeded", ""],
        ["Wed 18 Nov 2026", "not known", ""],
    ]
    assert len(table(root)) == 60
    assert tips(root, "today") == ["Mon 23 Nov 2026, today\n1 succeeded\ndrill passed"]
    assert tips(root, "missing") == ["Fri 20 Nov 2026\nmissing: a run was due at 03:00"]


def test_each_state_has_a_sign_besides_its_colour() -> None:
    happened = [
        run(DAY * 9),
        run(DAY, "failed"),
        run(2 * DAY, "incomplete"),
        drill(DAY),
        drill(DAY * 2, "failed"),
    ]
    root = taken_apart(calendar(days_of(happened, now=NOW, zone=UTC), zone=UTC, source=""))
    words = ["".join(item.itertext()) for item in root.iterfind("ul/li")]
    assert words == ["failed", "incomplete", "missing", "succeeded", "Ddrill passed", "Ddrill failed"]
    signs = [item.find("*/*") for item in root.iterfind("ul/li")]
    shapes = [tuple((one.tag, one.get("d")) for one in sign) for sign in signs if sign is not None]
    assert len(set(shapes)) == len(words)


def state_of(days: list[Day], back: int) -> str:
    return days[-1 - back].state


def test_without_a_schedule_each_day_since_the_first_backup_needs_one() -> None:
    days = [*days_of([run(DAY * 3), run(DAY)], now=NOW, zone=UTC)]
    assert [state_of(days, back) for back in range(5)] == [
        "nothing",
        "succeeded",
        "missing",
        "succeeded",
        "unknown",
    ]


def test_with_a_schedule_a_day_needs_a_run_only_if_one_was_due() -> None:
    days = [*days_of([run(DAY * 3)], now=NOW, zone=UTC, due=lambda start, end: None)]
    assert [state_of(days, back) for back in range(4)] == ["nothing", "nothing", "nothing", "succeeded"]


@pytest.mark.parametrize(("late", "state"), [(HOUR, "nothing"), (HOUR * 2, "missing")])
def test_a_run_of_an_hour_after_midnight_may_be_that_of_the_day_before(late: timedelta, state: str) -> None:
    midnight = NOW.replace(hour=0) - timedelta(minutes=10)
    happened = [run(DAY * 9), Happened("run", midnight + late, "succeeded")]
    days = [*days_of(happened, now=NOW, zone=UTC, due=lambda start, end: end - timedelta(minutes=10))]
    assert state_of(days, 1) == state


def test_today_is_not_missing_before_it_is_over() -> None:
    days = [*days_of([run(DAY * 2)], now=NOW, zone=UTC, due=daily)]
    assert [state_of(days, back) for back in (0, 1)] == ["nothing", "missing"]


def test_a_full_run_is_missing_although_the_databases_were_backed_up() -> None:
    halves = [Happened("run", NOW - DAY * age, "succeeded", frozenset({"databases"})) for age in range(5)]
    full = Happened("run", NOW - DAY * 2, "succeeded", FULL)
    untold = Happened("run", NOW - DAY, "succeeded")
    dues: dict[frozenset[Contents], Due] = {FULL: daily, frozenset({"databases"}): daily}
    days = [*days_of([*halves, full, untold], now=NOW, zone=UTC, due=daily, dues=dues)]
    assert [state_of(days, back) for back in range(5)] == ["succeeded"] * 3 + ["missing", "succeeded"]
    assert table(taken_apart(calendar(days, zone=UTC, source="")))[3] == [
        "Fri 20 Nov 2026",
        "missing: a run of files and databases was due at 03:00; 1 succeeded",
        "",
    ]


def test_days_are_those_of_the_pages_time_zone() -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    days = [*days_of([Happened("run", late, "failed")], now=NOW, zone=ZoneInfo("Europe/Vienna"))]
    assert (state_of(days, 1), state_of(days, 2)) == ("failed", "unknown")


def test_a_history_tells_runs_and_drills_and_no_other_operation() -> None:
    reports = [
        Report(operation=operation, outcome="failed", name="shop", started=NOW, took=HOUR)
        for operation in ("run", "drill", "verify", "clean", "restore")
    ]
    assert [*in_reports(reports)] == [Happened("run", NOW, "failed"), Happened("drill", NOW, "failed")]


def test_backups_tell_a_run_once_for_all_destinations_and_the_drill_that_each_passed() -> None:
    here = backup(DAY, proven=NOW - HOUR)
    there = backup(DAY, location="/mnt/other", proven=NOW - HOUR)
    lossy = backup(HOUR, complete=False)
    assert [*in_backups([here, there, lossy])] == [run(DAY), run(HOUR, "incomplete"), drill(HOUR)]


def test_without_any_run_there_is_a_sentence_and_no_drawing() -> None:
    picture = calendar(days_of([], now=NOW, zone=UTC), zone=UTC, source="So it is.")
    assert (picture.drawing, picture.told) == ("", "No run was made in these days. So it is.")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(
            Happened,
            st.sampled_from(["run", "drill"]),
            st.datetimes(datetime(2026, 9, 1), datetime(2026, 12, 24), timezones=st.just(UTC)),
            st.sampled_from(["succeeded", "incomplete", "failed"]),
        ),
        max_size=20,
    ),
    st.sampled_from([None, daily]),
    st.sampled_from(["UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_anything_can_have_happened(happened: list[Happened], due: object, zone: str) -> None:
    there = ZoneInfo(zone)
    days = days_of(happened, now=NOW, zone=there, due=due)  # type: ignore[arg-type]
    assert len(days) == 60
    root = taken_apart(calendar(days, zone=there, source=""))
    assert len(table(root)) in (0, 60)
