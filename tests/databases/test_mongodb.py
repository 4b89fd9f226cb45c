"""What is asked of a MongoDB server, held to what stands in for its driver: there is no server for these tests."""

from __future__ import annotations

from typing import Any

import pymongo
import pytest

from backupkit._scratch import ScratchDatabase
from backupkit.databases.mongodb import MongoDBClient
from backupkit.databases.programs import ClientError
from backupkit.databases.urls import parse_database_url
from backupkit.model import Entry, Problem
from backupkit.sources.all_databases import AllDatabases
from backupkit.sources.mongodb import MongoDB
from backupkit.targets.database import DatabaseTarget

URL = parse_database_url("mongodb://h/shop")
Collections = dict[str, list[str]]


@pytest.fixture
def databases(monkeypatch: pytest.MonkeyPatch) -> Collections:
    """The collections of each database of the server: MongoDB has no database without one."""
    there: Collections = {"admin": ["system.version"]}

    class Database:
        def __init__(self, name: str) -> None:
            self.name = name

        def list_collection_names(self) -> list[str]:
            return there.get(self.name, [])

    class Client:
        def __init__(self, _: str) -> None: ...

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

        def __getitem__(self, name: str) -> Database:
            return Database(name)

        def list_database_names(self) -> list[str]:
            return list(there)

        def drop_database(self, name: str) -> None:
            there.pop(name, None)

    monkeypatch.setattr(pymongo, "MongoClient", Client)
    return there


def test_a_database_is_missing_until_something_is_put_into_it(databases: Collections) -> None:
    client = MongoDBClient(URL)
    assert client.state() == "missing"
    client.create()
    databases["shop"] = ["orders"]
    assert client.state() == "filled"
    assert client.databases() == ["shop"]
    with pytest.raises(ClientError, match="already"):
        client.create()
    client.drop()
    assert client.state() == "missing"


def test_a_database_that_is_missing_is_only_restored_to_when_it_may_be_made(databases: Collections) -> None:
    dump = Entry(path="db-dumps/mongodb-shop.archive")
    (problem,) = DatabaseTarget(URL).check([dump])
    assert "create=True" in problem.message
    assert list(DatabaseTarget(URL, create=True).check([dump])) == []
    databases["shop"] = ["orders"]
    (problem,) = DatabaseTarget(URL, create=True).check([dump])
    assert "overwrite=True" in problem.message


@pytest.mark.parametrize("name", ["made up", "given"])
def test_a_drill_has_its_scratch_database_and_leaves_none(databases: Collections, name: str) -> None:
    told: list[Problem] = []
    scratch = ScratchDatabase(URL, None, made_up=name == "made up")
    scratch.check("db-dumps/mongodb-shop.archive")
    with scratch.made("db-dumps/mongodb-shop.archive", keep=False, tell=told.append, used=lambda: True):
        databases["shop"] = ["orders"]
    assert list(databases) == ["admin"]
    assert told == []


@pytest.mark.parametrize("options", ["tlsCAFile=/none.pem", "tlsInsecure=true&tlsAllowInvalidHostnames=true"])
def test_options_that_nothing_comes_of_are_told(options: str) -> None:
    with pytest.raises(ClientError, match=r"pymongo cannot connect: .*(not readable|simultaneously)"):
        MongoDBClient(parse_database_url(f"mongodb://h/shop?tls=true&{options}")).state()


def test_what_the_driver_raises_besides_its_own_errors_is_told_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(url: str) -> Any:
        raise TypeError(f"nothing to be done with {url}")

    monkeypatch.setattr(pymongo, "MongoClient", refuse)
    with pytest.raises(ClientError, match="nothing to be done") as raised:
        MongoDBClient(parse_database_url("mongodb://me:s3cret%40word@h/shop")).databases()
    assert "s3cret" not in str(raised.value)


def test_every_database_of_a_server_has_a_dump_of_its_own(databases: Collections) -> None:
    databases.update(shop=["orders"], blog=["posts"])
    source = AllDatabases(MongoDB("mongodb://u:p@h", count_rows=True))
    found = [entry.path for entry in source.entries()]
    assert found == ["db-dumps/mongodb-h/blog.archive", "db-dumps/mongodb-h/shop.archive"]
    assert str(source.database_of(found[0] or "")) == "mongodb://u@h/blog"


def test_the_oplog_of_a_whole_server_is_no_part_of_one_database(databases: Collections) -> None:
    databases["shop"] = ["orders"]
    (problem,) = AllDatabases(MongoDB("mongodb://h", oplog=True)).entries()
    assert isinstance(problem, Problem)
    assert "oplog=True is for a whole server" in problem.message
