"""Operations: asked for, followed, cancelled, and what is shown of them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline
from backupkit.destinations.local import LocalDestination
from backupkit.errors import BackupKitError
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi.pages import following
from backupkit.integrations.asgi.queues.threads import ThreadQueue
from tests.integrations.asgi.gated import begun, gated, let_go, until
from tests.integrations.asgi.visitor import Browser, as_said


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Browser]:
    """A page of a pipeline whose runs end when they are told to."""
    manager = BackupManager(gated(tmp_path), authorize=as_said, secret="not to be guessed")
    yield Browser(manager)
    manager.close()


def asked(browser: Browser, address: str, **fields: Any) -> str:
    """The address of the operation that a button leads to."""
    answer = browser.post(address, **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


@pytest.mark.parametrize(
    ("address", "fields", "action"),
    [
        ("run", {"only": ""}, Action(verb="run")),
        ("run", {"only": "files"}, Action(verb="run", only="files")),
        ("run", {"only": "databases"}, Action(verb="run", only="databases")),
        ("verify", {}, Action(verb="verify")),
        ("drill", {}, Action(verb="drill")),
        ("monitor", {}, Action(verb="monitor")),
    ],
)
def test_each_button_of_a_pipeline_asks_for_what_it_says(
    shop: BackupPipeline, browser: Browser, address: str, fields: dict[str, str], action: Action
) -> None:
    if address != "run":
        shop.run()
    work = browser.done(browser.post(f"/pipelines/shop/{address}", **fields))
    assert work.action == action
    assert work.report is not None
    assert work.report.operation == address
    assert work.report.outcome != "failed", work.report.problems


@pytest.mark.parametrize("verb", ["verify", "drill"])
def test_one_backup_is_verified_and_drilled(shop: BackupPipeline, browser: Browser, verb: str) -> None:
    shop.run()
    (backup,) = shop.list().backups
    work = browser.done(browser.post(f"/pipelines/shop/backups/{backup.id}/{verb}", at=backup.location))
    assert work.action == Action(verb=verb, backup=backup.id, at=backup.location)  # type: ignore[arg-type]
    assert work.report is not None
    assert work.report.outcome == "succeeded"


def test_pinning_leads_back_to_the_backup_which_says_so_at_once(
    shop: BackupPipeline, browser: Browser
) -> None:
    shop.run()
    (backup,) = shop.list().backups
    page = f"/pipelines/shop/backups/{backup.id}"
    browser.get("/")  # which knows of the backup, and not of the pin
    assert asked(browser, f"{page}/pin", reason="the audit", until="2999-12-31") == page
    (look,) = browser.manager.page.looks.at("shop")
    assert look.overview is not None
    (pinned,) = look.overview.backups
    assert pinned.pin is not None
    assert pinned.pin.reason == "the audit"
    assert str(pinned.pin.until) == "3000-01-01 00:00:00+00:00", "to the end of that day"
    assert asked(browser, f"{page}/unpin") == page
    assert shop.list().backups[0].pin is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Say why"),
        ({"reason": "x", "until": "tomorrow"}, "is no date"),
        ({"reason": "x", "until": "9999-12-31"}, "is no date"),
    ],
)
def test_a_pin_that_is_not_possible_is_one_sentence(
    shop: BackupPipeline, browser: Browser, fields: dict[str, str], said: str
) -> None:
    shop.run()
    answer = browser.post(f"/pipelines/shop/backups/{shop.list().backups[0].id}/pin", **fields)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert browser.manager.page.queue.recent() == []


def test_what_is_under_way_already_is_shown_and_not_begun_twice(slow: Browser, tmp_path: Path) -> None:
    first = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    assert asked(slow, "/pipelines/gated/run") == first
    assert asked(slow, "/pipelines/gated/run", only="files") != first
    assert f'href="{first}"' in slow.get("/pipelines/gated").text


def test_what_is_under_way_shows_how_far_it_is_and_can_be_cancelled(slow: Browser, tmp_path: Path) -> None:
    address = asked(slow, "/pipelines/gated/run")
    work = until(lambda: (found := slow.manager.page.queue.recent()[0]).progress.read and found)
    page = slow.get(address).text
    assert "asked" in page.lower()
    assert "anna" in page
    assert "<progress" in page
    assert "1 entry" in page
    assert "A file was passed over." in page
    assert re.search(r'<noscript><meta http-equiv="refresh"', page)
    assert asked(slow, f"{address}/cancel") == address
    page = slow.get(address).text
    assert "The run of gated was cancelled, because anna asked for that on the management page." in page
    assert "<noscript>" not in page
    assert slow.manager.page.queue.get(work.id).is_over  # type: ignore[union-attr]


def test_whoever_may_only_look_has_no_buttons(slow: Browser, tmp_path: Path) -> None:
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    looking = Browser(slow.manager, ["view"])
    assert "<form" not in looking.get(address).text
    assert "<form" not in looking.get("/pipelines/gated").text
    assert "Backup of gated" in looking.get("/operations").text


def test_a_run_that_has_ended_shows_its_report_and_leads_to_the_new_backup(
    shop: BackupPipeline, browser: Browser
) -> None:
    address = asked(browser, "/pipelines/shop/run")
    browser.ended(address.rpartition("/")[2])
    page = browser.get(address).text
    (backup,) = shop.list().backups
    assert "It has succeeded" in page
    assert f"/pipelines/shop/backups/{backup.id}" in page
    assert backup.location in page
    assert "pipeline.run()" in page


def test_the_plan_of_a_dry_run_is_shown(shop: BackupPipeline, browser: Browser) -> None:
    shop.run()
    id = browser.manager.page.queue.submit("shop", Action(verb="clean", dry_run=True), "anna")
    browser.ended(id)
    assert "What cleaning would do" in browser.get(f"/operations/{id}").text


def test_all_operations_are_listed_the_newest_first_and_by_pipeline(browser: Browser) -> None:
    for _ in range(2):
        browser.done(browser.post("/pipelines/shop/monitor"))
    ids = [one.id for one in browser.manager.page.queue.recent()]
    page = browser.get("/operations").text
    assert re.findall(r'href="/operations/([\w-]+)"', page) == ids
    assert "every 2s" not in page, "nothing is under way that could change"
    assert ids[0] not in browser.get("/operations?pipeline=another").text


@pytest.mark.parametrize("id", ["nothing-of-that-name-here", "..%2F..%2Fpage", "%00" * 20])
@pytest.mark.parametrize("what", ["", "/events"])
def test_what_nobody_knows_is_not_found(browser: Browser, id: str, what: str) -> None:
    assert browser.get(f"/operations/{id}{what}").status_code == 404


def test_what_other_pages_have_asked_of_the_same_queue_is_not_shown(
    shop: BackupPipeline, tmp_path: Path
) -> None:
    slow = gated(tmp_path)
    queue = ThreadQueue({"shop": shop, "gated": slow}, folder=tmp_path / "operations")
    its, other = (
        Browser(BackupManager(one, authorize=as_said, queue=queue, secret="not to be guessed"))
        for one in (slow, shop)
    )
    address = asked(its, "/pipelines/gated/run")
    assert "gated" not in other.get("/operations").text
    assert other.get(address).status_code == 404
    assert other.get(f"{address}/events").status_code == 404
    assert other.post(f"{address}/cancel").status_code == 404
    assert its.get(address).status_code == 200
    queue.close()


def events_in(text: str) -> list[tuple[str, str]]:
    """Each event with its data, as a browser reads them."""
    found = []
    for block in text.split("\n\n"):
        fields = [line.partition(": ")[::2] for line in block.splitlines()]
        if names := [value for name, value in fields if name == "event"]:
            found.append((names[0], "\n".join(value for name, value in fields if name == "data")))
    return found


def test_the_stream_tells_of_progress_and_at_last_of_the_end_and_the_report(
    slow: Browser, tmp_path: Path
) -> None:
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    threading.Timer(1.2, let_go, [tmp_path]).start()
    answer = slow.get(f"{address}/events?stage=working")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told = events_in(answer.text)
    assert [name for name, _ in told][-2:] == ["state", "over"]
    assert {name for name, _ in told[:-2]} == {"progress"}
    assert "It has succeeded" in told[-2][1]
    read = [re.search(r"([\d.]+ \w?B) read", data) for _, data in told[:-2]]
    assert read[-1] is not None


def test_a_browser_that_comes_again_is_told_what_has_changed_meanwhile_only(
    slow: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LASTS", 0.0)
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    first = slow.get(f"{address}/events?stage=waiting").text
    assert [name for name, _ in events_in(first)] == ["state"]
    (last,) = re.findall(r"^id: (.*)$", first, re.MULTILINE)
    again = slow.get(f"{address}/events?stage=waiting", **{"Last-Event-ID": last}).text
    assert [name for name, _ in events_in(again)] == ["progress"], "or else the button would lose the focus"


def test_a_stream_says_that_the_queue_does_not_answer_and_the_browser_comes_again(
    slow: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    queue = slow.manager.page.queue
    answers = iter([queue.get, queue.get])

    def get(id: str) -> Any:
        if (answer := next(answers, None)) is None:
            raise BackupKitError("The queue of backups could not be asked.")
        return answer(id)

    monkeypatch.setattr(queue, "get", get)
    *_, (name, data) = events_in(slow.get(f"{address}/events?stage=working").text)
    assert name == "progress", "or else it would not come again"
    assert "asked again: The queue of backups could not be asked." in data


def test_a_stream_ends_when_its_time_is_over_and_when_the_browser_has_left(
    slow: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    monkeypatch.setattr(following, "_LASTS", 0.7)
    assert "event: over" not in slow.get(f"{address}/events").text
    monkeypatch.setattr(following, "_LASTS", 3600.0)
    asyncio.run(asyncio.wait_for(_left_soon(slow.manager, f"{address}/events"), 20))


async def _left_soon(manager: BackupManager, path: str) -> None:
    """Ask for this, and leave when the first of the answer has come."""
    came = asyncio.Event()

    async def receive() -> Any:
        if not asked_for:
            asked_for.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await came.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            came.set()

    asked_for: list[bool] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"page.test")],
        "server": ("page.test", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    await manager(scope, receive, send)


def test_where_a_stream_would_occupy_a_thread_it_is_asked_again_instead(
    slow: Browser, tmp_path: Path
) -> None:
    address = asked(slow, "/pipelines/gated/run")
    begun(tmp_path)
    work = slow.manager.page.queue.get(address.rpartition("/")[2])
    assert work is not None

    async def in_wsgi(scope: Any, receive: Any, send: Any) -> None:
        await slow.manager({**scope, "wsgi_environ": {}}, receive, send)

    browser = Browser(in_wsgi)  # type: ignore[arg-type]
    assert [name for name, _ in events_in(browser.get(f"{address}/events").text)] == ["state"]


def test_pages_after_a_run_list_each_destination_once(
    shop: BackupPipeline, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.done(browser.post("/pipelines/shop/run"))
    listed: list[object] = []
    real = LocalDestination.list

    def counted(self: LocalDestination, *arguments: Any, **more: Any) -> Any:
        listed.append(arguments)
        return real(self, *arguments, **more)

    monkeypatch.setattr(LocalDestination, "list", counted)
    for _ in range(3):
        assert browser.get("/").status_code == 200
        assert browser.get("/pipelines/shop").status_code == 200
    once = len(listed)
    browser.manager.page.looks.forget("shop")
    browser.get("/")
    assert len(listed) == 2 * once, listed
