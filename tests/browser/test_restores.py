"""Restores by their steps, and downloads: what comes back is held against what was backed up."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import Visitor
from tests.browser.site import Site

pytestmark = pytest.mark.browser
CONFIRM = "To restore this, type the name of the pipeline"


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def look_into(who: Visitor, site: Site) -> None:
    who.go(f"/pipelines/shop/backups/{site.shop.newest().id}")
    who.click("link", "Look into it")


def open_folder(who: Visitor, name: str) -> None:
    who.page.wait_for_load_state()  # a folder that is opened before the scripts are there offers a link instead
    who.content.get_by_text(f"{name}/", exact=True).click()


def restored(site: Site) -> Path:
    """The newest of the folders that restores have made."""
    return max((site.shop.root / "restored").iterdir(), key=lambda one: one.stat().st_ctime_ns)


def test_an_archive_that_is_downloaded_is_the_one_at_the_destination(anna: Visitor, site: Site) -> None:
    backup = site.shop.newest()
    anna.go(f"/pipelines/shop/backups/{backup.id}")
    with anna.page.expect_download() as coming:
        anna.click("link", "Download the archive")
    stored = site.shop.disk / "shop" / f"{backup.id}.zip"
    assert coming.value.suggested_filename.endswith(".zip")
    assert coming.value.path().read_bytes() == stored.read_bytes()


def test_a_file_that_is_downloaded_is_the_one_that_was_backed_up(anna: Visitor, site: Site) -> None:
    look_into(anna, site)
    open_folder(anna, "uploads")
    open_folder(anna, "2026-03")
    with anna.page.expect_download() as coming:
        anna.click("link", "07.jpg")
    assert coming.value.suggested_filename == "07.jpg"
    assert coming.value.path().read_bytes() == (site.shop.uploads / "2026-03" / "07.jpg").read_bytes()


def test_a_restore_goes_by_steps_to_a_folder_that_has_what_was_backed_up(anna: Visitor, site: Site) -> None:
    folders = site.shop.root / "restored"
    before = {*folders.glob("*")}
    anna.go("/pipelines/shop")
    anna.click("link", "Restore…")
    anna.click("link", site.shop.newest().id, within=anna.page.get_by_role("row", name="file:///"))
    anna.page.get_by_label("Only the files").check()
    anna.click("button", "Go on: where to")
    anna.click("button", "Go on: preview")
    anna.click("button", "Preview")
    anna.sees(
        "The preview is ready",
        "Nothing was changed.",
        "What the restore would do",
        "Only its owner can enter it.",
    )
    anna.has_no_flaws()
    assert {*folders.glob("*")} == before
    anna.page.get_by_label(CONFIRM).fill("newsletter")
    anna.click("button", "Restore now")
    anna.sees("What was typed is not the name of the pipeline. Nothing was restored.")
    assert {*folders.glob("*")} == before
    anna.page.get_by_label(CONFIRM).fill("shop")
    anna.click("button", "Restore now")
    anna.sees_end()
    folder = restored(site)
    anna.sees(f"It was restored to {folder}")
    assert {one.name for one in folder.iterdir()} == {"uploads", "stock.csv"}
    assert files_in(folder / "uploads") == files_in(site.shop.uploads)


def test_what_is_ticked_in_the_folders_is_restored_alone(anna: Visitor, site: Site) -> None:
    look_into(anna, site)
    open_folder(anna, "uploads")
    anna.page.get_by_label("Restore 2026-02").check()
    open_folder(anna, "2026-03")
    anna.page.get_by_label("Restore 07.jpg").check()
    anna.click("button", "Restore what is ticked…")
    expect(anna.page.get_by_label("Only these paths")).to_be_checked()
    for button in ("Go on: where to", "Go on: preview", "Preview"):
        anna.click("button", button)
    anna.page.get_by_label(CONFIRM).fill("shop")
    anna.click("button", "Restore now")
    anna.sees_end()
    wanted = {
        f"uploads/{path}": content
        for path, content in files_in(site.shop.uploads).items()
        if path.startswith("2026-02/") or path == "2026-03/07.jpg"
    }
    assert len(wanted) > 2
    assert files_in(restored(site)) == wanted


def test_a_restore_to_a_place_replaces_what_is_in_the_way_only_if_that_is_asked(
    anna: Visitor, site: Site
) -> None:
    file = site.shop.other / "uploads" / "2026-03" / "07.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    other = file.with_name("mine.jpg")
    other.write_bytes(b"mine")
    anna.go(f"/pipelines/shop/backups/{site.shop.newest().id}/restore")
    anna.page.get_by_label("Only the files").check()
    anna.click("button", "Go on: where to")
    anna.page.get_by_label("the other machine").check()
    anna.click("button", "Go on: preview")
    anna.click("button", "Preview")
    anna.sees("What is in the way", "07.jpg")
    anna.has_no_flaws()
    expect(anna.page.get_by_role("button", name="Restore now")).to_have_count(0)
    anna.click("link", "Preview it with what is there replaced")
    expect(anna.page.get_by_label("Replace what is there.")).to_be_checked()
    anna.click("button", "Preview")
    anna.sees("What would be replaced: 1")
    assert file.read_bytes() == b"something else"
    anna.page.get_by_label(CONFIRM).fill("shop")
    anna.click("button", "Restore now")
    anna.sees_end()
    assert other.read_bytes() == b"mine"
    other.unlink()
    assert files_in(site.shop.other / "uploads") == files_in(site.shop.uploads)
