"""Cleaning by the page: the plan first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, KeepLast
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.work import Work
from backupkit.model import Backup, DestinationResult, Kept, Report, RetentionPlan
from backupkit.sizes import format_size
from backupkit.testing.clocks import FrozenClock
from tests.integrations.asgi.forms import Form, shown
from tests.integrations.asgi.visitor import Browser


@pytest.fixture
def shop(shop: BackupPipeline) -> BackupPipeline:
    """Of its three backups, only the newest would stay."""
    shop.retention = KeepLast(1)
    for _ in range(3):
        shop.run()
    return shop


def planned(browser: Browser, **fields: str) -> Work:
    return browser.done(browser.post("/pipelines/shop/clean", **fields))


def ids(shop: BackupPipeline) -> list[str]:
    return [one.id for one in shop.list().backups]


def test_the_plan_is_shown_and_carried_out_after_the_name_was_typed(
    shop: BackupPipeline, browser: Browser
) -> None:
    newest, *others = ids(shop)
    work = planned(browser)
    assert ids(shop) == [newest, *others]
    page = browser.get(f"/operations/{work.id}").text
    stored = sum(one.stored for one in shop.list().backups[1:])
    assert f"Deletes 2 backups, and frees {format_size(stored)}." in page
    assert f"2 would be deleted, {format_size(stored)} freed" in page
    for one in others:
        assert f"/backups/{one}?at=file" in page
    assert "older than the newest" in page
    assert "1 would stay" in page
    assert "The plan is made anew when it is carried out" in page
    done = browser.done(Form(page, "/clean").send(browser, confirm="shop"))
    assert done.action == Action(verb="clean")
    assert ids(shop) == [newest]
    page = browser.get(f"/operations/{done.id}").text
    assert "<dt>Removed</dt><dd>2</dd>" in page
    assert "What was removed, and why" in page


def test_what_was_added_after_the_plan_counts_and_what_was_really_removed_is_said(
    shop: BackupPipeline, browser: Browser
) -> None:
    page = browser.get(f"/operations/{planned(browser).id}").text
    assert "Deletes 2 backups" in page
    shop.run()
    done = browser.done(Form(page, "/clean").send(browser, confirm="shop"))
    assert len(ids(shop)) == 1
    assert "<dt>Removed</dt><dd>3</dd>" in browser.get(f"/operations/{done.id}").text


def test_leftovers_of_interrupted_runs_are_shown(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    left = next((tmp_path / "backups").rglob("*.zip")).with_name(".shop-2026.zip.0123456789abcdef.partial")
    left.write_bytes(b"x" * 1000)
    shop._leftovers_after = timedelta(0)
    page = shown(browser, "clean_plan.html", planned(browser))
    assert "Deletes 2 backups and 1 unfinished leftover" in page
    assert left.name in page


def test_where_there_is_nothing_to_clean_no_form_is_shown(shop: BackupPipeline, browser: Browser) -> None:
    shop.clean()
    page = shown(browser, "clean_plan.html", planned(browser))
    assert "There is nothing to clean." in page
    assert "<form" not in page


def test_one_destination_is_planned_and_cleaned_alone(
    shop: BackupPipeline, browser: Browser, tmp_path: Path
) -> None:
    at = (tmp_path / "backups").as_uri()
    work = planned(browser, at=at)
    done = browser.done(browser.post(f"/operations/{work.id}/clean", confirm="shop", at="", dry_run=""))
    assert done.action == Action(verb="clean", at=at)


def test_a_destination_that_the_pipeline_has_not_is_refused(shop: BackupPipeline, browser: Browser) -> None:
    answer = browser.post("/pipelines/shop/clean", at="/etc")
    assert (answer.status_code, "has no such destination" in answer.text) == (400, True)


def test_nothing_is_deleted_without_the_name_of_the_pipeline(shop: BackupPipeline, browser: Browser) -> None:
    work = planned(browser)
    answer = browser.post(f"/operations/{work.id}/clean", confirm="yes")
    assert answer.headers["location"] == f"/operations/{work.id}?typed=otherwise"
    assert "Nothing was deleted." in shown(browser, "clean_plan.html", work, query="typed=otherwise")
    assert len(ids(shop)) == 3


def test_a_plan_is_carried_out_by_whom_it_was_made_and_who_may_delete(
    shop: BackupPipeline, browser: Browser
) -> None:
    work = planned(browser)
    assert "made by somebody else" in shown(browser, "clean_plan.html", work, who="berta")
    assert "<form" not in shown(browser, "clean_plan.html", work, "view", "run", "restore")
    other = Browser(browser.manager, {"view", "run", "restore"})
    assert other.post("/pipelines/shop/clean").status_code == 403
    assert other.post(f"/operations/{work.id}/clean", confirm="shop").status_code == 403


def test_what_a_plan_has_shown_is_done_once_however_often_it_is_confirmed(
    shop: BackupPipeline, browser: Browser
) -> None:
    work = planned(browser)
    first, again = (browser.post(f"/operations/{work.id}/clean", confirm="shop") for _ in range(2))
    assert first.headers["location"] == again.headers["location"]
    browser.done(first)
    later = browser.post(f"/operations/{work.id}/clean", confirm="shop")
    assert later.headers["location"] == first.headers["location"]
    page = browser.get(f"/operations/{work.id}").text
    assert "/clean" not in page.partition("What cleaning would do")[2].replace("/cleaning", "")
    assert f'href="{first.headers["location"]}"' in page
    assert len(browser.manager.page.queue.recent()) == 2
    lines = [one.what for one in browser.manager.page.audit.noted("shop", None, limit=50, skip=0)]
    assert lines.count({"verb": "clean"}) == 1, "who did it is not said twice"


def test_a_preview_of_a_restore_is_no_plan(shop: BackupPipeline, browser: Browser) -> None:
    work = browser.done(browser.post(f"/pipelines/shop/backups/{ids(shop)[0]}/restore/preview"))
    answer = browser.post(f"/operations/{work.id}/clean", confirm="shop")
    assert (answer.status_code, "is no preview of a clean" in answer.text) == (400, True)


def test_of_ten_thousand_that_stay_the_reasons_are_counted_and_not_all_listed(
    shop: BackupPipeline, browser: Browser, manager: BackupManager
) -> None:
    clock, location = FrozenClock(), shop.destinations[0].location
    kept = [
        Kept(
            Backup(
                id=f"2026-{number:05}",
                name="shop",
                time=clock() - timedelta(days=number),
                contents=frozenset({"files"}),
                location=location,
                complete=True,
                stored=1,
            ),
            (f"newest of {clock() - timedelta(days=number):%Y-%m-%d}",)
            if number > 5
            else (f"pinned until 2030-01-0{number + 1}T00:00Z: audit {number}",),
        )
        for number in range(10_000)
    ]
    work = planned(browser)
    assert work.report is not None
    plan = RetentionPlan(keep=tuple(kept))
    report: Report = replace(
        work.report,
        destinations=(DestinationResult(location=location, outcome="succeeded", plan=plan, freed=5),),
    )
    page = shown(browser, "clean_plan.html", replace(work, report=report))
    assert "10,000 would stay" in page
    assert '<th scope="row">newest of a day</th><td class="number">9,994</td>' in page
    assert '<th scope="row">pinned</th><td class="number">6</td>' in page
    assert page.count("<li>2026-") == 500
    assert len(page) < 100_000
