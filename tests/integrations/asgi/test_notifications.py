"""The inbox of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit import BackupPipeline, DatabaseNotifier, Directory
from backupkit.integrations.asgi import BackupManager
from backupkit.model import Notice
from backupkit.testing.notices import notice
from tests.integrations.asgi.visitor import Browser, as_said

BEGAN = notice().time


def pipeline(name: str, folder: Path, *notifiers: DatabaseNotifier) -> BackupPipeline:
    return BackupPipeline(name, Directory(folder), folder / name, encryptor=None, notifiers=notifiers)


def later(hours: int, name: str = "shop") -> Notice:
    return replace(notice("run failed"), name=name, time=BEGAN + timedelta(hours=hours))


@pytest.fixture
def shared(tmp_path: Path) -> DatabaseNotifier:
    return DatabaseNotifier(f"sqlite:///{tmp_path}/shared.sqlite3")


@pytest.fixture
def own(tmp_path: Path) -> DatabaseNotifier:
    return DatabaseNotifier(f"sqlite:///{tmp_path}/wiki.sqlite3")


@pytest.fixture
def browser(tmp_path: Path, shared: DatabaseNotifier, own: DatabaseNotifier) -> Iterator[Browser]:
    made = BackupManager(
        {
            "shop": pipeline("shop", tmp_path, shared),
            "board": pipeline("forum", tmp_path, shared),
            "wiki": pipeline("wiki", tmp_path, own),
            "blog": pipeline("blog", tmp_path),
        },
        authorize=as_said,
        secret="not to be guessed",
    )
    yield Browser(made)
    made.close()


def ids(text: str) -> list[str]:
    return [part.partition('"')[0] for part in text.split('<h2 id="n')[1:]]


def post(browser: Browser, **fields: object) -> int:
    browser.get("/notifications")
    token = browser.get("/notifications").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    return int(browser.client.post("/notifications/read", data={"csrf_token": token, **fields}).status_code)


def test_what_nobody_has_read_comes_first_and_is_marked(
    browser: Browser, shared: DatabaseNotifier, own: DatabaseNotifier
) -> None:
    for hours, (notifier, name) in enumerate(
        [(shared, "shop"), (own, "wiki"), (shared, "forum"), (own, "wiki")]
    ):
        notifier.notify(later(hours, name))
    shared.mark_read([one.id for one in shared.list(name="forum")])
    text = browser.get("/notifications").text
    assert ids(text) == ["1-2", "1-1", "0-1", "0-2"]
    assert text.count('<span class="badge">unread</span>') == 3
    own.mark_read([2])
    assert ids(browser.get("/notifications").text) == ["1-1", "0-1", "1-2", "0-2"]
    assert "board: run failed" in text
    assert "The file &#39;orders.csv&#39; could not be read." in text
    assert "One inbox for everybody" in text


def test_one_is_marked_as_read_and_the_filters_stay(browser: Browser, shared: DatabaseNotifier) -> None:
    for hours in range(2):
        shared.notify(later(hours))
    answer = browser.get("/notifications?pipeline=shop&unread=yes")
    assert ids(answer.text) == ["0-2", "0-1"]
    token = answer.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    fields = {"csrf_token": token, "id": "0-2", "pipeline": "shop", "unread": "yes"}
    gone = browser.client.post("/notifications/read", data=fields)
    assert (gone.status_code, gone.headers["location"]) == (303, "/notifications?pipeline=shop&unread=yes")
    assert ids(browser.get(gone.headers["location"]).text) == ["0-1"]


def test_all_are_marked_as_read_but_those_that_came_since_the_page_was_shown(
    browser: Browser, shared: DatabaseNotifier, own: DatabaseNotifier
) -> None:
    shared.notify(later(0))
    own.notify(later(1, "wiki"))
    text = browser.get("/notifications").text
    until = text.partition('name="until" value="')[2].partition('"')[0]
    shared.notify(later(2))
    assert post(browser, all="yes", until=until) == 303
    assert [one.time for one in (*shared.unread(), *own.unread())] == [later(2).time]


def test_all_of_one_pipeline_are_all_that_are_marked_when_only_they_are_shown(
    browser: Browser, shared: DatabaseNotifier
) -> None:
    shared.notify(later(0))
    shared.notify(later(0, "forum"))
    post(browser, all="yes", until=later(1).time.isoformat(), pipeline="board")
    assert [one.name for one in shared.unread()] == ["shop"]


def test_those_of_another_application_in_the_same_database_are_neither_shown_nor_marked(
    browser: Browser, shared: DatabaseNotifier
) -> None:
    shared.notify(later(0, "theirs"))
    shared.notify(later(1))
    text = browser.get("/notifications").text
    assert "theirs" not in text
    (theirs,) = shared.list(name="theirs")
    assert post(browser, id=f"0-{theirs.id}") == 303
    assert post(browser, all="yes", until=later(2).time.isoformat()) == 303
    assert [one.name for one in shared.unread()] == ["theirs"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": ""},
        {"id": "1"},
        {"id": "0-x"},
        {"id": "0-" + "9" * 30},
        {"id": ["0-1", "١-١"]},
        {"all": "yes"},
        {"all": "yes", "until": "never"},
        {"all": "yes", "until": "2026-11-23T03:00:00"},
        {"all": "yes", "until": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_what_names_no_notifications_is_refused(
    browser: Browser, shared: DatabaseNotifier, fields: dict[str, object]
) -> None:
    shared.notify(later(0))
    assert post(browser, **fields) == 400
    assert shared.count(unread=True) == 1


def test_those_of_no_database_are_passed_over(browser: Browser, shared: DatabaseNotifier) -> None:
    shared.notify(later(0))
    assert post(browser, id=["7-1", "0-99"]) == 303
    assert shared.count(unread=True) == 1


def test_pages_have_fifty(browser: Browser, shared: DatabaseNotifier, own: DatabaseNotifier) -> None:
    for hours in range(45):
        shared.notify(later(hours))
        if hours < 15:
            own.notify(later(hours, "wiki"))
    first, second = browser.get("/notifications").text, browser.get("/notifications?page=2").text
    assert (len(ids(first)), len(ids(second))) == (50, 10)
    assert "51 to 60 of 60" in second
    assert not {*ids(first)} & {*ids(second)}


def test_a_pipeline_that_keeps_none_is_named_with_how_to_get_them(browser: Browser, tmp_path: Path) -> None:
    text = browser.get("/notifications").text
    assert "Of blog, none are kept." in text
    assert "notifiers=[DatabaseNotifier(url)]" in text
    assert "Nothing has been told yet." in text
    alone = BackupManager(pipeline("blog", tmp_path), authorize=as_said, secret="not to be guessed")
    assert "No notifications are kept." in Browser(alone).get("/notifications").text


def test_a_database_that_fails_is_told_beside_what_the_others_have(
    browser: Browser, own: DatabaseNotifier, tmp_path: Path
) -> None:
    own.notify(later(0, "wiki"))
    (tmp_path / "shared.sqlite3").write_bytes(b"no database" * 100)
    answer = browser.get("/notifications")
    assert answer.status_code == 200
    assert "shared.sqlite3 could not be used" in answer.text
    assert ids(answer.text) == ["1-1"]


@pytest.mark.parametrize(
    "occasion", ["run incomplete", "clean succeeded", "drill passed", "healthy", "unhealthy", "summary"]
)
def test_every_occasion_is_shown(browser: Browser, shared: DatabaseNotifier, occasion: str) -> None:
    shared.notify(notice(occasion))  # type: ignore[arg-type]
    answer = browser.get("/notifications")
    assert answer.status_code == 200
    assert f"shop: {occasion}" in answer.text
