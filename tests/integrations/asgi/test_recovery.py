"""The recovery sheet by the page: whole, without secrets, and noted who has taken it."""

from __future__ import annotations

import html
import re
from pathlib import Path

from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.stored import PASSPHRASE, PASSWORD, SNAPSHOTS, folder, page_of, pipeline_of
from tests.integrations.asgi.visitor import Browser

ADDRESS = "/pipelines/shop/recovery-sheet"


def test_the_sheet_is_a_page_to_print_and_a_file_and_both_say_the_same(tmp_path: Path) -> None:
    pipeline = pipeline_of(
        folder(tmp_path, a=b"a"), MemoryDestination(), encryptor=PASSPHRASE, format=SNAPSHOTS
    )
    pipeline.run()
    browser = page_of(pipeline, tmp_path)
    text = browser.get(ADDRESS).text
    sheet = re.search(r'<pre class="sheet">(.*?)</pre>', text, re.DOTALL)
    assert sheet is not None
    as_file = browser.get(f"{ADDRESS}?as=text")
    assert as_file.headers["content-type"] == "text/plain; charset=utf-8"
    assert as_file.headers["content-disposition"].startswith('attachment; filename="recovery-sheet-shop.md"')
    assert html.unescape(sheet[1]) == as_file.text == pipeline.recovery_sheet()
    assert "base64 -d" in as_file.text
    assert PASSWORD not in text


def test_only_an_administrator_gets_it_and_who_did_is_noted(tmp_path: Path) -> None:
    browser = page_of(pipeline_of(folder(tmp_path), MemoryDestination()), tmp_path)
    others = Browser(browser.manager, ["view", "run", "download", "restore", "delete"])
    assert others.get(ADDRESS).status_code == 403
    assert browser.get(ADDRESS).status_code == 200
    lines = browser.manager.page.audit.noted(None, None, limit=10, skip=0)
    assert [dict(one.what) for one in lines if one.outcome == "asked"] == [{"verb": "recovery sheet"}]


def test_what_keeps_it_from_being_made_is_a_sentence(tmp_path: Path) -> None:
    pipeline = pipeline_of(
        folder(tmp_path),
        [MemoryDestination("first"), MemoryDestination("second")],
        encryptor=PASSPHRASE,
        format=SNAPSHOTS,
    )
    answer = page_of(pipeline, tmp_path).get(ADDRESS)
    assert answer.status_code == 502
    assert "memory:first" in answer.text
    assert "memory:second" in answer.text
