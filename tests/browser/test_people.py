"""People who have no mouse, no scripts, or no leave to do anything."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.pages import Visitor
from tests.browser.shop import DISK
from tests.browser.site import AT, Site

pytestmark = pytest.mark.browser
STEPS = ("Go on: where to", "Go on: preview", "Preview")


def test_a_run_a_restore_and_a_deletion_need_nothing_but_the_keyboard(anna: Visitor, site: Site) -> None:
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
    for name in STEPS:
        expect(anna.page.get_by_role("button", name=name, exact=True)).to_be_visible()
        anna.tab_to(name)
        anna.press("Enter")
    anna.sees("What the restore would do")
    anna.tab_to("To restore this, type the name of the pipeline: shop")
    anna.page.keyboard.type("shop")
    anna.press("Enter")
    anna.sees_end()
    new = site.shop.newest()
    anna.tab_to("To the backup")
    anna.press("Enter")
    anna.page.wait_for_url("**/backups/*")
    anna.tab_to("Delete…")
    anna.press("Enter")
    anna.page.wait_for_url("**/delete?*")
    anna.tab_to("Delete it all the same, although it is the newest good one")
    anna.press("Space")
    anna.tab_to(f"Type its id, {new.id}, to confirm")
    anna.page.keyboard.type(new.id)
    anna.press("Enter")
    anna.sees_end()
    assert site.shop.newest().time < new.time


def test_a_run_a_restore_and_a_deletion_need_no_scripts(come: Come, site: Site) -> None:
    anna = come(java_script_enabled=False)
    anna.go("/pipelines/shop")
    anna.click("button", "Run now")
    anna.sees_end()  # the page asks again by itself
    new = site.shop.newest()
    anna.click("link", f"The new backup at {DISK}")
    anna.click("link", "Restore…")
    for name in STEPS:
        anna.click("button", name)
    anna.sees("What the restore would do")
    anna.page.get_by_label("To restore this, type the name of the pipeline").fill("shop")
    anna.click("button", "Restore now")
    anna.sees_end()
    anna.sees("It was restored to")
    anna.click("link", "To the backup")
    anna.click("link", "Delete…")
    anna.page.get_by_label("Delete it all the same").check()
    anna.page.get_by_label("Type its id").fill(new.id)
    anna.click("button", "Delete it")
    anna.sees_end()
    assert site.shop.newest().time < new.time


def test_who_may_only_look_is_offered_nothing_else_and_refused_it(come: Come, site: Site) -> None:
    vera = come("vera")
    backup = f"/pipelines/shop/backups/{site.shop.newest().id}"
    for address in ("/", "/pipelines/shop", backup, f"{backup}/tree", "/operations"):
        vera.go(address)
        names = vera.content.get_by_role("button").all_inner_texts()
        assert [one for one in names if one != "Show"] == [], address
        offered = vera.page.get_by_role("link", name=re.compile("Restore…|Delete…|Download|Audit|sheet"))
        assert offered.count() == 0, address
    vera.refused = {403}
    for address in (
        *(f"{backup}/{what}" for what in ("archive", "file?path=stock.csv", "restore", "delete")),
        "/pipelines/shop/recovery-sheet",
        "/audit",
    ):
        vera.go(address)
        vera.sees("403")
    status = vera.page.evaluate(
        "async (to) => (await fetch(to, { method: 'POST', body: new URLSearchParams({ only: '' }) })).status",
        f"{AT}/pipelines/shop/run",
    )
    assert status == 403
