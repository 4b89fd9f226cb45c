"""Every address of the page, whoever added it: who is let in, what cannot be forged, what hostile ids do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from starlette.routing import Mount
from starlette.routing import Route as StarletteRoute

from backupkit import BackupPipeline, DatabaseHistory, Directory
from backupkit._operation import utc_now
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi import EVERYTHING, BackupManager, forms
from backupkit.integrations.asgi.access import guard as guarding
from backupkit.integrations.asgi.access.guard import COOKIE, FIELD, Guard, token_of
from backupkit.integrations.asgi.manager import ROUTES, _application
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.notifiers.database import DatabaseNotifier
from tests.integrations.asgi.calling import (
    HOSTILE,
    NONCE,
    SECRET,
    Answer,
    Caller,
    Held,
    assert_harmless,
    assert_has_headers,
)
from tests.integrations.asgi.visitor import as_said

EVERY = pytest.mark.parametrize("route", ROUTES, ids=lambda one: f"{one.method} {one.path}")
CHANGING = pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.method != "GET"], ids=lambda one: one.path
)
UNNOTED = ("/notifications/read", "/api/notifications/read")
"""What changes something, but nothing that anybody would have to answer for."""


@dataclass
class Walk:
    """The page of a shop with a backup, and what stands for each parameter of a path."""

    manager: BackupManager
    queue: Held
    caller: Caller
    known: dict[str, str]
    at: str

    def path(self, route: Route, **instead: str) -> str:
        return re.sub(
            r"\{(\w+)(:\w+)?\}", lambda found: {**self.known, **instead}.get(found[1], "x"), route.path
        )

    def ask(self, route: Route, path: str, said: Mapping[str, str] | None = None) -> Answer:
        said = said or {}
        if route.method == "GET":
            return self.caller.get(path, said)
        return self.caller.post(path, [*said.items()])


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    for name in ("files", "backups"):
        (folder / name).mkdir()
    (folder / "files" / "hello.txt").write_text("hello")
    # In memory: nothing of what is noted a thousand times has to reach a disk.
    records = sa.create_engine(
        "sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False}
    )
    shop = BackupPipeline(
        "shop",
        [Directory(folder / "files")],
        folder / "backups",
        encryptor=None,
        history=DatabaseHistory(records),
        notifiers=[DatabaseNotifier(records)],
    )
    shop.run()
    (backup,) = shop.list().backups
    queue = Held(clock=utc_now)
    manager = BackupManager(shop, authorize=as_said, queue=queue, secret=SECRET, scratch=folder / "scratch")
    known = {
        "pipeline": "shop",
        "backup": backup.id,
        "operation": queue.submit("shop", Action(verb="run"), "anna"),
    }
    with asyncio.Runner() as runner:
        caller = Caller(manager, runner)
        report = re.search(r'/history/([^"?/]+)"', caller.get("/history").text)
        known["report"] = report[1] if report else "1"
        yield Walk(manager, queue, caller, known, backup.location)
    manager.close()
    records.dispose()


def refused(answer: Answer) -> None:
    assert answer.status == 403, answer.text
    assert_harmless(answer)


def test_the_application_has_no_other_addresses_than_the_table_and_each_is_behind_the_guard(
    walk: Walk,
) -> None:
    asked = []

    class Telling(Guard):
        async def answer(self, route: Route, request: Any) -> Any:
            asked.append(route)
            return await super().answer(route, request)

    app = _application(Telling(walk.manager.page, lambda request: (), SECRET))
    *routes, static = app.routes  # type: ignore[attr-defined]
    assert isinstance(static, Mount)
    assert static.path == "/static"
    assert len(routes) == len(ROUTES)
    for route, theirs in zip(ROUTES, routes, strict=True):
        assert isinstance(theirs, StarletteRoute)
        assert theirs.methods == ({"GET", "HEAD"} if route.method == "GET" else {route.method})
        answer = Caller(app, walk.caller.runner).ask(route.method, walk.path(route))
        assert (answer.status, asked.pop()) == (403, route)
    assert walk.manager.routes is ROUTES


def test_each_address_is_there_once() -> None:
    addresses = [(one.method, re.sub(r"\{.*?\}", "{}", one.path)) for one in ROUTES]
    assert len({*addresses}) == len(addresses)


@EVERY
def test_nobody_gets_anything_without_abilities(walk: Walk, route: Route) -> None:
    before = len(walk.queue.works)
    answer = Caller(walk.manager, walk.caller.runner, headers={"x-abilities": ""}).ask(
        route.method, walk.path(route)
    )
    refused(answer)
    assert len(walk.queue.works) == before


@EVERY
def test_all_other_abilities_do_not_stand_in_for_the_one(walk: Walk, route: Route) -> None:
    others = " ".join(EVERYTHING - {route.ability})
    without = Caller(walk.manager, walk.caller.runner, headers={"x-abilities": others})
    before = len(walk.queue.works), len(walk.queue.cancelled)
    refused(without.post(walk.path(route)) if route.method == "POST" else without.get(walk.path(route)))
    assert (len(walk.queue.works), len(walk.queue.cancelled)) == before


@EVERY
def test_who_may_is_let_in_and_what_they_do_is_noted(walk: Walk, route: Route) -> None:
    before = walk.manager.page.audit.count_noted("shop")
    answer = walk.ask(route, walk.path(route), {"at": walk.at, "path": "hello.txt"})
    assert answer.status not in (401, 403, 405), answer.text
    assert_harmless(answer)
    is_action = route.method == "POST" or route.ability == "download" or "recovery" in route.path
    if is_action and answer.status < 400 and route.path not in UNNOTED:
        assert walk.manager.page.audit.count_noted("shop") > before, "call auditing.note(visit, …)"


FORGED = {
    "missing": None,
    "empty": "",
    "made up": "0" * 64,
    "of another visitor": token_of(SECRET, NONCE, "ben"),
    "of another browser": token_of(SECRET, "m" * 43, "anna"),
    "of another secret": token_of(b"another secret ..", NONCE, "anna"),
    "no text": "\udcff\0",
}


@CHANGING
def test_what_changes_something_needs_the_token_of_this_visitor_in_this_browser(
    walk: Walk, route: Route
) -> None:
    before = len(walk.queue.works), len(walk.queue.cancelled)
    kind = {"content-type": "application/x-www-form-urlencoded", "cookie": f"{COOKIE}={NONCE}"}
    json_kind = {**kind, "content-type": "application/json"}
    right = token_of(SECRET, NONCE, "anna")
    path = walk.path(route)
    for token in FORGED.values():
        said = {} if token is None else {FIELD: token}
        body = urlencode(said, errors="surrogateescape").encode()
        refused(walk.caller.ask("POST", path, body=body, headers=kind))
    refused(walk.caller.ask("POST", path, body=json.dumps({FIELD: "\udcff"}).encode(), headers=json_kind))
    refused(walk.caller.ask("POST", path, {FIELD: right}, headers=kind))
    refused(walk.caller.ask("POST", path, body=urlencode([(FIELD, right)] * 2).encode(), headers=kind))
    refused(walk.caller.post(path, cookie=""))
    refused(walk.caller.post(path, sec_fetch_site="cross-site"))
    refused(walk.caller.post(path, sec_fetch_site="same-site"))
    refused(walk.caller.post(path, origin="http://evil.test"))
    refused(walk.caller.post(path, origin="null"))
    assert (len(walk.queue.works), len(walk.queue.cancelled)) == before


@EVERY
def test_hostile_ids_are_looked_up_and_nothing_else(walk: Walk, route: Route) -> None:
    for name in re.findall(r"\{(\w+)", route.path):
        for value in HOSTILE:
            answer = walk.ask(route, walk.path(route, **{name: value}), {"at": walk.at, "path": "hello.txt"})
            assert_harmless(answer)
            passed = (303, 307, 400, 404, 405)
            assert answer.status in passed or "/" in value or not value, (name, value, answer.text)


def test_work_of_other_pages_in_the_same_queue_is_not_seen_and_not_touched(walk: Walk) -> None:
    theirs = walk.queue.submit("their-secret", Action(verb="clean", dry_run=True), "anna")
    try:
        before = len(walk.queue.works), len(walk.queue.cancelled)
        for route in ROUTES:
            if "{operation}" in route.path:
                said = {"confirm": "their-secret"}
                assert walk.ask(route, walk.path(route, operation=theirs), said).status == 404, route.path
        assert (len(walk.queue.works), len(walk.queue.cancelled)) == before
        for path in ("/operations", "/api/operations", "/", "/pipelines/shop"):
            answer = walk.caller.get(path)
            assert (answer.status, "their-secret" in answer.text) == (200, False), path
    finally:
        del walk.queue.works[theirs]


class Read(dict[str, Any]):
    """Fields that tell which of them a handler has read; of one that takes them as a whole, all of an action."""

    def __init__(self, given: Mapping[str, Any], names: set[str]) -> None:
        super().__init__(given)
        self.names = names

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)

    def keys(self) -> Any:
        self.names.update(one.name for one in fields(Action))
        return super().keys()

    def items(self) -> Any:
        self.names.update(one.name for one in fields(Action))
        return super().items()

    def __iter__(self) -> Iterator[str]:
        self.names.update(one.name for one in fields(Action))
        return super().__iter__()


@EVERY
def test_hostile_fields_are_told_to_be_wrong_or_change_nothing_else(
    walk: Walk, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each field that the handler reads, one after another: the handler itself tells which there are."""
    names: set[str] = set()
    query, form = Visit.query, forms.fields

    async def read_form(request: Any) -> Any:
        return Read(await form(request), names)

    monkeypatch.setattr(Visit, "query", property(lambda visit: Read(query.fget(visit), names)))  # type: ignore[attr-defined]
    monkeypatch.setattr(guarding, "fields", read_form)
    path, usual = walk.path(route), {"at": walk.at, "path": "hello.txt"}
    assert_harmless(walk.ask(route, path, usual))
    tried = {FIELD}
    while left := sorted(names - tried):
        for name in left:
            tried.add(name)
            for value in HOSTILE:
                assert_harmless(walk.ask(route, path, {**usual, name: value}))
            if route.method == "POST":
                assert_harmless(walk.caller.post(path, [*usual.items(), (name, "a"), (name, "b")]))
                for odd in (1, None, True, ["a"], {"a": 1}, "\ud800"):
                    assert_harmless(with_json(walk, path, {**usual, name: odd}))


def with_json(walk: Walk, path: str, said: Mapping[str, Any]) -> Answer:
    headers = {
        "content-type": "application/json",
        "cookie": f"{COOKIE}={NONCE}",
        "x-csrf-token": token_of(SECRET, NONCE, "anna"),
    }
    return walk.caller.ask("POST", path, body=json.dumps(said).encode(), headers=headers)


def test_a_query_of_any_length_is_told_to_be_wrong(walk: Walk) -> None:
    answer = walk.caller.get("/audit", "&".join(f"a{number}=1" for number in range(2000)))
    assert answer.status == 400
    assert_harmless(answer)


@pytest.mark.parametrize(
    "name",
    [
        *("../manager.py", "../../../errors.py", "..%2fmanager.py", "/etc/passwd", "//etc/passwd", "a\0b"),
        *("x" * 9000, "../templates/layout.html", "..\\manager.py", "", ".", "\udcff"),
    ],
)
def test_static_files_are_those_of_their_folder_and_need_no_ability(walk: Walk, name: str) -> None:
    stranger = Caller(walk.manager, walk.caller.runner, headers={"x-abilities": ""})
    answer = stranger.get(f"/static/{name}")
    assert answer.status in (307, 404)
    assert_harmless(answer)
    assert "BackupManager" not in answer.text
    there = stranger.get("/static/style.css")
    assert there.status == 200
    assert_has_headers(there)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing/here"), ("PUT", "/"), ("OPTIONS", "/"), ("TRACE", "/")]
)
def test_what_is_not_there_has_the_headers_too(walk: Walk, method: str, path: str) -> None:
    answer = walk.caller.ask(method, path)
    assert answer.status == (405 if path == "/" else 404)
    assert_harmless(answer)


def test_without_its_last_slash_the_page_leads_to_itself_and_nowhere_else(walk: Walk) -> None:
    answer = walk.caller.get("", host="evil.test")
    assert (answer.status, answer.headers["location"]) == (307, "/admin/backups/")
    answer = walk.caller.get("/audit/", host="evil.test")
    assert (answer.status, answer.headers["location"]) == (307, "/admin/backups/audit")
    answer = Caller(walk.manager, walk.caller.runner, base="//evil.test").get("/audit/")
    assert (answer.status, answer.headers["location"]) == (307, "/evil.test/audit")
    answer = Caller(walk.manager, walk.caller.runner, base="").get("//evil.test/")
    assert (answer.status, answer.headers["location"]) == (307, "/evil.test")


def test_the_shop_is_as_it_was(walk: Walk, tmp_path: Path) -> None:
    assert [one.id for one in walk.manager.page.pipelines["shop"].list().backups] == [walk.known["backup"]]
