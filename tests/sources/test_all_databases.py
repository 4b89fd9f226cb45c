from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backupkit.databases.clients import State
from backupkit.databases.programs import ClientError
from backupkit.databases.urls import DatabaseURL, parse_database_url
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import DUMPS, Contents, Entry, Problem
from backupkit.protocols import Source
from backupkit.sources._names import check_path
from backupkit.sources.all_databases import AllDatabases
from backupkit.sources.sqlite import SQLite
from backupkit.testing.sources import SourceTests


@dataclass(frozen=True)
class Client:
    """A server with these databases, or one that does not answer."""

    url: DatabaseURL
    names: tuple[str, ...]

    def databases(self) -> list[str]:
        if not self.names:
            raise ClientError("The server cannot be reached: is it running?", retryable=True)
        return sorted(name for name in self.names if name != "postgres")

    def state(self) -> State:
        raise NotImplementedError

    def create(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        raise NotImplementedError

    def count_rows(self) -> Mapping[str, int]:
        raise NotImplementedError


@dataclass(frozen=True)
class Server:
    """A source whose dump is the name of its database."""

    url: DatabaseURL
    names: tuple[str, ...]
    name: str = "postgresql-one.sql"
    contents: Contents = "databases"
    tools: Path | None = None

    def client(self) -> Client:
        return Client(self.url, self.names)

    def with_database(self, name: str, *, dump_name: str) -> Server:
        check_path(dump_name, of=f"The dump of {name!r}")
        return replace(self, url=replace(self.url, database=name), name=f"postgresql-{dump_name}.sql")

    def entries(self) -> Iterator[Entry]:
        yield Entry(path=f"{DUMPS}/{self.name}", chunks=lambda: iter([self.url.database.encode()]))

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None


def server(*names: str, url: str = "postgresql://db.example/postgres") -> Server:
    return Server(parse_database_url(url), names)


def paths(source: Source) -> list[str | None]:
    return [one.path for one in source.entries()]


class TestAllDatabases(SourceTests):
    @pytest.fixture
    def source(self) -> Source:
        return AllDatabases(server("shop", "orders", "a b"))

    @pytest.fixture
    def failing_source(self) -> Source:
        return AllDatabases(server())


def test_every_database_has_a_dump_in_the_server_s_folder() -> None:
    source = AllDatabases(server("shop", "postgres", "orders"))
    assert source.name == "postgresql-db.example"
    assert paths(source) == [
        "db-dumps/postgresql-db.example/orders.sql",
        "db-dumps/postgresql-db.example/shop.sql",
    ]


def test_a_new_database_is_found_by_the_next_run() -> None:
    source = AllDatabases(server("shop"))
    object.__setattr__(source.source, "names", ("shop", "new"))
    assert paths(source)[0] == "db-dumps/postgresql-db.example/new.sql"


def test_names_and_patterns_say_which() -> None:
    names = server("shop", "shop_test", "orders", "[x]")
    assert paths(AllDatabases(names, name="main", include=["shop*", "[x]"], exclude=["*_test"])) == [
        "db-dumps/postgresql-main/[x].sql",
        "db-dumps/postgresql-main/shop.sql",
    ]


def test_a_server_on_this_machine_is_called_localhost() -> None:
    source = AllDatabases(server("shop", url="postgresql:///postgres?host=/run/postgresql"))
    assert source.name == "postgresql-localhost"


def test_a_database_that_no_dump_can_be_named_after_is_a_problem_and_the_others_follow() -> None:
    first, second = AllDatabases(server("a/../b", "shop")).entries()
    assert isinstance(first, Problem)
    assert "a/../b" in first.message
    assert second.path == "db-dumps/postgresql-db.example/shop.sql"


def test_to_find_none_is_an_error() -> None:
    with pytest.raises(SourceError, match="No database was found"):
        list(AllDatabases(server("shop"), exclude=["*"]).entries())


def test_a_server_that_does_not_answer_is_asked_again_later() -> None:
    with pytest.raises(SourceError, match="cannot be reached") as failed:
        list(AllDatabases(server()).entries())
    assert failed.value.retryable


def test_a_drill_can_tell_which_database_each_dump_is_of() -> None:
    source = AllDatabases(server("shop.v2"))
    (entry,) = source.entries()
    assert entry.path is not None
    url = source.database_of(entry.path)
    assert url is not None
    assert (url.host, url.database) == ("db.example", "shop.v2")
    assert source.database_of("db-dumps/postgresql-shop.sql") is None


def test_a_source_of_one_file_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SQLite is no source of a database server"):
        AllDatabases(SQLite("app.db"))  # type: ignore[arg-type]


def test_one_text_is_no_list_of_names() -> None:
    with pytest.raises(ConfigurationError, match="give a list"):
        AllDatabases(server("shop"), exclude="shop")


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ((), ["backupkit_drills", "shop"]),
        (("*",), ["backupkit_drills", "shop"]),
        (
            ("shop", "backupkit_kept_20261126050000_0123456789"),
            ["backupkit_kept_20261126050000_0123456789", "shop"],
        ),
    ],
)
def test_scratch_databases_of_drills_are_left_out_unless_one_is_named(
    include: tuple[str, ...], found: list[str]
) -> None:
    scratch = ("backupkit_drill_20261126050000_0123456789", "backupkit_kept_20261126050000_0123456789")
    entries = AllDatabases(server("shop", "backupkit_drills", *scratch), include=include).entries()
    assert [b"".join(entry.chunks()).decode() for entry in entries if isinstance(entry, Entry)] == found
