"""Runs and what examines backups, begun and followed in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.pages import Visitor
from tests.browser.shop import DISK, gone
from tests.browser.site import Site

pytestmark = pytest.mark.browser
READING = re.compile(r"read, \d+ entries")


def begin(who: Visitor, button: str) -> None:
    who.go("/pipelines/shop")
    who.click("button", button)


def test_a_run_is_followed_without_loading_the_page_again(anna: Visitor, site: Site) -> None:
    progress = anna.page.get_by_text(READING)
    with site.shop.held():
        begin(anna, "Run now")
        anna.sees("Under way", READING)
        anna.page.evaluate("() => { window.stayed = true; }")
        anna.has_no_flaws()
        for _ in range(2):
            expect(progress).not_to_have_text(progress.inner_text(), timeout=60_000)
        expect(anna.page.get_by_role("progressbar")).to_be_visible()
    anna.sees_end()
    expect(anna.page.get_by_role("progressbar")).to_have_count(0)
    assert anna.page.evaluate("() => window.stayed")
    anna.click("link", f"The new backup at {DISK}")
    anna.sees("Backup of files and databases", "good")


def test_the_bar_moves_where_it_is_known_how_much_there_is_to_do(anna: Visitor, site: Site) -> None:
    bar = anna.page.get_by_role("progressbar", name="Read so far")
    with site.shop.slow():
        begin(anna, "Verify the latest")
        seen = ["0"]
        for _ in range(2):
            expect(bar).not_to_have_attribute("value", seen[-1], timeout=60_000)
            seen.append(bar.get_attribute("value") or "")
        first, then, most = int(seen[1]), int(seen[2]), int(bar.get_attribute("max") or "")
        assert 0 < first < then < most
    anna.sees_end()


@pytest.mark.parametrize(("button", "said"), [("Databases only", "databases"), ("Files only", "files")])
def test_a_run_of_one_kind_alone_makes_a_backup_of_that(button: str, said: str, anna: Visitor) -> None:
    begin(anna, button)
    anna.sees_end()
    anna.click("link", f"The new backup at {DISK}")
    expect(anna.page.get_by_role("heading", level=1)).to_contain_text(f"Backup of {said},")


def test_a_run_is_cancelled_and_leaves_no_backup(anna: Visitor, site: Site) -> None:
    before = site.shop.shop.list().backups
    with site.shop.held():
        begin(anna, "Run now")
        anna.sees("Under way", READING)
        anna.click("button", "Cancel")
        anna.sees_end("It failed")
    anna.sees("cancelled")
    assert site.shop.shop.list().backups == before


def test_two_people_see_and_cancel_the_same_operation(come: Come, anna: Visitor, site: Site) -> None:
    rosa, vera = come("rosa"), come("vera")
    vera.go("/operations")
    with site.shop.held():
        begin(anna, "Run now")
        anna.sees("Under way")
        for other in (rosa, vera):
            other.go("/pipelines/shop")
            other.click("link", "Run, asked by anna")
            other.sees("Under way", READING)
        assert vera.page.get_by_role("button").count() == 0
        vera.go("/operations")
        vera.sees("under way")
        vera.page.evaluate("() => { window.stayed = true; }")
        rosa.click("button", "Cancel")
        for one in (anna, rosa):
            one.sees_end("It failed")
            one.sees("was cancelled, because rosa asked for that")
        expect(vera.page.get_by_text("under way", exact=True)).to_have_count(0, timeout=60_000)
        assert vera.page.evaluate("() => window.stayed")


def test_a_run_that_fails_says_what_to_do_there_and_on_the_pages_before(anna: Visitor, site: Site) -> None:
    missing = "The folder file:///mnt/backup does not exist: mount it or create it"
    with gone(site.shop.disk, site.shop.bucket):
        begin(anna, "Run now")
        anna.sees_end("It failed")
        anna.sees(missing)
        anna.has_no_flaws()
        anna.click("link", "To shop")
        anna.sees(re.compile("The last run failed today"), missing)
        anna.has_no_flaws()
        anna.page.get_by_role("navigation").get_by_role("link", name="Notifications").click()
    anna.sees("shop: run failed", missing)


def test_a_run_that_one_destination_did_not_take_is_not_said_to_have_succeeded(
    anna: Visitor, site: Site
) -> None:
    with gone(site.shop.bucket):
        begin(anna, "Run now")
        anna.sees_end("It has ended, and something is wrong")
        anna.sees("The folder s3://shop-backups does not exist")
    expect(anna.page.get_by_role("link", name="The new backup at s3")).to_have_count(0)
    anna.click("link", f"The new backup at {DISK}")
    anna.sees("good")


@pytest.mark.parametrize("button", ["Verify the latest", "Check health"])
def test_what_was_made_is_examined(button: str, anna: Visitor) -> None:
    begin(anna, button)
    anna.sees_end()


def test_a_backup_that_was_verified_and_drilled_says_so(anna: Visitor, site: Site) -> None:
    backup = site.shop.newest("databases")
    for verb, fact in (("Verify", "Verified"), ("Drill", "Proven by a drill")):
        anna.go(f"/pipelines/shop/backups/{backup.id}?at={DISK}")
        anna.click("button", verb)
        anna.sees_end()
        anna.click("link", "To the backup")
        expect(anna.page.locator(f"dt:text-is('{fact}') + dd")).to_contain_text("today")
