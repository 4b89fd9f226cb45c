"""Deleting one backup by the page: what it says before, and what it refuses."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline
from backupkit.formats.backup_ids import backup_id
from backupkit.integrations.asgi.access.guard import FIELD
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.stored import NOW, folder, page_of, pipeline_of, put
from tests.integrations.asgi.visitor import Browser

OLD, NEW = NOW - timedelta(days=2), NOW - timedelta(days=1)


class Two:
    """A shop with two backups at one destination, and the older one of them at a second."""

    def __init__(self, tmp_path: Path) -> None:
        self.first, self.second = MemoryDestination("first"), MemoryDestination("second")
        self.old, self.new = put(self.first, OLD), put(self.first, NEW)
        put(self.second, OLD)
        self.pipeline: BackupPipeline = pipeline_of(folder(tmp_path), [self.first, self.second])
        self.browser: Browser = page_of(self.pipeline, tmp_path)

    def address(self, id_: str, at: str = "") -> str:
        return f"/pipelines/shop/backups/{id_}/delete" + (f"?at={at}" if at else "")

    def post(self, **fields: Any) -> Any:
        """Send the form of the older one."""
        page = self.browser.get(f"/pipelines/shop/backups/{self.new}").text
        token = re.search(rf'name="{FIELD}" value="([0-9a-f]+)"', page)
        assert token is not None
        return self.browser.client.post(self.address(self.old), data={FIELD: token[1], **fields})

    def there(self) -> list[tuple[str, str]]:
        return sorted((one.location, one.id) for one in self.pipeline.list().backups)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_the_page_says_what_remains_and_where_it_is_the_last_one(two: Two) -> None:
    text = two.browser.get(two.address(two.old)).text
    assert "without it, 1 good one of the same contents remains, the newest of yesterday" in text
    assert (
        "it is the newest good backup of files and databases there. Without it, there is none at all" in text
    )
    assert "Delete it all the same" in text
    assert "at all 2 destinations that have it" in text
    assert "at all 2 destinations that have it" not in two.browser.get(two.address(two.new)).text


def test_what_was_typed_and_may_go_is_deleted_where_it_was_said(two: Two) -> None:
    work = two.browser.done(two.post(at="memory:first", typed=f" {two.old} "))
    assert work.report is not None
    assert work.report.outcome == "succeeded"
    assert two.there() == [("memory:first", two.new), ("memory:second", two.old)]


@pytest.mark.parametrize("typed", ["", "delete", "2026-02", "wrong"])
def test_nothing_is_deleted_before_its_whole_id_was_typed(two: Two, typed: str) -> None:
    answer = two.post(at="memory:first", typed=typed, force="yes")
    assert answer.status_code == 400
    assert "not the id of this backup" in answer.text
    assert len(two.there()) == 3


def test_the_last_good_one_goes_only_if_the_box_is_ticked(two: Two) -> None:
    answer = two.post(at="", typed=two.old)
    assert answer.status_code == 400
    assert "tick the box" in answer.text
    assert len(two.there()) == 3
    two.browser.done(two.post(at="", typed=two.old, force="yes"))
    assert two.there() == [("memory:first", two.new)]


def test_a_pinned_one_is_never_deleted(two: Two) -> None:
    two.pipeline.pin(two.old, reason="the <audit>")
    two.browser.manager.page.looks.forget("shop")
    text = two.browser.get(two.address(two.old)).text
    assert "it is pinned there (the &lt;audit&gt;), so it cannot be deleted" in text
    assert 'name="typed"' not in text
    answer = two.post(at="", typed=two.old, force="yes")
    assert answer.status_code == 400
    assert "unpin it first" in answer.text
    assert len(two.there()) == 3


def test_what_was_pinned_meanwhile_is_refused_by_the_pipeline_itself(two: Two) -> None:
    two.browser.get("/backups")
    two.pipeline.pin(two.old, reason="meanwhile")
    work = two.browser.done(two.post(at="memory:first", typed=two.old))
    assert work.error is not None
    assert "is pinned" in work.error
    assert len(two.there()) == 3


def test_it_is_not_forced_where_nothing_speaks_against_it(two: Two) -> None:
    work = two.browser.done(two.post(at="memory:first", typed=two.old, force="yes"))
    assert work.action.force is False


def test_only_good_ones_of_the_same_contents_remain(tmp_path: Path) -> None:
    first = MemoryDestination("first")
    old = put(first, OLD)
    put(first, NEW)
    put(first, NOW, ending="incomplete")
    first.objects[f"shop/{backup_id(NOW, frozenset({'databases'}))}.zip"] = b"x"
    first.objects[f"shop/{backup_id(NOW, frozenset({'databases'}))}.complete.json"] = b"{}"
    text = (
        page_of(pipeline_of(folder(tmp_path), first), tmp_path)
        .get(f"/pipelines/shop/backups/{old}/delete")
        .text
    )
    assert "without it, 1 good one of the same contents remains, the newest of yesterday" in text


def test_a_destination_that_does_not_answer_is_named(tmp_path: Path) -> None:
    first = MemoryDestination("first")
    old = put(first, OLD)
    browser = page_of(pipeline_of(folder(tmp_path), [first, tmp_path / "away"]), tmp_path)
    assert "away has not answered" in browser.get(f"/pipelines/shop/backups/{old}/delete").text


def test_of_a_form_with_something_else_in_it_nothing_comes(two: Two) -> None:
    for fields in (
        {"typed": [two.old, two.old]},
        {"typed": two.old, "at": ["memory:first", "memory:second"]},
    ):
        assert two.post(**fields).status_code in (400, 404)
    assert len(two.there()) == 3
