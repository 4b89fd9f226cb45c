"""The table of all backups: what is in it, what is found in it, and that it stays fast."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import pytest

from backupkit import BackupPipeline
from backupkit.marks import write_mark
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.stored import NOW, Counting, folder, page_of, pipeline_of, put
from tests.integrations.asgi.visitor import Browser

DAY = timedelta(days=1)


def ids(text: str) -> list[str]:
    """The backups of a table, from top to bottom."""
    return re.findall(r'<code class="soft small">(.*?)</code>', text)


def test_a_backup_is_listed_with_what_is_known_of_it(shop: BackupPipeline, browser: Browser) -> None:
    backup = shop.run().destinations[0].backup
    assert backup is not None
    shop.pin(backup, reason="before the <move>")
    text = browser.get("/backups").text
    for shown in (backup.id, "files and databases", backup.location, "before the &lt;move&gt;", "good"):
        assert shown in text
    assert f'href="/pipelines/shop/backups/{backup.id}?at=' in text
    assert "newest backup of files and databases" in text or "stays" in text


class Six:
    """A page of six backups, of which each is in another state."""

    def __init__(self, tmp_path: Path) -> None:
        self.destination = MemoryDestination("first")
        times = [NOW - DAY * number for number in range(6)]
        self.good = put(self.destination, times[0], size=50)
        self.pinned = put(self.destination, times[1], size=10)
        self.incomplete = put(self.destination, times[2], ending="incomplete", size=60)
        self.unconfirmed = put(self.destination, times[3], ending=None, size=20)
        self.damaged = put(self.destination, times[4], size=40)
        self.verified = put(self.destination, times[5], size=30)
        other = MemoryDestination("second")
        self.elsewhere = put(other, NOW - DAY * 7)
        pipeline = pipeline_of(folder(tmp_path), [self.destination, other])
        there = {one.id: one for one in pipeline.list().backups}
        pipeline.pin(there[self.pinned], reason="Audit of spring")
        write_mark(self.destination, there[self.damaged], "damaged", NOW)
        write_mark(self.destination, there[self.verified], "verified", NOW)
        self.browser = page_of(pipeline, tmp_path)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Six:
    return Six(tmp_path_factory.mktemp("six"))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["good", "pinned", "incomplete", "unconfirmed", "damaged", "verified", "elsewhere"]),
        ("sort=oldest", ["elsewhere", "verified", "damaged", "unconfirmed", "incomplete", "pinned", "good"]),
        (
            "at=memory:first&sort=largest",
            ["incomplete", "good", "damaged", "verified", "unconfirmed", "pinned"],
        ),
        ("at=memory:second", ["elsewhere"]),
        ("at=memory:third", []),
        ("state=good", ["good", "pinned", "verified", "elsewhere"]),
        ("state=incomplete", ["incomplete"]),
        ("state=unconfirmed", ["unconfirmed"]),
        ("state=damaged", ["damaged"]),
        ("state=pinned", ["pinned"]),
        ("state=not+verified&at=memory:first", ["good", "pinned", "incomplete", "unconfirmed", "damaged"]),
        ("contents=files&state=damaged", ["damaged"]),
        ("pipeline=shop&q=SECOND", ["elsewhere"]),
        ("q=spring+audit", ["pinned"]),
        ("q=nothing+of+it", []),
        ("q=2026-02-26", ["unconfirmed"]),
        ("page=-1&sort=x&state=y&contents=z&at=memory:second", ["elsewhere"]),
    ],
)
def test_backups_are_found_by_what_they_are(six: Six, asked: str, found: list[str]) -> None:
    assert ids(six.browser.get(f"/backups?{asked}").text) == [getattr(six, name) for name in found]


def test_what_is_known_of_a_state_stands_in_one_cell_and_what_is_not_shown_is_said_aloud(six: Six) -> None:
    def state(id_: str) -> str:
        [cell] = re.findall(
            r'data-label="State">(.*?)</td>', six.browser.get(f"/backups?q={id_}").text, re.DOTALL
        )
        return " ".join(re.sub("<.*?>", "", cell).split())

    assert state(six.good) == "good not verified yet not proven yet"
    assert state(six.pinned) == "good not verified yet not proven yet pinned"
    assert state(six.damaged) == "damaged not proven yet"
    assert state(six.verified) == "good verified today 12:00 not proven yet"


def test_of_one_pipeline_the_table_does_not_name_it_in_each_row(tmp_path: Path) -> None:
    pipelines = {name: pipeline_of(folder(tmp_path), MemoryDestination(name)) for name in ("shop", "blog")}
    put(pipelines["shop"].destinations[0], NOW)  # type: ignore[arg-type]
    browser = page_of(pipelines, tmp_path)
    assert 'data-label="Pipeline">shop<' in browser.get("/backups").text
    assert 'data-label="Pipeline"' not in browser.get("/backups?pipeline=shop").text


def test_what_goes_with_the_next_clean_is_found_and_says_why(six: Six) -> None:
    plan = six.browser.manager.page.looks.at("shop")[0].overview.plan  # type: ignore[union-attr]
    assert plan.remove
    text = six.browser.get("/backups?at=memory:first&state=goes+with+the+next+clean").text
    assert {*ids(text)} == {one.backup.id for one in plan.remove}
    assert plan.remove[0].reason in text


def test_while_somebody_types_only_the_table_is_sent_again(six: Six) -> None:
    part = six.browser.get("/backups?q=spring", **{"hx-request": "true"}).text
    assert ids(part) == [six.pinned]
    assert "<html" not in part
    whole = {"hx-request": "true", "hx-history-restore-request": "true"}
    assert "<html" in six.browser.get("/backups?q=spring", **whole).text


def test_the_form_and_the_links_keep_what_was_asked(six: Six) -> None:
    text = six.browser.get("/backups?at=memory:first&state=good&q=memory&sort=largest").text
    assert "<option selected>memory:first</option>" in text
    assert "<option selected>good</option>" in text
    assert 'value="a&#34;b"' in six.browser.get("/backups?q=a%22b").text
    assert 'value="memory"' in text
    assert '<option value="largest" selected>largest first</option>' in text
    assert 'href="/backups?at=memory%3Afirst&amp;state=good&amp;q=memory&amp;sort=smallest"' in text


def test_where_every_destination_answers_what_is_not_found_is_not_there(six: Six) -> None:
    assert "There is no such backup." in six.browser.get("/backups?q=nothing").text


def test_there_is_no_table_of_an_unknown_pipeline(six: Six) -> None:
    answer = six.browser.get("/backups?pipeline=none")
    assert answer.status_code == 404
    assert "There is no such pipeline." in answer.text


def test_a_destination_that_does_not_answer_is_named_beside_the_backups_of_the_others(tmp_path: Path) -> None:
    first = MemoryDestination("first")
    id_ = put(first, NOW)
    pipeline = pipeline_of(folder(tmp_path), [first, tmp_path / "not-mounted"])
    text = page_of(pipeline, tmp_path).get("/backups").text
    assert ids(text) == [id_]
    assert "not-mounted are missing here" in text
    assert "No such backup is known." in page_of(pipeline, tmp_path).get("/backups?q=nothing").text


def test_what_a_destination_told_before_it_went_away_is_said_to_be_old(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    pipeline = pipeline_of(folder(tmp_path, a=b"a"), disk)
    pipeline.run()
    browser = page_of(pipeline, tmp_path, period=timedelta(0))
    assert "told before" not in browser.get("/backups").text
    disk.rename(tmp_path / "away")
    looks = browser.manager.page.looks
    while looks.at("shop")[0].error is None:
        time.sleep(0.01)
    text = browser.get("/backups").text
    assert len(ids(text)) == 1
    assert "disk cannot be looked at now: what is shown here is what it told before" in text
    assert browser.get(f"/pipelines/shop/backups/{ids(text)[0]}").status_code == 200
    assert browser.get("/pipelines/shop/backups/2000-01-01").status_code == 503


def many(destination: MemoryDestination, count: int) -> None:
    for number in range(count):
        put(destination, datetime.fromtimestamp(NOW.timestamp() - 3600 * number, NOW.tzinfo))


def seconds(browsers: Sequence[Browser], address: str) -> list[float]:
    """What a page takes each of them here, as a rule; they take turns, as the machine has others to serve too."""
    taken: list[list[float]] = [[] for _ in browsers]
    for _ in range(5):
        for browser, those in zip(browsers, taken, strict=True):
            began = time.perf_counter()
            assert browser.get(address).status_code == 200
            those.append(time.perf_counter() - began)
    return [median(those) for those in taken]


def test_ten_thousand_backups_are_listed_once_and_cost_a_page_little_more_than_none(tmp_path: Path) -> None:
    full, empty = Counting("full"), Counting("empty")
    many(full, 10_000)
    source = folder(tmp_path)
    of_full = page_of(pipeline_of(source, full), tmp_path)
    of_empty = page_of(pipeline_of(source, empty), tmp_path)
    assert len(ids(of_full.get("/backups").text)) == 50
    assert full.listed == 1
    for query in ("", "?page=200", "?sort=largest", "?state=not+verified", "?at=memory:full"):
        of_many, of_none = seconds([of_full, of_empty], f"/backups{query}")
        assert of_many < 20 * of_none, query
    for address in ("/", "/pipelines/shop", "/pipelines/shop/restore", "/metrics", "/api/pipelines"):
        of_many, of_none = seconds([of_full, of_empty], address)
        assert of_many < 20 * of_none, address
    last = of_full.get("/backups?page=200").text
    assert len(ids(last)) == 50
    assert ids(last)[-1] < ids(last)[0] < ids(of_full.get("/backups?page=199").text)[-1]
    assert "9951 to 10000 of 10000 backups" in last
    assert ids(of_full.get("/backups?page=999999").text) == ids(last)
    assert full.listed == 1
