"""The first page and the page of a pipeline."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import BackupPipeline, DatabaseHistory, DatabaseNotifier, MachineLock, StoredObject
from backupkit.integrations.asgi import BackupManager
from backupkit.scheduling import Schedule, Scheduled
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.visitor import Browser, as_said
from tests.pipeline.shop import Clock, Scripted


class Place(MemoryDestination):
    """Counts how often each prefix is listed; answers only while its gate is open."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lists: Counter[str] = Counter()
        self.gate = threading.Event()
        self.gate.set()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self.lists[prefix] += 1
        assert self.gate.wait(60)
        yield from super().list(prefix)


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., BackupPipeline]:
    def made(name: str, **options: Any) -> BackupPipeline:
        usual: dict[str, Any] = {"encryptor": None, "lock": MachineLock(tmp_path / "locks")}
        sources = [
            Scripted("app", {"app/a": b"a" * 1000}),
            Scripted("dumps", {"db-dumps/shop.sql": b"dump"}, "databases"),
        ]
        return BackupPipeline(name, sources, Place(f"{name}-{tmp_path.name}"), **(usual | options))

    return made


@pytest.fixture
def page() -> Iterator[Callable[..., Browser]]:
    with ExitStack() as stack:

        def made(pipelines: Any, *, base: str = "", **options: Any) -> Browser:
            usual: dict[str, Any] = {"authorize": as_said, "secret": "not to be guessed"}
            manager = BackupManager(pipelines, **(usual | options))
            stack.callback(manager.close)
            return Browser(manager, base=base)

        yield made


def lead(text: str) -> list[str]:
    return re.findall(r'<p class="lead">(.*?)</p>', text)


def test_the_first_page_says_first_how_the_backups_stand(browser: Browser, shop: BackupPipeline) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert lead(answer.text) == ["Nothing can be restored: there is no good backup."]
    shop.run()
    shop.drill()
    browser.manager.page.looks.forget("shop")
    (first,) = lead(browser.get("/").text)
    assert re.fullmatch(
        r"Recoverable to \w+ \d\d:\d\d\. Last proven by a drill \w+\. A restore takes [\w ]+ seconds?\.",
        first,
    )


def test_a_card_has_the_numbers_of_a_destination_and_leads_to_its_backups(
    browser: Browser, shop: BackupPipeline
) -> None:
    shop.run()
    (backup,) = shop.run(only="databases").destinations
    assert backup.backup is not None
    text = browser.get("/pipelines/shop").text
    where = "at=" + re.escape(shop.destinations[0].location.replace(":", "%3A").replace("/", "%2F"))
    assert re.search(rf'href="/backups\?pipeline=shop&amp;{where}">2 backups</a>', text)
    assert re.search(rf'href="/pipelines/shop/backups/{re.escape(backup.backup.id)}\?{where}"', text)
    assert "Newest of files and databases" in text
    assert "Newest of databases" in text
    assert ">healthy<" in text


def test_each_check_that_fails_is_told_on_the_card(browser: Browser) -> None:
    text = browser.get("/").text
    assert ">unhealthy<" in text
    assert "There is no good backup of files and databases. Check that runs are started and succeed." in text


def test_without_checks_nothing_is_called_healthy(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser]
) -> None:
    text = page(pipeline("shop", checks=())).get("/").text
    assert ">healthy<" not in text
    assert 'class="card good"' not in text
    assert "no check of its health was given" in text


def test_a_destination_that_fails_is_told_and_what_was_known_of_it_stays(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = pipeline("shop")
    shop.run()
    browser = page(shop)
    assert ">1 backup</a>" in browser.get("/").text

    def cut(self: Place, prefix: str = "") -> Iterator[StoredObject]:
        raise OSError("The cable was cut.")

    monkeypatch.setattr(Place, "list", cut)
    browser.manager.page.looks.forget("shop")
    text = browser.get("/").text
    assert "cannot be looked at" in lead(text)[0]
    assert "The cable was cut." in lead(text)[0]
    assert ">1 backup</a>" in text
    assert not any("Recoverable" in one for one in lead(text))


def test_a_destination_that_hangs_holds_no_page_up_for_long(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backupkit.integrations.asgi.manager._PATIENCE", timedelta(seconds=0.3))
    shops = [pipeline(f"shop{number}") for number in range(6)]
    for shop in shops:
        shop.destinations[0].gate.clear()  # type: ignore[attr-defined]
    browser = page(shops)
    began = time.monotonic()
    for address in ("/", "/", "/pipelines/shop0", "/pipelines/shop1", "/metrics"):
        assert browser.get(address).status_code == 200
    assert time.monotonic() - began < 5
    assert "has not answered" in browser.get("/pipelines/shop0").text
    for shop in shops:
        shop.destinations[0].gate.set()  # type: ignore[attr-defined]


def test_nothing_is_listed_twice_however_many_pages_are_looked_at(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser], tmp_path: Path
) -> None:
    shop = pipeline("shop", history=DatabaseHistory(f"sqlite:///{tmp_path / 'records.sqlite3'}"))
    shop.run()
    (place,) = shop.destinations
    assert isinstance(place, Place)
    place.lists.clear()
    browser = page(shop)
    for address in ("/", "/pipelines/shop", "/backups", "/metrics", "/", "/metrics"):
        browser.get(address)
    assert place.lists
    assert {*place.lists.values()} == {1}


def test_jobs_are_shown_with_when_they_are_due_and_what_is_overdue(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser]
) -> None:
    clock = Clock(datetime(2026, 11, 23, 3, tzinfo=UTC))
    shop = pipeline("shop", clock=clock)
    shop.run()
    clock.forward(days=2, hours=9)
    schedule = Schedule([Scheduled("0 3 * * *", "run"), Scheduled("0 18 * * SUN", "drill")])
    text = page(shop, schedule=schedule, clock=clock).get("/").text
    assert lead(text)[0] == "The newest good backup is 2 days old; one was due today 03:00."
    assert re.search(
        r"<td>Run</td><td>At 03:00 every day <code>0 3 \* \* \*</code></td><td>.*tomorrow 03:00", text
    )
    assert "overdue since today 03:00" in text
    assert "29 Nov 18:00" in text


def test_a_backup_of_a_wrong_clock_does_not_hide_that_a_run_is_overdue(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser]
) -> None:
    clock = Clock(datetime(2026, 11, 23, 3, tzinfo=UTC))
    shop = pipeline("shop", clock=clock, checks=())
    shop.run()
    clock.forward(days=30)
    shop.run()
    clock.forward(days=-28)
    text = page(shop, schedule=Schedule([Scheduled("0 0 * * *", "run")]), clock=clock).get("/").text
    assert lead(text)[0] == "The newest good backup is 2 days old; one was due today 00:00."


def test_a_page_without_a_schedule_says_so(browser: Browser) -> None:
    assert "This page was not told when this pipeline runs." in browser.get("/pipelines/shop").text


def test_the_page_of_a_pipeline_says_what_it_is_made_of_and_what_was_done(
    browser: Browser, shop: BackupPipeline
) -> None:
    shop.run()
    text = browser.get("/pipelines/shop").text
    assert "sqlite-shop.sqlite3" in text
    assert "TieredRetention(keep_all_days=7" in text
    assert "all for 7 days, then one a day for 16 days, then one a week for 8 weeks," in text
    assert "no: whoever reads a destination can read the backups" in text
    assert re.search(r'<a href="/history/\w+">run</a>', text)


def test_a_history_that_cannot_be_read_is_told_and_the_rest_is_there(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser], tmp_path: Path
) -> None:
    shop = pipeline("shop", history=DatabaseHistory(f"sqlite:///{tmp_path / 'gone' / 'records.sqlite3'}"))
    shop.run()
    browser = page(shop)
    text = browser.get("/pipelines/shop").text
    assert "The history does not answer:" in text
    assert "Recoverable to " in text
    assert browser.get("/metrics").status_code == 200


def test_an_unknown_pipeline_is_not_found(browser: Browser) -> None:
    answer = browser.get("/pipelines/no%2Fsuch")
    assert answer.status_code == 404
    assert browser.get("/pipelines/nobody").status_code == 404


def test_who_may_only_see_sees_no_buttons_and_no_way_to_the_audit(manager: BackupManager) -> None:
    seeing, all_ = Browser(manager, {"view"}), Browser(manager)
    assert "<button" not in seeing.get("/pipelines/shop").text
    assert ">Audit<" not in seeing.get("/").text
    assert "Run now" in all_.get("/").text
    assert ">Audit<" in all_.get("/").text


def test_of_several_pipelines_those_come_first_with_which_something_is_wrong(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser]
) -> None:
    well, wrong = pipeline("well"), pipeline("wrong")
    well.run()
    text = page([well, wrong], base="/admin/backups").get("/").text
    assert lead(text) == ["Something is wrong with 1 of 2 pipelines: wrong."]
    rows = re.findall(r'<th scope="row"><a href="(.*?)">(.*?)</a></th>', text)
    assert rows == [
        ("/admin/backups/pipelines/wrong", "wrong"),
        ("/admin/backups/pipelines/well", "well"),
    ]
    assert text.count("<h3>memory:") == 2


def test_two_hundred_pipelines_are_a_list_and_quick(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser]
) -> None:
    browser = page([pipeline(f"p{number:03}") for number in range(200)], schedule=Schedule())
    browser.get("/")
    began = time.process_time()
    text = browser.get("/").text
    assert time.process_time() - began < 2
    assert text.count('<th scope="row">') == 200
    assert "<h3>" not in text


def test_every_page_says_how_many_notifications_nobody_has_read(
    pipeline: Callable[..., BackupPipeline], page: Callable[..., Browser], tmp_path: Path
) -> None:
    records = f"sqlite:///{tmp_path / 'records.sqlite3'}"
    shop, other = (pipeline(name, notifiers=[DatabaseNotifier(records)]) for name in ("shop", "other"))
    for one in (shop, shop, other):
        one.run()
    browser = page(shop)
    assert ">2 unread<" in browser.get("/").text
    assert (
        browser.post("/notifications/read", all="yes", until=datetime.now(UTC).isoformat()).status_code == 303
    )
    assert "unread<" not in browser.get("/").text
