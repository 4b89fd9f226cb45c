"""The web applications among the examples, as real servers: they back themselves up, lose all, and get it back."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import psycopg
import pytest
import requests

from tests.servers import Server, free_port

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TOKEN = "a token of the test's"
PHOTO = b"\xff\xd8" + bytes(range(256))
_PATIENCE = 60.0
_PAGE = "/admin/backups"
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]+)">')
_ADDRESSES = re.compile(r'(href|src|action)="([^"#]+)')
_SITE = """
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_superuser("anna", password=%r)
"""


@dataclass(frozen=True)
class Shop:
    """An example, its data in a folder of the test's."""

    name: str
    root: Path
    serve: Sequence[str]
    backup: Sequence[str]  # the command line, as it is called there
    prepare: Sequence[str] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    files: str = "photos"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SHOP_DATA": str(self.data),
            "SHOP_BACKUPS": str(self.root / "backups"),
            "SHOP_BACKUP_TOKEN": TOKEN,
            "SHOP_SECRET_KEY": "a key of the test's",
            "BACKUP_ARCHIVE_PASSWORD": "correct horse battery staple orbit",
            "XDG_STATE_HOME": str(self.root / "state"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.variables,
        }

    def call(self, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:backupkit", *words],
            cwd=EXAMPLES / self.name,
            env=self.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def served(self) -> Iterator[Site]:
        """Its server, once it answers; stopped as an operator would stop it."""
        port = free_port()
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *(word.replace("PORT", str(port)) for word in self.serve)],
                cwd=EXAMPLES / self.name,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        site = Site(f"http://127.0.0.1:{port}", process)
        try:
            until(lambda: process.poll() is not None or site.answers())
            assert process.poll() is None, (self.root / "log").read_text()
            yield site
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            finally:
                process.kill()


@dataclass(frozen=True)
class Site:
    """A shop as its users see it."""

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, f"{self.url}{path}", timeout=_PATIENCE, **options)

    def answers(self) -> bool:
        with suppress(requests.ConnectionError):
            return self.ask("GET", "/products").status_code in (200, 500)
        return False

    def operator(self, method: str, path: str) -> tuple[int, Any]:
        answer = self.ask(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
        return answer.status_code, answer.json()

    def standing(self) -> Any:
        return self.operator("GET", "/backups")[1]["latest"]

    def fill(self) -> None:
        assert self.ask("POST", "/products", json={"name": "pear"}).status_code == 201
        assert self.ask("PUT", "/photos/pear.jpg", data=PHOTO).status_code == 201

    def log_in(self, shop: Shop) -> requests.Session:
        """Somebody who may see the page, as the shop lets people in."""
        visitor = requests.Session()
        match shop.name:
            case "fastapi_shop":
                visitor.auth = ("operator", TOKEN)
            case "flask_shop":
                visitor.post(f"{self.url}/login", data={"token": TOKEN}, timeout=_PATIENCE)
            case _:
                form = visitor.get(f"{self.url}/login", timeout=_PATIENCE)
                said = {"username": "anna", "password": TOKEN, **dict(_HIDDEN.findall(form.text))}
                visitor.post(f"{self.url}/login", data=said, timeout=_PATIENCE)
        return visitor

    def shows_everything(self) -> bool:
        products, photo = self.ask("GET", "/products"), self.ask("GET", "/photos/pear.jpg")
        return products.json() == {"products": ["pear"]} and photo.content == PHOTO


def until(claim: Any) -> None:
    """Wait for what a process does by itself."""
    end = time.monotonic() + _PATIENCE
    while not claim():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def django_shop(root: Path, **variables: str) -> Shop:
    return Shop(
        "django_shop",
        root,
        serve=("manage.py", "runserver", "--noreload", "127.0.0.1:PORT"),
        backup=("manage.py", "backup"),
        prepare=("manage.py", "shell", "--verbosity=0", "-c", _SITE % TOKEN),
        variables=variables,
        files="media",
    )


def flask_shop(root: Path) -> Shop:
    flask = ("-m", "flask", "--app", "shop")
    return Shop(
        "flask_shop",
        root,
        serve=(*flask, "run", "--port=PORT"),
        backup=(*flask, "backup"),
        prepare=(*flask, "init"),
    )


def fastapi_shop(root: Path) -> Shop:
    return Shop(
        "fastapi_shop",
        root,
        serve=("-m", "uvicorn", "main:app", "--port=PORT"),
        backup=("-m", "backupkit"),
        variables={"BACKUPKIT_APP": "backups:pipeline"},
    )


def prepared(shop: Shop) -> Shop:
    (shop.data / shop.files).mkdir(parents=True)
    (shop.root / "backups").mkdir()
    if shop.prepare is not None:
        shop.call(*shop.prepare)
    return shop


@pytest.mark.parametrize("make", [django_shop, flask_shop, fastapi_shop])
def test_a_shop_backs_itself_up_loses_everything_and_gets_it_back(make: Any, tmp_path: Path) -> None:
    shop = prepared(make(tmp_path))
    with shop.served() as site:
        site.fill()
        visitor = site.log_in(shop)  # and is still known after the restore
        assert site.ask("POST", "/backups").status_code == 401
        assert site.operator("GET", "/health")[0] == 503  # no backup yet
        with closing(sqlite3.connect(shop.data / "shop.sqlite3", isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")  # for which a backup waits
            assert site.operator("POST", "/backups") == (202, {"latest": {"state": "under way"}})
            status, answer = site.operator("POST", "/backups")
            assert (status, "Another run of" in str(answer)) == (409, True)
            assert site.standing() == {"state": "under way"}  # and the shop serves meanwhile
            database.execute("ROLLBACK")
        until(lambda: site.standing() != {"state": "under way"})
        assert site.standing() == {"state": "succeeded", "problems": []}
        assert site.operator("GET", "/health") == (200, {"healthy": True, "problems": []})
        has_its_page(site, visitor)
    rmtree(shop.data)
    where = "default" if shop.name == "django_shop" else f"shop=sqlite:///{shop.data}/shop.sqlite3"
    shop.call(*shop.backup, "restore", "--to", str(shop.data), "--database", where, "--create")
    in_asgi = replace(shop, serve=("-m", "uvicorn", "shop.asgi:application", "--port=PORT"))
    with (in_asgi if shop.name == "django_shop" else shop).served() as site:
        assert site.shows_everything()
        if shop.name == "django_shop":
            has_its_page(site, visitor)


def has_its_page(site: Site, visitor: requests.Session) -> None:
    """Only for whom the shop knows; all of it is below its path; what is begun there can be followed."""
    stranger = site.ask("GET", f"{_PAGE}/", allow_redirects=False)
    assert stranger.status_code == 401 or stranger.headers["location"].startswith("/login")

    def get(address: str, **options: Any) -> requests.Response:
        return visitor.get(f"{site.url}{address}", timeout=_PATIENCE, **options)

    page = get(_PAGE)
    assert (page.status_code, page.url) == (200, f"{site.url}{_PAGE}/")
    addresses = {*_ADDRESSES.findall(page.text)}
    assert [one for _, one in addresses if not one.startswith(f"{_PAGE}/")] == []
    assert [one for kind, one in addresses if kind != "action" and get(one).status_code != 200] == []
    form = dict(_HIDDEN.findall(get(f"{_PAGE}/pipelines/shop").text))
    begun = visitor.post(f"{site.url}{_PAGE}/pipelines/shop/run", data=form, timeout=_PATIENCE)
    operation = begun.url.removeprefix(site.url)
    assert operation.startswith(f"{_PAGE}/operations/")
    until(lambda: "event: over" in get(f"{operation}/events").text)  # as often as a browser asks
    assert "It has succeeded" in get(operation).text


@pytest.mark.services
def test_a_django_shop_on_postgresql_gets_its_tables_back_by_their_alias(
    postgresql_server: Server, tmp_path: Path
) -> None:
    server = psycopg.connect(postgresql_server.url("postgres"), autocommit=True)
    with closing(server):
        server.execute("CREATE DATABASE shop")
        try:
            shop = django_shop(
                tmp_path,
                SHOP_POSTGRESQL_HOST="127.0.0.1",
                SHOP_POSTGRESQL_PORT=str(postgresql_server.port),
                SHOP_POSTGRESQL_USER=postgresql_server.user,
                SHOP_POSTGRESQL_PASSWORD=postgresql_server.password,
            )
            shop = prepared(replace(shop, prepare=("manage.py", "migrate", "--verbosity=0")))
            with shop.served() as site:
                site.fill()
                shop.call(*shop.backup, "run", "--quiet")
                with closing(psycopg.connect(postgresql_server.url("shop"), autocommit=True)) as database:
                    database.execute("TRUNCATE shop_product")
                (shop.data / "media" / "pear.jpg").unlink()
                assert not site.shows_everything()
                restore = ("restore", "--database", "default", "--to", str(shop.data), "--overwrite")
                shop.call(*shop.backup, *restore)
                assert site.shows_everything()
        finally:
            server.execute("DROP DATABASE shop WITH (FORCE)")


def test_a_server_that_is_stopped_ends_its_backup_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    shop = prepared(fastapi_shop(tmp_path))
    with shop.served() as site:
        site.fill()
        with closing(sqlite3.connect(shop.data / "shop.sqlite3", isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")  # for which the backup waits
            assert site.operator("POST", "/backups")[0] == 202
            site.process.send_signal(signal.SIGINT)
            until(lambda: "Waiting for application shutdown." in (tmp_path / "log").read_text())
            database.execute("ROLLBACK")
        site.process.wait(_PATIENCE)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert list((tmp_path / "backups").rglob("*.*")) == []


_ASKED_AND_GONE = """
import asyncio
from backups import runs

async def main():
    asking = asyncio.create_task(runs.start())
    await asyncio.sleep(0)  # it begins
    asking.cancel()
    await asyncio.wait([asking])
    assert len(asyncio.all_tasks()) == 2, "no run was begun"
    await runs.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "a run goes on"

asyncio.run(main())
"""


def test_a_run_is_ended_with_the_server_also_if_who_asked_for_it_is_gone(tmp_path: Path) -> None:
    shop = prepared(fastapi_shop(tmp_path))
    shop.call("-c", _ASKED_AND_GONE)
    assert list((tmp_path / "backups").rglob("*.*")) == []
