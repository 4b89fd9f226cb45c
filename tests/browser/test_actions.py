"""Each thing that people can do on the page, done in a browser to real backups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backupkit import Backup
from tests.browser.conftest import Come
from tests.browser.pages import Visitor
from tests.browser.shop import DISK, Shop
from tests.browser.site import Site

pytestmark = pytest.mark.browser


def newest(site: Site, contents: int = 2) -> Backup:
    """The newest good backup of the shop on its disk, of files and databases."""
    listing = site.shop.shop.list()
    found = (
        one for one in listing.backups if one.location == DISK and len(one.contents) == contents and one.good
    )
    return max(found, key=lambda one: one.time)


def page_of(backup: Backup) -> str:
    return f"/pipelines/{backup.name}/backups/{backup.id}"


@contextmanager
def held(shop: Shop) -> Iterator[None]:
    """What a run reads last goes on and on."""
    shop.hold.touch()
    try:
        yield
    finally:
        shop.hold.unlink()


@contextmanager
def without(folder: Path) -> Iterator[None]:
    away = folder.rename(folder.with_name(f"{folder.name}.away"))
    try:
        yield
    finally:
        away.rename(folder)


def test_a_run_is_followed_without_loading_the_page_again(anna: Visitor, site: Site) -> None:
    with held(site.shop):
        anna.go("/pipelines/shop")
        anna.click("button", "Run now")
        anna.sees("Under way", re.compile(r"read, \d+ entries"))
        anna.page.evaluate("() => { window.stayed = true; }")
    anna.sees_end()
    assert anna.page.evaluate("() => window.stayed")
    anna.click("link", f"The new backup at {DISK}")
    anna.sees("Backup of files and databases", "good")


@pytest.mark.parametrize(("button", "said"), [("Databases only", "databases"), ("Files only", "files")])
def test_a_run_of_one_kind_alone_makes_a_backup_of_that(button: str, said: str, anna: Visitor) -> None:
    anna.go("/pipelines/shop")
    anna.click("button", button)
    anna.sees_end()
    anna.click("link", f"The new backup at {DISK}")
    expect(anna.page.get_by_role("heading", level=1)).to_contain_text(f"Backup of {said},")


def test_a_run_is_cancelled_and_leaves_no_backup(anna: Visitor, site: Site) -> None:
    before = newest(site)
    with held(site.shop):
        anna.go("/pipelines/shop")
        anna.click("button", "Run now")
        anna.sees("Under way", re.compile(r"read, \d+ entries"))
        anna.click("button", "Cancel")
    anna.sees_end("It failed")
    anna.sees("cancelled")
    assert newest(site) == before


def test_a_run_that_fails_says_what_to_do(anna: Visitor, site: Site) -> None:
    with without(site.shop.disk), without(site.shop.bucket):
        anna.go("/pipelines/shop")
        anna.click("button", "Run now")
        anna.sees_end("It failed")
        anna.sees("The folder file:///mnt/backup does not exist: mount it or create it")


def test_a_run_that_one_destination_did_not_take_is_not_said_to_have_succeeded(
    anna: Visitor, site: Site
) -> None:
    with without(site.shop.bucket):
        anna.go("/pipelines/shop")
        anna.click("button", "Run now")
        anna.sees_end("It has ended, and something is wrong")


@pytest.mark.parametrize("button", ["Verify the latest", "Drill", "Check health"])
def test_what_was_made_is_examined(button: str, anna: Visitor) -> None:
    anna.go("/pipelines/shop")
    anna.click("button", button)
    anna.sees_end()


def test_an_archive_that_is_downloaded_is_the_one_at_the_destination(anna: Visitor, site: Site) -> None:
    backup = newest(site)
    anna.go(page_of(backup))
    with anna.page.expect_download() as coming:
        anna.click("link", "Download the archive")
    stored = site.shop.disk / "shop" / f"{backup.id}.zip"
    assert coming.value.path().read_bytes() == stored.read_bytes()


def test_a_file_that_is_downloaded_is_the_one_that_was_backed_up(anna: Visitor, site: Site) -> None:
    anna.go(page_of(newest(site)))
    anna.click("link", "Look into it")
    for folder in ("uploads/", "2026-03/"):
        anna.content.get_by_text(folder, exact=True).click()
    with anna.page.expect_download() as coming:
        anna.click("link", "07.jpg")
    assert coming.value.path().read_bytes() == (site.shop.uploads / "2026-03" / "07.jpg").read_bytes()


def test_a_restore_goes_by_steps_to_a_folder_that_has_what_was_backed_up(anna: Visitor, site: Site) -> None:
    anna.go(page_of(newest(site)))
    anna.click("link", "Restore…")
    anna.page.get_by_label("Only the files").check()
    anna.click("button", "Go on: where to")
    anna.click("button", "Go on: preview")
    anna.click("button", "Preview")
    anna.sees("What the restore would do")
    assert not (site.shop.root / "restored").exists()
    anna.page.get_by_label("To restore this, type the name of the pipeline").fill("newsletter")
    anna.click("button", "Restore now")
    anna.sees("What was typed is not the name of the pipeline. Nothing was restored.")
    anna.page.get_by_label("To restore this, type the name of the pipeline").fill("shop")
    anna.click("button", "Restore now")
    anna.sees_end()
    (folder,) = (site.shop.root / "restored").iterdir()
    anna.sees(f"It was restored to {folder}")
    for file in (site.shop.uploads / "2026-02").iterdir():
        assert (folder / "uploads" / "2026-02" / file.name).read_bytes() == file.read_bytes()


def test_cleaning_shows_its_plan_and_does_it_when_the_name_is_typed(anna: Visitor, site: Site) -> None:
    anna.go("/pipelines/newsletter")
    before = site.shop.newsletter.list().backups
    anna.click("button", "See what cleaning would do")
    anna.sees(re.compile(r"Deletes \d+ backup"))
    assert site.shop.newsletter.list().backups == before
    anna.page.get_by_label("To clean, type the name of the pipeline").fill("newsletter")
    anna.click("button", "Clean now")
    anna.sees_end()
    assert {*site.shop.newsletter.list().backups} < {*before}


def test_a_backup_is_deleted_when_its_id_is_typed(anna: Visitor, site: Site) -> None:
    old = min(
        (one for one in site.shop.shop.list().backups if one.location == DISK), key=lambda one: one.time
    )
    anna.refused = {400}
    anna.go(page_of(old))
    anna.click("link", "Delete…")
    field = anna.page.get_by_label(f"Type its id, {old.id}, to confirm")
    field.fill(old.id[:-1])
    anna.click("button", "Delete it")
    anna.sees("Delete the backup")
    field.fill(old.id)
    anna.click("button", "Delete it")
    anna.sees_end()
    assert old not in site.shop.shop.list().backups


def test_a_backup_is_pinned_and_let_go(anna: Visitor, site: Site) -> None:
    anna.go(page_of(newest(site)))
    anna.page.get_by_label("Why it must stay").fill("before the move")
    anna.click("button", "Pin")
    anna.sees("before the move")
    pin = newest(site).pin
    assert pin is not None
    assert pin.reason == "before the move"
    anna.click("button", "Unpin")
    anna.sees("Pin it")
    assert newest(site).pin is None


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


def test_a_list_is_narrowed_while_somebody_types(anna: Visitor) -> None:
    anna.go("/backups")
    anna.page.evaluate("() => { window.stayed = true; }")
    anna.page.get_by_label("Pipeline").select_option("newsletter")
    expect(anna.page.get_by_role("status")).to_have_text(re.compile(r"^\d+ backups\.$"))
    assert anna.page.evaluate("() => window.stayed")
    assert "pipeline=newsletter" in anna.address


def test_a_run_and_a_restore_need_nothing_but_the_keyboard(anna: Visitor) -> None:
    anna.go("/")
    anna.tab_to("shop")
    anna.press("Enter")
    anna.page.wait_for_url("**/pipelines/shop")
    anna.tab_to("Run now")
    anna.press("Enter")
    anna.sees_end()
    anna.tab_to(f"The new backup at {DISK}")
    anna.press("Enter")
    anna.page.wait_for_url("**/backups/*")
    anna.tab_to("Restore…")
    anna.press("Enter")
    for name in ("Go on: where to", "Go on: preview", "Preview"):
        expect(anna.page.get_by_role("button", name=name, exact=True)).to_be_visible()
        anna.tab_to(name)
        anna.press("Enter")
    anna.sees("What the restore would do")
    anna.tab_to("To restore this, type the name of the pipeline: shop")
    anna.page.keyboard.type("shop")
    anna.press("Enter")
    anna.sees_end()


def test_a_run_and_its_end_need_no_scripts(come: Come) -> None:
    anna = come(java_script_enabled=False)
    anna.go("/pipelines/shop")
    anna.click("button", "Run now")
    anna.sees_end()  # the page asks again by itself


def test_who_may_only_look_is_offered_nothing_else(come: Come, site: Site) -> None:
    vera = come("vera")
    for address in ("/", "/pipelines/shop", page_of(newest(site))):
        vera.go(address)
        names = vera.page.get_by_role("main").get_by_role("button").all_inner_texts()
        assert [one for one in names if one != "Show"] == [], address
        assert vera.page.get_by_role("link", name=re.compile("Restore|Delete|Download")).count() == 0
