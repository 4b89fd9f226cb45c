"""The work of a page on real workers: asked for by one process, followed and cancelled by another."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.errors import BackupKitError
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.celery import CeleryQueue
from backupkit.integrations.celery.broker import fleet_lock
from backupkit.integrations.celery.deliveries import deliveries_beside
from backupkit.integrations.work import Work
from tests.integrations.asgi.visitor import Browser, as_said
from tests.integrations.celery.application import SECRET, application, pipelines
from tests.integrations.celery.fleets import Fleet, fleet, until

RUN = Action(verb="run")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        worker = made.worker()
        yield made
        worker.kill()  # nothing is under way, and stopping takes longer


@pytest.fixture
def queue(shops: Fleet) -> CeleryQueue:
    return CeleryQueue(shops.app)


@pytest.fixture
def other(shops: Fleet) -> Iterator[CeleryQueue]:
    """That of another process, which has not heard of `register`."""
    app = Celery("page", broker=shops.url, backend=shops.url, set_as_current=False)
    yield CeleryQueue(app)
    app.close()


def ended(queue: CeleryQueue, id: str) -> Work:
    return until(lambda: (work := known(queue, id)).is_over and work, f"the end of {id}")  # type: ignore[no-any-return]


def known(queue: CeleryQueue, id: str) -> Work:
    work = queue.get(id)
    assert work is not None
    return work


def done(queue: CeleryQueue, name: str, **action: Any) -> Work:
    work = ended(queue, queue.submit(name, Action(**action), "anna"))
    assert work.error is None
    return work


@pytest.fixture
def backed_up(shops: Fleet, queue: CeleryQueue) -> BackupPipeline:
    """A pipeline with one backup."""
    name = shops.name()
    shops.go(name)
    done(queue, name, verb="run")
    return pipelines(shops.url, shops.folder)[name]


def test_what_one_process_asks_another_follows_to_its_report(
    shops: Fleet, queue: CeleryQueue, other: CeleryQueue
) -> None:
    name = shops.name()
    before = other.ends(name)
    id = queue.submit(name, RUN, "anna")
    work = until(lambda: (found := known(other, id)).progress.read and found, "progress")
    assert (work.stage, work.pipeline, work.action, work.who) == ("working", name, RUN, "anna")
    assert work.progress.entries == 1
    assert work.began is not None
    assert work.asked <= work.began
    shops.go(name)
    work = ended(other, id)
    assert work.report is not None
    assert work.report.outcome == "succeeded"
    assert work.ended is not None
    assert work.began is not None
    assert work.asked <= work.began <= work.ended
    assert id in [one.id for one in other.recent()]
    assert other.ends(name) != before


def test_it_is_cancelled_from_another_process_and_the_report_is_there(
    shops: Fleet, queue: CeleryQueue, other: CeleryQueue
) -> None:
    name = shops.name()
    id = queue.submit(name, RUN, "anna")
    shops.begun(name)
    other.cancel(id, "berta")
    work = ended(queue, id)
    assert work.error == "It was cancelled, because berta asked for that on the management page."
    report = until(lambda: known(queue, id).report, "the report, which comes when the run has ended")
    assert report.outcome == "failed"
    assert shops.archives(name) == []


def test_a_run_that_is_not_next_waits_and_says_for_what(shops: Fleet, queue: CeleryQueue) -> None:
    name = shops.name()
    first = queue.submit(name, RUN, "anna")
    shops.begun(name)
    second = queue.submit(name, RUN, "anna")
    work = until(lambda: (found := known(queue, second)).note and found, "the reason")
    assert (work.stage, work.began) == ("waiting", None)
    assert "Another run" in work.note
    queue.cancel(second, "berta")
    assert "because berta asked" in str(ended(queue, second).error)
    shops.go(name)
    assert ended(queue, first).error is None


def test_what_no_worker_has_begun_is_never_begun_when_it_was_cancelled(shops: Fleet) -> None:
    queue = CeleryQueue(shops.app, queue="of nobody")
    id = queue.submit("shop-0", RUN, "anna")
    queue.cancel(id, "berta")
    assert ended(queue, id).stage == "ended"
    assert deliveries_beside(fleet_lock(shops.app, None)).begin(id) == 0


def test_one_backup_is_verified_pinned_planned_for_and_deleted(
    queue: CeleryQueue, backed_up: BackupPipeline
) -> None:
    name = str(backed_up.name)
    (backup,) = backed_up.list().backups
    report = done(queue, name, verb="verify", backup=backup.id, at=backup.location).report
    assert report is not None
    assert report.outcome == "succeeded"
    done(queue, name, verb="pin", backup=backup.id, reason="audit")
    assert backed_up.list().backups[0].pin is not None
    done(queue, name, verb="unpin", backup=backup.id)
    report = done(queue, name, verb="clean", dry_run=True).report
    assert report is not None
    assert report.dry_run
    assert report.destinations[0].plan is not None
    refused = ended(queue, queue.submit(name, Action(verb="delete", backup=backup.id), "anna"))
    assert "newest good" in str(refused.error)
    done(queue, name, verb="delete", backup=backup.id, force=True)
    assert backed_up.list().backups == ()


def test_a_restore_is_previewed_and_goes_to_a_place_that_the_worker_knows(
    shops: Fleet, queue: CeleryQueue, backed_up: BackupPipeline
) -> None:
    name = str(backed_up.name)
    preview = done(queue, name, verb="restore", dry_run=True)
    assert preview.report is not None
    assert preview.report.dry_run
    restored = done(queue, name, verb="restore")
    assert restored.folder is not None
    folder = Path(restored.folder)
    assert folder.parent == shops.folder / "scratch"
    assert (folder / name).is_file()
    assert done(queue, name, verb="restore", place="beside").folder == str(shops.folder / "beside")
    assert (shops.folder / "beside" / name).is_file()
    wrong = ended(queue, queue.submit(name, Action(verb="restore", place="elsewhere"), "anna"))
    assert "no place called 'elsewhere'" in str(wrong.error)


def test_what_failed_is_told_with_its_report_and_without_secrets(shops: Fleet, queue: CeleryQueue) -> None:
    work = ended(queue, queue.submit("broken", RUN, "anna"))
    assert work.error
    assert work.report is not None
    assert work.report.outcome == "failed"
    assert work.report.problems
    kept = [str(shops.client.dump(key)) for key in shops.client.scan_iter("*backupkit*")]
    assert SECRET not in repr(work) + "".join(kept)


def test_what_a_preview_has_shown_is_done_once(
    shops: Fleet, queue: CeleryQueue, other: CeleryQueue, backed_up: BackupPipeline
) -> None:
    name = str(backed_up.name)
    preview = done(queue, name, verb="clean", dry_run=True)
    ids = {one.submit(name, Action(verb="clean"), "anna", after=preview.id) for one in (queue, other)}
    (id,) = ids
    assert ended(other, id).error is None
    assert queue.submit(name, Action(verb="clean"), "anna", after=preview.id) == id
    assert [one.action for one in other.recent() if one.pipeline == name].count(Action(verb="clean")) == 1


def test_a_page_leads_from_the_button_to_the_report(shops: Fleet, queue: CeleryQueue) -> None:
    name = shops.name()
    made = pipelines(shops.url, shops.folder)[name]
    browser = Browser(BackupManager(made, authorize=as_said, queue=queue, secret="not to be guessed"))
    shops.go(name)
    answer = browser.post(f"/pipelines/{name}/run")
    work = browser.done(answer)
    assert work.report is not None
    page = browser.get(answer.headers["location"]).text
    assert "It has succeeded" in page
    assert "asked" in page.lower()


@pytest.mark.parametrize("id", ["", "short", "a" * 100, "../../../../etc/passwd", "no-task-of-this-name"])
def test_what_nobody_has_asked_for_is_unknown(queue: CeleryQueue, id: str) -> None:
    assert queue.get(id) is None
    queue.cancel(id, "anna")


def test_a_password_never_reaches_the_broker(queue: CeleryQueue) -> None:
    with pytest.raises(ConfigurationError, match="holds a password"):
        queue.submit("shop-0", Action(verb="verify", at="sftp://me:hunter2@host/backups"), "anna")


@pytest.mark.parametrize("backend", [None, "rpc://"])
def test_without_a_result_backend_that_all_can_read_there_is_no_queue(backend: str | None) -> None:
    app = Celery("shop", broker="redis://localhost", backend=backend, set_as_current=False)
    with pytest.raises(ConfigurationError, match="set result_backend"):
        CeleryQueue(app)


def test_a_server_that_is_away_is_one_sentence() -> None:
    away = "redis://127.0.0.1:1/0"
    app = application(away, Path("/nonexistent"))
    queue = CeleryQueue(app)
    with pytest.raises(BackupKitError, match="could not be asked"):
        queue.recent()
    assert queue.ends("shop-0") is None, "or else no backup could be shown"


def test_pages_show_all_else_while_the_server_is_away_and_say_that(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (tmp_path / "backups").mkdir()
    shop = BackupPipeline("shop", Directory(files), tmp_path / "backups", encryptor=None)
    shop.run()
    (backup,) = shop.list().backups
    queue = CeleryQueue(application("redis://127.0.0.1:1/0", tmp_path))
    browser = Browser(BackupManager(shop, authorize=as_said, queue=queue, secret="not to be guessed"))
    said = "What is under way is not known, and nothing can be begun from here: The queue of backups could"
    for address, there in {
        "/": "Recoverable to",
        "/pipelines/shop": "Recoverable to",
        "/operations": "Operations",
    }.items():
        answer = browser.get(address)
        assert (answer.status_code, said in answer.text, there in answer.text) == (200, True, True), address
    assert backup.id in browser.get("/backups").text
    for address in ("run", "clean", f"backups/{backup.id}/delete"):
        answer = browser.post(f"/pipelines/shop/{address}", typed=backup.id, force="yes")
        assert (answer.status_code, "could not be asked" in answer.text) == (502, True), address


def test_a_server_that_hangs_holds_up_one_question_and_not_each(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        asked = 0

        def all(self) -> Any:
            self.asked += 1
            time.sleep(0.05)
            raise ConnectionError("no answer")

    monkeypatch.setattr("backupkit.integrations.celery.queue._FRESH", 0.0)
    queue, hanging = CeleryQueue(application("redis://127.0.0.1:1/0", Path("/nonexistent"))), Hanging()
    queue.__dict__["_asked"] = hanging
    with ThreadPoolExecutor(4) as visitors:
        assert [*visitors.map(queue.ends, [f"shop-{number}" for number in range(100)])] == [None] * 100
    assert hanging.asked == 1


def test_a_place_cannot_be_called_scratch(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name it otherwise"):
        application("redis://localhost", tmp_path, places={"scratch": tmp_path})


def test_messages_hold_plain_values_only(shops: Fleet) -> None:
    queue = CeleryQueue(shops.app, queue="of nobody else")
    queue.submit("shop-0", Action(verb="pin", backup="x", reason="audit"), "anna")
    message = json.loads(shops.client.lrange("of nobody else", 0, 0)[0])
    assert message["headers"]["task"] == "backupkit.act"
    assert "application/json" in message["content-type"]
