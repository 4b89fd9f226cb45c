"""The page of one backup: all that is known of it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from backupkit import Backup, BackupPipeline, Entry, Passphrase, Problem, Zip
from backupkit.protocols import Format
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.stored import (
    NOW,
    PASSPHRASE,
    SNAPSHOTS,
    Counting,
    Given,
    folder,
    page_of,
    pipeline_of,
    put,
)
from tests.integrations.asgi.visitor import Browser


def address(backup: Backup, *parts: str) -> str:
    there = "/".join(("pipelines/shop/backups", backup.id, *parts))
    return f"/{there}?at={backup.location.replace(':', '%3A')}"


class Dump(Given):
    """A database of which the rows are counted as it is dumped."""

    def __init__(self) -> None:
        entry = Entry(path="db-dumps/shop.sql")
        super().__init__(
            "db",
            [Entry(path=entry.path, rows=entry.rows, chunks=partial(self._dump, entry.rows))],
            "databases",
        )

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        yield b"insert"
        rows |= {"customers": 3, "orders": 39}


@pytest.mark.parametrize("format_", [Zip(), SNAPSHOTS])
def test_a_backup_says_what_it_is_and_what_it_holds(tmp_path: Path, format_: Format) -> None:
    places = [MemoryDestination("first"), MemoryDestination("second")]
    files = folder(tmp_path, **{"a.txt": b"a" * 3000})
    pipeline = pipeline_of([files, Dump()], places, encryptor=PASSPHRASE, format=format_)
    pipeline.run(tags=["before the <move>"])
    backup = pipeline.get()
    pipeline.pin(backup, reason="for the audit")
    browser = page_of(pipeline, tmp_path)
    text = browser.get(address(backup)).text
    known = pipeline.details(backup)
    for shown in (
        backup.id,
        "files and databases",
        "before the &lt;move&gt;",
        str(known.host),
        f"<dd>{known.entries}</dd>",
        "memory:first (this one)",
        "memory:second</a>",
        "for the audit",
        "42 rows in 2 tables",
        "customers",
        "newest",
    ):
        assert shown in text, shown
    assert ("Download the archive" in text) == (not backup.shared)
    assert "style=" not in text


def test_what_was_read_of_an_archive_for_its_page_then_stands_in_the_table_without_being_asked_again(
    tmp_path: Path,
) -> None:
    destination = Counting()
    pipeline = pipeline_of(folder(tmp_path, a=b"a", b=b"b", c=b"c"), destination)
    pipeline.run(tags=["spring"])
    browser = page_of(pipeline, tmp_path)
    assert 'data-label="Entries" class="number">–</td>' in browser.get("/backups").text
    browser.get(address(pipeline.get()))
    destination.reads.clear()
    for _ in range(2):
        assert 'data-label="Entries" class="number">4</td>' in browser.get("/backups?q=spring").text
        browser.get(address(pipeline.get()))
    assert destination.reads == []


def test_what_was_lost_in_its_run_is_said(tmp_path: Path) -> None:
    lost = Problem(message="<b>.csv is locked", path="b.csv")
    pipeline = pipeline_of(
        Given("app", [Entry(path="a", chunks=lambda: iter([b"a"])), lost]), MemoryDestination()
    )
    pipeline.run()
    text = page_of(pipeline, tmp_path).get(address(pipeline.list().backups[0])).text
    assert "Its run lost something" in text
    assert "&lt;b&gt;.csv is locked" in text


def test_a_wrong_passphrase_is_said_and_the_rest_shown(tmp_path: Path) -> None:
    destination = MemoryDestination()
    source = folder(tmp_path, a=b"a")
    pipeline_of(source, destination, encryptor=PASSPHRASE).run()
    other = pipeline_of(source, destination, encryptor=Passphrase("quite another one, and wrong"))
    backup = other.get()
    text = page_of(other, tmp_path).get(address(backup)).text
    assert "passphrase" in text
    assert "It could not be read." in text
    assert f"<dd>{other.details(backup).entries}</dd>" in text
    tree = page_of(other, tmp_path).get(address(backup, "tree"))
    assert tree.status_code == 502
    assert "passphrase" in tree.text


def test_a_destination_that_hangs_keeps_no_page_waiting_and_is_said(tmp_path: Path) -> None:
    destination = Counting()
    pipeline = pipeline_of(folder(tmp_path, a=b"a"), destination)
    pipeline.run()
    backup = pipeline.get()
    browser = page_of(pipeline, tmp_path)
    browser.get("/backups")
    browser.manager.page.shelves.patience = 0.03
    destination.answering.clear()
    try:
        answer = browser.get(address(backup))
        assert answer.status_code == 200
        assert "memory:memory has not answered within 0.03 seconds" in answer.text
        tree = browser.get(address(backup, "tree"))
        assert (tree.status_code, tree.headers["refresh"]) == (503, "3")
        assert "has not answered" in tree.text
        for _ in range(10):
            assert browser.get(address(backup, "archive")).status_code == 502
    finally:
        destination.answering.set()
    browser.manager.page.shelves.patience = 60.0
    assert "has not answered" not in browser.get(address(backup)).text


@pytest.fixture
def browser_of_one(tmp_path: Path) -> tuple[BackupPipeline, Path]:
    pipeline = pipeline_of(folder(tmp_path, a=b"a"), MemoryDestination())
    pipeline.run()
    pipeline.pin(reason="why not")
    return pipeline, tmp_path


@pytest.mark.parametrize(
    ("ability", "shown"),
    [
        ("run", [">Verify<", ">Drill<", "Change the pin"]),
        ("restore", ["Restore…"]),
        ("download", ["Download the archive"]),
        ("delete", ["Delete…", ">Unpin<"]),
    ],
)
def test_a_button_is_shown_only_to_whom_may_press_it(
    browser_of_one: tuple[BackupPipeline, Path], ability: str, shown: list[str]
) -> None:
    pipeline, tmp_path = browser_of_one
    manager = page_of(pipeline, tmp_path).manager
    with_it = Browser(manager, ["view", ability]).get(address(pipeline.get())).text  # type: ignore[list-item]
    without = Browser(manager, ["view"]).get(address(pipeline.get())).text
    for one in shown:
        assert one in with_it
        assert one not in without


def test_what_is_not_there_is_said_as_a_sentence(tmp_path: Path) -> None:
    destination = MemoryDestination()
    id_ = put(destination, NOW)
    browser = page_of(pipeline_of(folder(tmp_path), destination), tmp_path)
    for path in ("shop/backups/2000-01-01", f"none/backups/{id_}", f"shop/backups/{id_}?at=memory:other"):
        answer = browser.get(f"/pipelines/{path}")
        assert answer.status_code == 404
        assert "There is no such" in answer.text


def test_nothing_is_said_to_be_deleted_by_a_destination_that_does_not_answer(tmp_path: Path) -> None:
    first, away = MemoryDestination("first"), tmp_path / "not-mounted"
    id_ = put(first, NOW)
    browser = page_of(pipeline_of(folder(tmp_path), [first, away]), tmp_path)
    assert browser.get(f"/pipelines/shop/backups/{id_}").status_code == 200
    for path in ("2000-01-01", f"{id_}?at=file://{away}"):
        answer = browser.get(f"/pipelines/shop/backups/{path}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        assert "Whether this backup is there is not known now" in answer.text
        assert "not-mounted" in answer.text
    assert browser.get("/pipelines/shop/backups/2000-01-01?at=memory:first").status_code == 404


def test_a_backup_that_is_damaged_says_so_first(tmp_path: Path) -> None:
    from backupkit.marks import write_mark

    destination = MemoryDestination()
    pipeline = pipeline_of(folder(tmp_path, a=b"a"), destination)
    pipeline.run()
    write_mark(destination, pipeline.get(), "damaged", NOW)
    write_mark(destination, pipeline.list().backups[0], "refuted", NOW)
    text = page_of(pipeline, tmp_path).get(address(pipeline.list().backups[0])).text
    assert text.index("bytes were found that are not what was written") < text.index("What is known of it")
    assert "newest drill found something wrong" in text


def test_of_one_that_is_damaged_the_page_leads_to_the_good_copy(tmp_path: Path) -> None:
    from backupkit.marks import write_mark

    places = [MemoryDestination("first"), MemoryDestination("second")]
    pipeline = pipeline_of(folder(tmp_path, a=b"a"), places)
    pipeline.run()
    here, there = sorted(pipeline.list().backups, key=lambda one: one.location)
    write_mark(places[0], here, "damaged", NOW)
    browser = page_of(pipeline, tmp_path)
    assert f'The copy at memory:second is good: <a href="{address(there)}"' in browser.get(address(here)).text
    assert "take that one" not in browser.get(address(there)).text


def test_a_pin_is_changed_by_the_form_that_shows_it(tmp_path: Path) -> None:
    destination = MemoryDestination()
    put(destination, NOW)
    pipeline = pipeline_of(folder(tmp_path), destination)
    browser = page_of(pipeline, tmp_path, time_zone="Europe/Berlin")
    backup = pipeline.get()
    said = {"at": backup.location, "reason": "the <audit>", "until": "2026-03-09"}
    browser.post(address(backup, "pin").partition("?")[0], **said)
    browser.ended(browser.manager.page.queue.recent()[0].id)
    text = browser.get(address(backup)).text
    assert 'value="the &lt;audit&gt;"' in text
    assert 'type="date" value="2026-03-09"' in text
    browser.post(address(backup, "unpin").partition("?")[0], at=backup.location)
    browser.ended(browser.manager.page.queue.recent()[0].id)
    assert "Pin it" in browser.get(address(backup)).text
