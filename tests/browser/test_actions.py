"""What else people do with backups, done in a browser: clean, delete, pin, read and look for."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.pages import Visitor
from tests.browser.shop import DISK
from tests.browser.site import Site

pytestmark = pytest.mark.browser


def test_cleaning_removes_what_its_plan_has_shown_when_the_name_is_typed(anna: Visitor, site: Site) -> None:
    anna.go("/pipelines/newsletter")
    before = {one.id for one in site.shop.newsletter.list().backups}
    anna.click("button", "See what cleaning would do")
    anna.sees("The preview is ready", "Nothing was changed.", re.compile(r"Deletes \d+ backup"))
    anna.has_no_flaws()
    going = anna.page.get_by_role("table", name="would be deleted").get_by_role("rowheader").all_inner_texts()
    confirm = anna.page.get_by_label("To clean, type the name of the pipeline")
    confirm.fill("shop")
    anna.click("button", "Clean now")
    anna.sees("What was typed is not the name of the pipeline. Nothing was deleted.")
    assert {one.id for one in site.shop.newsletter.list().backups} == before
    confirm.fill("newsletter")
    anna.click("button", "Clean now")
    anna.sees_end()
    assert going
    assert {one.id for one in site.shop.newsletter.list().backups} == before - {*going}


def test_a_backup_is_deleted_when_its_id_is_typed(anna: Visitor, site: Site) -> None:
    there = site.shop.shop.list().backups
    old = min((one for one in there if one.location == DISK), key=lambda one: one.time)
    anna.refused = {400}
    anna.go(f"/pipelines/shop/backups/{old.id}")
    anna.click("link", "Delete…")
    field = anna.page.get_by_label(f"Type its id, {old.id}, to confirm")
    field.fill(old.id[:-1])
    anna.click("button", "Delete it")
    anna.sees("What was typed is not the id of this backup, so nothing was deleted.")
    anna.has_no_flaws()
    assert old in site.shop.shop.list().backups
    field.fill(old.id)
    anna.click("button", "Delete it")
    anna.sees_end()
    assert {*there} - {*site.shop.shop.list().backups} == {old}


def test_the_newest_good_backup_is_deleted_only_if_that_is_said(anna: Visitor, site: Site) -> None:
    newest = site.shop.newest("databases")
    anna.refused = {400}
    anna.go(f"/pipelines/shop/backups/{newest.id}/delete?at={DISK}")
    field = anna.page.get_by_label(f"Type its id, {newest.id}, to confirm")
    field.fill(newest.id)
    anna.click("button", "Delete it")
    anna.sees("nothing was deleted")
    assert site.shop.newest("databases") == newest
    anna.page.get_by_label("Delete it all the same").check()
    field.fill(newest.id)
    anna.click("button", "Delete it")
    anna.sees_end()
    assert site.shop.newest("databases").time < newest.time


def test_a_backup_is_pinned_and_let_go_and_the_audit_knows_by_whom(anna: Visitor, site: Site) -> None:
    backup = site.shop.newest()
    anna.go(f"/pipelines/shop/backups/{backup.id}")
    anna.page.get_by_label("Why it must stay").fill("before the move")
    anna.click("button", "Pin")
    anna.sees("before the move")
    pin = site.shop.newest().pin
    assert pin is not None
    assert pin.reason == "before the move"
    anna.click("button", "Unpin")
    anna.sees("Pin it")
    assert site.shop.newest().pin is None
    anna.go("/audit")
    for verb in ("pin", "unpin"):
        row = anna.page.get_by_role("row").filter(has_text=re.compile(rf"\b{verb}\b.*{backup.id}")).first
        expect(row).to_contain_text("anna")


def test_the_recovery_sheet_is_shown_and_downloaded_and_holds_no_passphrase(anna: Visitor) -> None:
    anna.go("/pipelines/shop")
    anna.click("link", "Recovery sheet")
    anna.sees("backupkit restore")
    with anna.page.expect_download() as coming:
        anna.click("link", "Download it as text")
    sheet = coming.value.path().read_text()
    assert "backupkit restore" in sheet
    assert "correct horse" not in sheet + anna.page.content()


def test_notifications_are_read(anna: Visitor, site: Site) -> None:
    anna.go("/notifications")
    before = site.shop.kept.count(unread=True)
    anna.page.get_by_role("button", name="Mark as read").first.click()
    expect(anna.page.get_by_text(f"{before - 1} unread")).to_be_visible()
    anna.click("button", "Mark all as read")
    expect(anna.page.get_by_role("button", name="Mark as read")).to_have_count(0)
    assert site.shop.kept.count(unread=True) == 0


def test_a_list_is_narrowed_while_somebody_types(anna: Visitor, site: Site) -> None:
    anna.go("/backups")
    anna.page.evaluate("() => { window.stayed = true; }")
    anna.page.get_by_label("Search").press_sequentially(site.shop.newest().id)
    expect(anna.page.get_by_role("status")).to_have_text("2 backups.")
    anna.page.get_by_label("Pipeline").select_option("newsletter")
    expect(anna.page.get_by_role("status")).to_have_text("There is no such backup.")
    anna.page.get_by_label("Search").clear()
    expect(anna.page.get_by_role("status")).to_have_text(re.compile(r"^\d+ backups\.$"))
    assert anna.page.evaluate("() => window.stayed")
    assert "pipeline=newsletter" in anna.address
