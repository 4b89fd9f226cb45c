"""The pictures of a pipeline on its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    DatabaseHistory,
    MaximumAge,
    NotificationError,
    SizeAnomaly,
    TieredRetention,
)
from backupkit._operation import utc_now
from backupkit.integrations import asgi
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.pictures import drawn
from backupkit.integrations.asgi.pictures.figure import Picture, cut, figure
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.retention.drawing import style
from backupkit.scheduling import Schedule
from tests.integrations.asgi.drawings import DATABASES, FULL
from tests.integrations.asgi.standing import report
from tests.integrations.asgi.stored import NOW as STOOD
from tests.integrations.asgi.stored import Counting, Given, folder, page_of, pipeline_of, put
from tests.integrations.asgi.visitor import Browser, as_said

STATIC = Path(asgi.__file__).parent / "static"


def shown(manager: BackupManager) -> str:
    """What stands on the page of the pipeline."""
    page = manager.page
    template = page.templates.get_template("pictures.html")
    return template.render(page=page, name="shop", looks=page.looks.at("shop"))


def test_a_pipeline_without_backups_has_sentences_for_pictures(manager: BackupManager) -> None:
    text = shown(manager)
    assert "<svg" not in text
    assert "No run was made in these days. This is what the history tells." in text
    assert "Nothing is stored yet." in text


def test_all_four_are_drawn_and_nothing_of_them_is_escaped_twice(
    manager: BackupManager, shop: BackupPipeline
) -> None:
    shop.run()
    text = shown(manager)
    assert text.count("<figure") == text.count('role="img"') == 4
    assert "&lt;" not in text


def test_a_pipeline_that_the_page_calls_otherwise_has_its_pictures(shop: BackupPipeline) -> None:
    shop.run()
    manager = BackupManager({"Our shop": shop}, authorize=as_said, secret="not to be guessed")
    page = manager.page
    template = page.templates.get_template("pictures.html")
    text = template.render(page=page, name="Our shop", looks=page.looks.at("Our shop"))
    manager.close()
    assert text.count("<figure") == text.count('role="img"') == 4


def test_they_are_drawn_once_for_each_look(
    manager: BackupManager, shop: BackupPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    real = drawn.all_pictures

    def counted(page: Page, name: str, looks: Sequence[Look]) -> Iterator[Picture]:
        times.append(name)
        return real(page, name, looks)

    monkeypatch.setattr(drawn, "all_pictures", counted)
    first, again = shown(manager), shown(manager)
    assert (first == again, len(times)) == (True, 1)
    shop.run()
    manager.page.looks.forget("shop")
    assert shown(manager) != first
    assert len(times) == 2


def test_where_the_history_cannot_be_read_the_backups_tell_and_that_is_said(
    manager: BackupManager, shop: BackupPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DatabaseHistory, *asked: Any, **more: Any) -> None:
        raise NotificationError("The database is down.")

    shop.run()
    monkeypatch.setattr(DatabaseHistory, "reports", refuse)
    text = shown(manager)
    assert "1 day on which all runs succeeded." in text
    assert "The history cannot be read; this is what the backups tell" in text


def test_runs_that_the_history_does_not_know_stand_in_the_calendar(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    shop.run()
    shop.drill()
    shop.history = None
    shop.run()
    shop.drill()
    lost = BackupPipeline(
        "shop",
        shop.sources,
        shop.destinations,
        encryptor=None,
        history=DatabaseHistory(f"sqlite:///{tmp_path / 'new.sqlite3'}"),
    )
    for pipeline, begin in ((shop, "As no history"), (lost, "This is what the history tells, and")):
        if pipeline is lost:
            lost.run()
            lost.drill()
        page = page_of(pipeline, tmp_path, clock=utc_now).manager.page
        picture = next(drawn.all_pictures(page, "shop", page.looks.at("shop")))
        count = 2 if pipeline is shop else 3
        assert (picture.rows[0][1], picture.rows[0][2]) == (
            f"{count} succeeded",
            f"drills: {count} succeeded",
        )
        assert begin in picture.told


def test_without_a_history_no_run_is_missing_whose_backup_would_have_been_removed(tmp_path: Path) -> None:
    destination = Counting()
    sources = [folder(tmp_path), Given("dumps", [], "databases")]
    shop = pipeline_of(sources, destination, retention=TieredRetention(3, 0, 2, 0, 0))
    for age in (1, 3, 4, 10, 40):  # the third day has none
        put(destination, STOOD - timedelta(days=age))
    page = page_of(shop, tmp_path).manager.page
    looks = page.looks.at("shop")
    picture = next(drawn.all_pictures(page, "shop", looks))
    assert [row[1] for row in picture.rows[:6]] == [
        "none",
        "1 succeeded",
        "missing",
        "1 succeeded",
        "1 succeeded",
        "not known",
    ]
    assert picture.told.startswith("3 days on which a run was missing")  # of two weeks none is there


def test_the_last_moment_that_was_due_is_that_of_the_runs_of_the_schedule() -> None:
    due = drawn.due_by(Schedule(), "shop")
    start, end = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)
    assert due(start, end) == datetime(2026, 11, 23, 18, tzinfo=UTC)
    assert drawn.due_by(replace(Schedule(), jobs=[]), "shop")(start, end) is None


def test_a_day_without_a_run_since_the_history_began_is_missing_whatever_was_removed(tmp_path: Path) -> None:
    history = DatabaseHistory(f"sqlite:///{tmp_path / 'records.sqlite3'}")
    for age in (20, 10):
        history.record(report("run", STOOD - timedelta(days=age)))
    destination = Counting()
    for days in (70, 1):
        put(destination, STOOD - timedelta(days=days))
    shop = pipeline_of(
        folder(tmp_path), destination, history=history, retention=TieredRetention(3, 0, 1, 0, 0)
    )
    page = page_of(shop, tmp_path).manager.page
    picture = next(drawn.all_pictures(page, "shop", page.looks.at("shop")))
    assert [picture.rows[age][1] for age in (1, 9, 10, 19, 20)] == [
        "1 succeeded",
        "missing",
        "1 succeeded",
        "missing",
        "1 succeeded",
    ]
    assert "which it does not know" in picture.told
    del destination.objects[
        next(one for one in destination.objects if "2026-02-28" in one and one.endswith("zip"))
    ]
    page.looks.forget("shop")
    picture = next(drawn.all_pictures(page, "shop", page.looks.at("shop")))
    assert picture.told.endswith("This is what the history tells.")


def test_without_a_schedule_a_run_is_due_each_day_only_if_a_check_wants_that(shop: BackupPipeline) -> None:
    assert drawn.due_unsaid(shop) is None
    shop.checks = (MaximumAge(days=8),)
    never = drawn.due_unsaid(shop)
    assert never is not None
    assert never(datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)) is None


def test_what_is_due_is_told_apart_by_contents_where_a_schedule_has_several(shop: BackupPipeline) -> None:
    start, end = datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)
    dues = drawn.dues_by(Schedule(), shop)
    assert {held: due(start, end) for held, due in dues.items()} == {
        FULL: datetime(2026, 11, 23, 3, tzinfo=UTC),
        DATABASES: datetime(2026, 11, 23, 18, tzinfo=UTC),
    }
    assert drawn.dues_by(Schedule([Schedule().jobs[0]]), shop) == {}


def test_the_rule_of_the_pipeline_is_used_for_the_contents_it_speaks_of(shop: BackupPipeline) -> None:
    full, databases = SizeAnomaly(least=3), SizeAnomaly(contents="databases", least=4)
    shop.checks = (full, databases)
    rule = drawn.rule_of(shop)
    assert (rule(FULL), rule(DATABASES)) == (full, databases)
    assert rule(frozenset({"files"})) == SizeAnomaly()


def test_the_stylesheet_has_the_colours_of_the_command_lines_picture() -> None:
    assert style("picture") in (STATIC / "pictures.css").read_text().splitlines()


def test_each_page_asks_for_the_stylesheet_and_gets_it(browser: Browser) -> None:
    assert "/static/pictures.css" in browser.get("/").text
    assert browser.get("/static/pictures.css").status_code == 200


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    assert cut("a" * 5000 + "b" * 5000, 10) == "aaaa…bbbbb"
    assert cut("<\x00\u202e\udcff>") == r"<\x00\u202e\udcff>"


def test_a_table_can_be_reached_by_keyboard_and_has_a_name() -> None:
    text = figure(Picture(title="<One>", told="", columns=("A",), rows=[("1",)]), "one")
    assert '<div class="scroll" tabindex="0" role="region" aria-labelledby="one-table">' in text
    assert '<caption id="one-table">&lt;One&gt;</caption>' in text
