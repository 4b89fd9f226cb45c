"""Who asked for what is noted, with when and from where, and shown to whom it concerns."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from backupkit import BackupPipeline, DatabaseHistory, Directory
from backupkit.history import AuditLine
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import BackupManager
from backupkit.integrations.asgi import manager as managing
from backupkit.integrations.asgi.access import auditing
from backupkit.integrations.asgi.pages import asking
from backupkit.integrations.asgi.pages import audit as audit_page
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.tables import AUDIT
from tests.integrations.asgi.calling import SECRET, Caller, Held
from tests.integrations.asgi.visitor import as_said

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def pin(visit: Visit) -> Response:
    return asking.ask(visit, Action(verb="pin", backup="b1", reason="<b>tax</b>"))


def download(visit: Visit) -> Response:
    auditing.note(visit, "download", backup="b1", path="caf\udce9.txt", at=None)
    return JSONResponse({})


@pytest.fixture
def history(tmp_path: Path) -> DatabaseHistory:
    return DatabaseHistory(f"sqlite:///{tmp_path}/records.sqlite3")


@pytest.fixture
def page(tmp_path: Path, history: DatabaseHistory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    routes = (
        *audit_page.ROUTES,
        Route("POST", "/pipelines/{pipeline}/pin", "run", pin),
        Route("GET", "/pipelines/{pipeline}/file", "download", download),
        Route("GET", "/operations/{operation}", "view", lambda visit: visit.html("audit.html", **NOTHING)),
    )
    monkeypatch.setattr(managing, "ROUTES", routes)
    shop = BackupPipeline("shop", [Directory(tmp_path)], tmp_path / "there", encryptor=None, history=history)
    manager = BackupManager(
        shop, authorize=as_said, secret=SECRET, queue=Held(clock=lambda: NOW), clock=lambda: NOW
    )
    with asyncio.Runner() as runner:
        yield Caller(manager, runner)


NOTHING: dict[str, Any] = {"lines": (), "count": 0, "number": 1, "pages": 1, "who": "", "pipeline": ""}


def test_what_is_asked_for_is_noted_with_who_when_and_from_where(
    page: Caller, history: DatabaseHistory
) -> None:
    assert page.post("/pipelines/shop/pin").status == 303
    assert page.get("/pipelines/shop/file").status == 200
    assert history.noted() == [
        AuditLine(
            time=NOW,
            who="anna",
            what={"verb": "download", "backup": "b1", "path": "caf\udce9.txt"},
            pipeline="shop",
            address="192.0.2.7",
        ),
        AuditLine(
            time=NOW,
            who="anna",
            what={"verb": "pin", "backup": "b1", "reason": "<b>tax</b>"},
            pipeline="shop",
            address="192.0.2.7",
        ),
    ]


def test_what_somebody_who_is_known_may_not_is_noted_as_refused(
    page: Caller, history: DatabaseHistory
) -> None:
    page.headers["x-abilities"] = "view"
    assert page.get("/pipelines/shop/file").status == 403
    assert page.post("/pipelines/shop/pin").status == 403
    assert [(one.outcome, one.pipeline, dict(one.what)) for one in history.noted()] == [
        ("refused", "shop", {"method": "POST", "address": "/pipelines/shop/pin"}),
        ("refused", "shop", {"method": "GET", "address": "/pipelines/shop/file"}),
    ]


def test_a_forged_form_is_noted_as_refused(page: Caller, history: DatabaseHistory) -> None:
    assert page.post("/pipelines/shop/pin", origin="http://evil.test").status == 403
    assert [one.outcome for one in history.noted()] == ["refused"]


def test_nobody_can_fill_the_audit_without_an_ability_or_with_long_addresses(
    page: Caller, history: DatabaseHistory
) -> None:
    page.headers["x-abilities"] = ""
    assert page.get("/audit").status == 403
    assert history.count_noted() == 0
    page.headers["x-abilities"] = "view"
    assert page.get(f"/pipelines/{'x' * 9000}/file").status == 403
    (line,) = history.noted()
    assert len(line.what["address"]) == 500


def test_what_cannot_be_noted_is_done_and_the_answer_says_so(
    page: Caller, history: DatabaseHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = page.app
    history.note(AuditLine(time=NOW, who="anna", what={}))
    where = history._records._file
    monkeypatch.setattr(
        history, "_records", DatabaseHistory(f"sqlite:///file:{where}?mode=ro&uri=true")._records
    )
    answer = page.post("/pipelines/shop/pin")
    assert answer.status == 303
    assert [*manager.page.queue.works]
    assert answer.headers["backupkit-audit"] == "not written"
    address, _, query = answer.headers["location"].removeprefix(page.base).partition("?")
    assert query == "unnoted=1"
    assert "the audit could not be written" in page.get(address, query).text
    assert "the audit could not be written" not in page.get(address).text
    assert page.get("/pipelines/shop/file").headers["backupkit-audit"] == "not written"
    page.headers["x-abilities"] = "view"
    assert page.get("/pipelines/shop/file").status == 403


def fill(history: DatabaseHistory, count: int) -> None:
    rows = [
        {
            "time": NOW - timedelta(minutes=number),
            "who": "anna" if number % 2 else "b&n",
            "name": "shop" if number % 3 else "blog",
            "address": "192.0.2.7",
            "outcome": "asked",
            "body": json.dumps({"verb": "run", "number": number, "include": ["a"]}),
        }
        for number in range(count)
    ]
    with history._records.begin() as connection:
        connection.execute(AUDIT.insert(), rows)


def numbers(asked: Caller, **query: str) -> list[int]:
    return [int(found) for found in re.findall(r"number=(\d+) ", asked.get("/audit", query).text)]


def test_the_newest_come_first_fifty_a_page(page: Caller, history: DatabaseHistory) -> None:
    fill(history, 120)
    assert numbers(page) == [*range(50)]
    assert numbers(page, page="3") == [*range(100, 120)]
    assert numbers(page, page="4") == []
    text = page.get("/audit", {"page": "2"}).text
    assert "Page 2 of 3" in text
    assert "120 lines" in text
    for odd in ("0", "-1", "x", "9" * 30, "١", ""):
        assert numbers(page, page=odd) == [*range(50)]


def test_they_are_filtered_by_person_and_pipeline(page: Caller, history: DatabaseHistory) -> None:
    fill(history, 12)
    assert numbers(page, who="anna", pipeline="shop") == [1, 5, 7, 11]
    assert numbers(page, who="b&n") == [0, 2, 4, 6, 8, 10]
    assert "that these filters show" in page.get("/audit", {"who": "nobody"}).text
    assert (
        'href="/admin/backups/audit?who=b%26n&amp;pipeline=blog"'
        in page.get("/audit", {"pipeline": "blog"}).text
    )


def test_what_was_said_is_shown_as_text(page: Caller) -> None:
    page.post("/pipelines/shop/pin")
    text = page.get("/audit").text
    assert "reason=&lt;b&gt;tax&lt;/b&gt;" in text
    assert "<b>tax" not in text


def test_only_administrators_see_it_and_are_led_there(page: Caller) -> None:
    assert 'href="/admin/backups/audit"' in page.get("/operations/x").text
    page.headers["x-abilities"] = "view run download restore delete"
    assert page.get("/audit").status == 403
    assert 'href="/admin/backups/audit"' not in page.get("/operations/x").text
