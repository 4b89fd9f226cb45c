"""What Prometheus scrapes of the page: the gauges of an observer, without asking anybody again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backupkit import BackupPipeline, PrometheusObserver
from backupkit.integrations.asgi import BackupManager
from backupkit.testing.destinations import MemoryDestination
from tests.integrations.asgi.visitor import Browser, as_said
from tests.pipeline.shop import Scripted

Sample = tuple[str, tuple[tuple[str, str], ...]]


def scraped(text: str) -> dict[Sample, float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def of(found: dict[Sample, float], name: str, **labels: str) -> list[float]:
    return [
        value for (one, said), value in found.items() if one == name and labels.items() <= dict(said).items()
    ]


def test_they_are_the_gauges_of_an_observer(browser: Browser, shop: BackupPipeline) -> None:
    observer = PrometheusObserver()
    shop.observers = (observer,)
    shop.run()
    shop.verify()
    shop.drill()
    shop.monitor()
    shop.clean()
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    expected = {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in observer.registry.collect()
        if family.type == "gauge"
        for one in family.samples
    }
    assert len(expected) > 50
    assert scraped(answer.text) == expected


def test_what_is_there_counts_and_not_what_the_history_says(browser: Browser, shop: BackupPipeline) -> None:
    shop.run()
    shop.run(only="databases")
    found = scraped(browser.get("/metrics").text)
    assert of(found, "backupkit_backups", series="databases+files") == [1]
    assert of(found, "backupkit_healthy") == [1]
    for backup in shop.list().backups:
        shop.delete(backup, force=True)
    browser.manager.page.looks.forget("shop")
    found = scraped(browser.get("/metrics").text)
    assert of(found, "backupkit_healthy") == [0]
    assert of(found, "backupkit_check_failing", check="MaximumAge") == [1]
    assert of(found, "backupkit_last_success_timestamp_seconds") == [0, 0]
    assert of(found, "backupkit_operation_outcome", operation="delete", outcome="succeeded") == [1]


def test_a_destination_that_does_not_answer_is_unhealthy(
    browser: Browser, shop: BackupPipeline, tmp_path: Path
) -> None:
    (tmp_path / "backups").rename(tmp_path / "elsewhere")
    found = scraped(browser.get("/metrics").text)
    assert of(found, "backupkit_healthy") == [0]
    assert of(found, "backupkit_check_failing", check="Reachable") == [1]
    assert of(found, "backupkit_backups") == []


def test_a_pipeline_without_a_history_has_how_its_backups_stand(tmp_path: Path) -> None:
    shop = BackupPipeline(
        "shop", Scripted("app", {"app/a": b"a"}), MemoryDestination(tmp_path.name), encryptor=None
    )
    shop.run()
    manager = BackupManager(shop, authorize=as_said, secret="not to be guessed")
    found = scraped(Browser(manager).get("/metrics").text)
    assert of(found, "backupkit_backups", series="files") == [1]
    assert not any(name.startswith("backupkit_operation") for name, _ in found)
    manager.close()


def test_a_bearer_token_is_enough_and_none_is_not(shop: BackupPipeline) -> None:
    def by_token(request: Any) -> set[str]:
        return {"view"} if request.headers.get("authorization") == "Bearer open sesame" else set()

    manager = BackupManager(shop, authorize=by_token, secret="not to be guessed")  # type: ignore[arg-type]
    client = Browser(manager).client
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers={"Authorization": "Bearer open sesame"}).status_code == 200
    manager.close()


def test_a_report_is_read_once(
    browser: Browser, shop: BackupPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run()
    history = browser.manager.page.history_of("shop")
    assert history is not None
    read: list[str] = []
    inner: Callable[[str], Any] = history.report

    def report(id: str) -> Any:
        read.append(id)
        return inner(id)

    monkeypatch.setattr(history, "report", report)
    browser.get("/metrics")
    browser.get("/metrics")
    assert len(read) == 1
