"""The page for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from backupkit import BackupPipeline, Directory
from backupkit.integrations.asgi import EVERYTHING, BackupManager
from backupkit.integrations.asgi.api.addresses import ROUTES
from backupkit.plain_data import report_from
from backupkit.scheduling import Schedule
from backupkit.testing.notices import notice, problem, report
from tests.docs.blocks import ROOT
from tests.integrations.asgi.test_reports import history_of
from tests.integrations.asgi.visitor import Browser, as_said

_SHOP = "/api/pipelines/shop"


class Program:
    """Bears a token, as no browser does by itself, and speaks JSON."""

    def __init__(self, manager: BackupManager, *abilities: str) -> None:
        self.browser = Browser(manager, abilities or EVERYTHING)  # type: ignore[arg-type]
        self.browser.client.headers["authorization"] = "Bearer of-nobody-in-particular"

    def get(self, address: str, status: int = 200) -> Any:
        return self._read(self.browser.client.get(address), status)

    def post(self, address: str, status: int = 202, **said: Any) -> Any:
        return self._read(self.browser.client.post(address, json=said), status)

    def done(self, address: str, **said: Any) -> Any:
        """What its operation says when it has ended."""
        id_ = self.post(address, **said)["operation"]
        self.browser.ended(id_)
        return self.get(f"/api/operations/{id_}")

    def _read(self, answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        found = answer.json()
        assert (status < 400) != ("error" in found and found.keys() == {"error"}), found
        return found


@pytest.fixture
def program(manager: BackupManager) -> Program:
    return Program(manager)


@pytest.fixture
def two(shop: BackupPipeline, tmp_path: Path) -> Iterator[Program]:
    """A second pipeline, a schedule for both, and a place to restore to."""
    other = BackupPipeline("wiki", Directory(tmp_path / "files"), tmp_path / "gone", encryptor=None)
    made = BackupManager(
        [shop, other],
        authorize=as_said,
        schedule=Schedule(),
        places={"beside": tmp_path / "beside"},
        secret="not to be guessed",
    )
    yield Program(made)
    made.close()


def test_a_run_is_asked_for_followed_and_found_in_lists(program: Program) -> None:
    ended = program.done(f"{_SHOP}/run", only="files")
    assert (ended["stage"], ended["failed"], ended["who"]) == ("ended", False, "anna")
    assert ended["action"] == {"verb": "run", "only": "files"}
    assert report_from(ended["report"]).outcome == "succeeded"
    (listed,) = program.get(f"{_SHOP}/backups")["backups"]
    assert (listed["contents"], listed["good"], listed["next_clean"]["keeps"]) == (["files"], True, True)
    assert program.get(f"{_SHOP}/backups/{listed['id']}") == listed
    (kept,) = program.get("/api/history")["reports"]
    assert (kept["operation"], kept["pipeline"], kept["outcome"]) == ("run", "shop", "succeeded")
    full = program.get(f"/api/history/{kept['id']}")
    assert report_from(full).destinations[0].backup is not None
    (operation,) = program.get("/api/operations?pipeline=shop")["operations"]
    assert operation == ended


def test_pipelines_say_how_they_stand_and_what_is_due_next(two: Program) -> None:
    two.done(f"{_SHOP}/run")
    shop, wiki = two.get("/api/pipelines")["pipelines"]
    assert (shop["name"], wiki["name"], shop["contents"]) == ("shop", "wiki", ["databases", "files"])
    (there,) = shop["destinations"]
    assert (there["healthy"], there["count"], there["error"]) == (True, 1, None)
    assert there["newest"]["complete"] is True
    assert (shop["tone"] != "bad", wiki["tone"]) == (True, "bad")
    assert all(one.endswith(".") for one in (*shop["sentences"], *wiki["sentences"]))
    assert shop["recoverable"] == there["newest"]["time"]
    (gone,) = wiki["destinations"]
    assert "does not exist" in json.dumps(gone)
    assert {one["verb"] for one in shop["due"]} == {"run", "clean", "monitor", "summary"}
    assert {one["only"] for one in wiki["due"]} == {None}, "it has no databases"
    times = [one["time"] for one in shop["due"]]
    assert times == sorted(times)
    assert two.get("/api/pipelines/wiki")["name"] == "wiki"


def test_backups_are_filtered_and_come_in_parts(program: Program) -> None:
    for only in ("files", "databases", "files"):
        program.done(f"{_SHOP}/run", only=only)
    newest = program.get(f"{_SHOP}/backups?limit=1")["backups"][0]
    program.done(f"{_SHOP}/pin", backup=newest["id"], reason="Fiscal Year")
    everything = program.get(f"{_SHOP}/backups")
    assert everything["count"] == 3
    times = [one["time"] for one in everything["backups"]]
    assert times == sorted(times, reverse=True)
    at = newest["location"]
    for query, count in (
        ("contents=files", 2),
        ("contents=databases", 1),
        ("state=good", 3),
        ("state=damaged", 0),
        ("state=not+verified", 3),
        ("state=goes+with+the+next+clean", 0),
        ("state=pinned", 1),
        ("q=fiscal", 1),
        (f"q={newest['id']}", 1),
        (f"at={at}", 3),
        ("at=elsewhere", 0),
    ):
        assert program.get(f"{_SHOP}/backups?{query}")["count"] == count, query
    part = program.get(f"{_SHOP}/backups?limit=1&skip=1")
    assert (part["backups"], part["count"]) == (everything["backups"][1:2], 3)
    program.get(f"{_SHOP}/backups?state=lost", 400)
    program.get(f"{_SHOP}/backups?limit=many", 400)


def test_a_restore_goes_straight_to_a_new_folder_or_to_a_place_with_a_name(
    two: Program, tmp_path: Path
) -> None:
    two.done(f"{_SHOP}/run")
    ended = two.done(f"{_SHOP}/restore", only="files", include=["files/hello.txt"])
    assert [one.name for one in Path(ended["folder"], "files").iterdir()] == ["hello.txt"]
    two.done(f"{_SHOP}/restore", only="files", place="beside")
    assert (tmp_path / "beside/files/hello.txt").read_text() == "hello"
    assert "no place" in two.post(f"{_SHOP}/restore", 404, place="/etc")["error"]


def test_what_is_no_action_is_refused_before_anything_is_done(program: Program) -> None:
    for address, said in (
        ("run", {"backup": "latest"}),
        ("run", {"verb": "clean"}),
        ("run", {"only": ["files"]}),
        ("run", {"command": "true"}),
        ("delete", {}),
        ("delete", {"backup": "x", "force": "yes"}),
        ("pin", {"backup": "x", "until": "soon"}),
    ):
        assert program.post(f"{_SHOP}/{address}", 400, **said)["error"], (address, said)
    program.post(f"{_SHOP}/run", 404, at="elsewhere")
    program.post("/api/pipelines/nowhere/run", 404)
    assert program.get("/api/operations")["operations"] == []


def test_only_json_is_taken(program: Program) -> None:
    client = program.browser.client
    assert client.post(f"{_SHOP}/run", data={"only": "files"}).status_code == 415
    assert (
        client.post(f"{_SHOP}/run", content=b"{", headers={"content-type": "application/json"}).status_code
        == 400
    )
    long = client.post(f"{_SHOP}/run", json={"only": "x" * (1 << 17)})
    assert (long.status_code, [*long.json()]) == (413, ["error"])
    assert client.post(f"{_SHOP}/run").status_code == 202, "nothing need be said"
    program.browser.manager.close()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_address_asks_for_its_ability(manager: BackupManager, route: Any) -> None:
    address = re.sub(r"\{\w+\}", "x", route.path).replace("pipelines/x", "pipelines/shop")
    lacking = Program(manager, *(EVERYTHING - {route.ability}))
    (lacking.get if route.method == "GET" else lacking.post)(address, 403)
    assert manager.page.queue.recent() == []


def test_a_browser_is_not_believed_without_its_token(manager: BackupManager) -> None:
    client = Browser(manager).client
    assert client.post(f"{_SHOP}/run", json={}).status_code == 403
    told = client.get("/api/visitor").json()
    assert (told["who"], told["abilities"]) == ("anna", sorted(EVERYTHING))
    assert (
        client.post(f"{_SHOP}/run", json={}, headers={"x-csrf-token": told["csrf_token"]}).status_code == 202
    )
    assert client.post(f"{_SHOP}/run", json={"csrf_token": told["csrf_token"]}).status_code == 202


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", f"{_SHOP}/run", 405),
        ("POST", "/api/history", 405),
        ("GET", "/api/pipelines/nowhere", 404),
        ("GET", "/api/pipelines/nowhere/backups", 404),
        ("GET", "/api/pipelines/nowhere/backups/x", 404),
        ("GET", f"{_SHOP}/backups/..%2f..", 404),
        ("GET", f"{_SHOP}/backups/%00", 404),
        ("GET", "/api/operations/%00", 404),
        ("POST", "/api/operations/nothing/cancel", 404),
        ("GET", "/api/history/nothing", 404),
        ("GET", "/api/history?pipeline=nowhere", 404),
        ("GET", "/api/operations?pipeline=nowhere", 404),
        ("GET", "/api/notifications?unread=perhaps", 400),
        ("POST", "/api/notifications/read", 400),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    program: Program, method: str, address: str, status: int
) -> None:
    (program.get if method == "GET" else program.post)(address, status)


def test_who_is_not_known_gets_json_too(shop: BackupPipeline) -> None:
    def nobody(request: Request) -> frozenset[Any]:
        raise HTTPException(401, "Say who you are.", {"WWW-Authenticate": "Bearer"})

    program = Program(BackupManager(shop, authorize=nobody, secret="not to be guessed"))
    assert program.get("/api/pipelines", 401) == {"error": "Say who you are."}


def test_an_operation_is_cancelled(program: Program) -> None:
    id_ = program.post(f"{_SHOP}/run")["operation"]
    assert program.post(f"/api/operations/{id_}/cancel") == {"operation": id_}
    assert program.browser.ended(id_).is_over


def test_it_leads_to_the_operation_below_the_mount_path(manager: BackupManager) -> None:
    client = Browser(manager, base="/admin/backups").client
    client.headers["authorization"] = "Bearer x"
    answer = client.post(f"{_SHOP}/run")
    assert answer.headers["location"] == f"/admin/backups/api/operations/{answer.json()['operation']}"
    assert client.get("/api/nothing").json()["error"]


def test_notifications_are_told_and_marked_as_read(program: Program, shop: BackupPipeline) -> None:
    (notifier,) = shop.notifiers
    notifier.notify(notice("run failed"))
    (told,) = program.get("/api/notifications?unread=yes")["notifications"]
    assert (told["pipeline"], told["occasion"], told["read_at"]) == ("shop", "run failed", None)
    assert told["notice"]["report"]["operation"] == "run"
    assert program.post("/api/notifications/read", 200, id=[told["id"]]) == {"marked": 1}
    assert program.get("/api/notifications?unread=yes")["notifications"] == []
    assert program.get("/api/notifications")["count"] == 1


def test_the_audit_has_a_line_for_each_action(program: Program) -> None:
    id_ = program.done(f"{_SHOP}/run", only="files")["id"]
    program.post(f"/api/operations/{id_}/cancel")
    told = program.get("/api/audit")
    assert [one["what"] for one in told["lines"]] == [
        {"verb": "cancel", "operation": id_},
        {"verb": "run", "only": "files"},
    ]
    assert {one["who"] for one in told["lines"]} == {"anna"}
    assert program.get("/api/audit?who=bob") == {"lines": [], "count": 0}


def test_names_of_any_bytes_are_written_out(program: Program, shop: BackupPipeline) -> None:
    history = history_of(shop)
    history.record(report(problems=(problem("Lost.", path="caf\udce9"),)))
    (kept,) = program.get("/api/history")["reports"]
    assert program.get(f"/api/history/{kept['id']}")["problems"][0]["path"] == "caf\\udce9"


def test_the_table_of_the_documentation_has_these_addresses_and_abilities() -> None:
    text = (ROOT / "docs/reference/page-api.md").read_text()
    told = re.findall(r"^\| `(GET|POST) (/api/[^`?]*)[^`]*` \| (\w+) \|", text, re.MULTILINE)
    assert sorted(told) == sorted((one.method, one.path, one.ability) for one in ROUTES)
