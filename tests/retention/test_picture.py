from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.model import Backup, Contents, Kept, Removed, RetentionPlan
from backupkit.retention import KeepLast, TieredRetention
from backupkit.retention.charts import charts
from backupkit.retention.picture import plot_plan, plot_retention
from backupkit.retention.simulation import ScheduledRun, SimulatedDay, SimulatedSeries, Simulation, simulate
from tests.retention.histories import FULL

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def backup(age: timedelta, name: str = "one", contents: frozenset[Contents] = FULL) -> Backup:
    return Backup(
        id=name,
        name="shop",
        time=NOW - age,
        contents=contents,
        location="/mnt/backup",
        complete=True,
        stored=10**9,
    )


def kept(*reasons: str, age: timedelta = timedelta(days=1), name: str = "one") -> Kept:
    return Kept(backup(age, name), reasons)


def drawn(picture: str) -> ET.Element:
    return ET.fromstring(picture.encode())  # noqa: S314 – it is ours


def marks(root: ET.Element) -> list[ET.Element]:
    return [mark for mark in root.iter(f"{SVG}rect") if mark.get("role") == "listitem"]


def tip(mark: ET.Element) -> list[str]:
    return (mark.findtext(f"{SVG}title") or "").split("\n")


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def year() -> Simulation:
    schedule = [ScheduledRun(), ScheduledRun("00:00", timedelta(hours=6), "databases", "20MB")]
    return simulate(TieredRetention(), schedule, 120)


def test_each_backup_that_stays_is_one_mark_that_tells_which_and_every_reason() -> None:
    plan = RetentionPlan(keep=(kept("newest of 2026-11-22", "pinned: an audit"),))
    (mark,) = marks(drawn(plot_plan(plan, now=NOW)))
    assert tip(mark) == ["one", "1 GB", "newest of 2026-11-22", "pinned: an audit"]


def test_a_simulation_shows_what_it_kept(year: Simulation) -> None:
    shown = Counter(tip(mark)[0] for mark in marks(drawn(plot_retention(year))))
    assert shown == Counter(one.backup.id for one in year.kept)


def test_each_contents_has_a_lane_that_is_a_list_and_says_what_is_in_it(year: Simulation) -> None:
    root = drawn(plot_retention(year))
    lists = [group for group in root.iter(f"{SVG}g") if group.get("role") == "list"]
    assert [group.get("aria-label") for group in lists] == [
        "files and databases: 34 of 120 stay, 17 GB",
        "databases: 55 of 477 stay, 1.1 GB",
    ]
    assert [len(group) for group in lists] == [34, 55]


def test_the_picture_is_told_to_those_who_do_not_see_it(year: Simulation) -> None:
    root = drawn(plot_retention(year))
    title, description, *_ = root
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert title.text == "What a retention policy keeps, and why"
    assert f"{len(year.kept)} of 597 backups stay" in (description.text or "")
    assert "newest of a week: " in (description.text or "")
    assert root.get("role") == "graphics-document document"


def test_the_legend_counts_what_stays_and_what_went(year: Simulation) -> None:
    legend = [
        found for text in texts(drawn(plot_retention(year))) if (found := re.search(r"\((\d+)\)$", text))
    ]
    *stays, gone = [int(found[1]) for found in legend]
    assert sum(stays) == len(year.kept)
    assert gone == len(year.backups) - len(year.kept)


def test_reasons_of_different_kinds_have_different_colours() -> None:
    reasons = (
        "newer than 7 days",
        "newest of 2026-11-22",
        "newest of 2026",
        "pinned: x",
        "odd",
        "even",
        "within 90 days of the newest",
    )
    plan = RetentionPlan(keep=tuple(kept(reason) for reason in reasons))
    shown = {tip(mark)[2]: mark.get("class") for mark in marks(drawn(plot_plan(plan, now=NOW)))}
    assert len(set(shown.values())) == len(reasons)


def test_the_newer_is_further_right_and_all_is_inside() -> None:
    ages = [timedelta(days=days) for days in (-3, 0, 0.01, 1, 2, 7, 40, 400, 4000, 40000)]
    plan = RetentionPlan(keep=tuple(kept("why", age=age, name=f"{age}") for age in ages))
    root = drawn(plot_plan(plan, now=NOW))
    places = {tip(mark)[0]: float(mark.get("x", "")) for mark in marks(root)}
    order = [places[f"{age}"] for age in ages]
    assert order == sorted(order, reverse=True)
    assert min(order) > 0
    assert max(order) < float(root.get("width", ""))


def test_a_plan_shows_what_would_go() -> None:
    plan = RetentionPlan(
        keep=(kept("newest"),),
        remove=(
            Removed(backup(timedelta(days=9), "two"), "not the newest of 2026-11-14"),
            Removed(backup(timedelta(days=90), "three"), "older than all tiers"),
        ),
    )
    faint = [tip(mark) for mark in drawn(plot_plan(plan, now=NOW)).iter(f"{SVG}rect") if len(mark)]
    assert ["two: to be removed, not the newest of 2026-11-14"] in faint
    assert ["three: to be removed, older than all tiers"] in faint


def test_removed_ones_that_lie_together_are_told_together() -> None:
    picture = plot_retention(simulate(KeepLast(1), ScheduledRun("00:00", timedelta(hours=1)), 700))
    faint = [
        tip(mark) for mark in drawn(picture).iter(f"{SVG}rect") if mark.get("class") == "gone" and len(mark)
    ]
    together = [re.match(r"(\d+) removed, made \d+ \w+ \d{4} to \d+ \w+ \d{4}$", told[0]) for told in faint]
    assert sum(int(found[1]) if found else 1 for found in together) == 699 * 24 + 5 - 1
    assert next(told[1] for told in faint if len(told) > 1).endswith(" × older than the newest good")


@given(st.text(st.characters(codec=None), max_size=80))
def test_any_text_can_be_a_reason_or_an_id(text: str) -> None:
    plan = RetentionPlan(
        keep=(kept(text, name=text),), remove=(Removed(backup(timedelta(days=9), text), text),)
    )
    (mark,) = marks(drawn(plot_plan(plan, now=NOW)))
    id_, _, reason = tip(mark)
    assert id_ == reason
    assert [a for a, b in zip(id_, text, strict=True) if a not in (b, "\ufffd")] == []
    assert text.isprintable() <= (id_ == text)


def test_a_picture_is_one_static_file_for_light_and_dark(year: Simulation) -> None:
    picture = plot_retention(year)
    assert "prefers-color-scheme:dark" in picture
    assert picture.count("http") == 1, "the name space is no reference"
    assert not re.search(r"<script|href|\bon\w+=|url\(|@import|<image|<foreignObject", picture)


def test_six_years_are_a_small_file(roomy: Simulation) -> None:
    assert len(plot_retention(roomy)) < 120_000


def test_no_peak_is_lost_where_there_are_more_days_than_can_be_seen() -> None:
    days = [day(number, 80 if number == 777 else 10) for number in range(2000)]
    drawn, _ = charts(days, 0, 0, 1000)
    stored, _ = [path for path in drawn if 'class="a0"' in path and path.startswith("<path")]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", stored)]
    assert len(heights) < 1000
    assert min(heights) == 24, "the top of the chart"


def day(number: int, stored: int) -> SimulatedDay:
    series = (SimulatedSeries(contents=FULL, count=1, stored=stored),)
    return SimulatedDay(time=NOW + timedelta(days=number), count=1, stored=stored, peak=stored, series=series)


@pytest.mark.parametrize("days", [1, 2, 40])
def test_a_few_days_are_drawn(days: int) -> None:
    simulation = simulate(KeepLast(3), ScheduledRun(), days)
    root = drawn(plot_retention(simulation))
    assert len(marks(root)) == min(days, 3)
    assert ("Backups" in texts(root)) is (days > 1), "one day is no development"


def test_nothing_is_drawn_as_nothing() -> None:
    assert marks(drawn(plot_plan(RetentionPlan(), now=NOW))) == []
    assert marks(drawn(plot_retention(simulate(KeepLast(1), ScheduledRun("05:00"), 1)))) == []
