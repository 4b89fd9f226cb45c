"""MongoDB dumps, held to a program that stands in for mongodump: there is no server for these tests."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.mongodb import MongoDBClient, connection_string
from backupkit.databases.mongodb_archive import Contents, whole_archive
from backupkit.databases.programs import ClientError
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError, SourceError
from backupkit.protocols import Source
from backupkit.sources.databases import database
from backupkit.sources.mongodb import MongoDB
from backupkit.testing.sources import SourceTests
from tests import servers
from tests.sources.mongodb_archives import (
    END,
    MAGIC,
    archive,
    block,
    bson,
    ended,
    listed,
    record_of,
    stand_in,
)

SHOP = archive({"shop": {"orders": 3, "users": 1, "empty": 0}})
PASSWORD = servers.PASSWORD
URL = (
    "mongodb://admin:q%22u%27o%5Cte%20%231%20%2541%3A%40%2F%20end@a:1,b:2/shop?replicaSet=rs&authSource=admin"
)
SHORT = timedelta(seconds=0.3)


class TestMongoDBSource(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        stand_in(tmp_path, "mongodump", "out.write(content)", SHOP)
        return MongoDB(URL, tools=tmp_path)

    @pytest.fixture
    def failing_source(self, tmp_path: Path) -> Source:
        (tmp_path / "bad").mkdir()
        stand_in(tmp_path / "bad", "mongodump", "out.write(content); sys.exit(1)", SHOP)
        return MongoDB(URL, tools=tmp_path / "bad")


def dumped(source: MongoDB) -> bytes:
    (entry,) = source.entries()
    return b"".join(entry.chunks())


def failure(source: MongoDB) -> SourceError:
    with pytest.raises(SourceError) as raised:
        dumped(source)
    assert PASSWORD not in str(raised.value)
    return raised.value


def read(content: bytes, piece: int = 1 << 20) -> Contents:
    contents = Contents()
    pieces = [content[start : start + piece] for start in range(0, len(content), piece)]
    assert b"".join(whole_archive(pieces, contents)) == content
    return contents


def test_the_connection_string_stands_in_a_private_file_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    stand_in(tmp_path, "mongodump", "out.write(content)", SHOP)
    assert dumped(MongoDB(URL, tools=tmp_path, extra_options=["--verbose"])) == SHOP
    record = record_of(tmp_path)
    assert record["config"] == f'uri: "{URL}"\n'
    assert record["mode"] == 0o600
    assert record["argv"][1:] == ["--archive", "--numParallelCollections=1", "--verbose"]
    assert "DATABASE_URL" not in record["env"]
    for secret in (PASSWORD, "%2541"):
        assert secret not in str([record["argv"], record["env"]])


@pytest.mark.parametrize(
    ("url", "options", "arguments"),
    [
        ("mongodb://h/shop", {"collections": ["orders"]}, ["--collection=orders"]),
        (
            "mongodb://h/shop",
            {"exclude_collections": ["a", "b"]},
            ["--excludeCollection=a", "--excludeCollection=b"],
        ),
        ("mongodb://h", {"oplog": True}, ["--oplog"]),
    ],
)
def test_each_option_becomes_one_of_mongodump(
    tmp_path: Path, url: str, options: dict[str, Any], arguments: list[str]
) -> None:
    stand_in(tmp_path, "mongodump", "out.write(content)", SHOP)
    dumped(MongoDB(url, tools=tmp_path, **options))
    assert record_of(tmp_path)["argv"][3:] == arguments


def test_documents_are_counted_in_the_archive(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongodump", "out.write(content)", SHOP)
    (entry,) = MongoDB(URL, tools=tmp_path, count_rows=True).entries()
    list(entry.chunks())
    assert entry.rows == {"orders": 3, "users": 1, "empty": 0}


def test_what_the_server_keeps_for_itself_is_not_counted_and_time_series_are_by_their_buckets() -> None:
    head = (
        MAGIC
        + bson({"version": "0.1"})
        + listed("shop", "weather", "timeseries")
        + listed("shop", "system.js")
    )
    buckets = block("shop", "system.buckets.weather", [bson({"n": 1})]) + ended(
        "shop", "system.buckets.weather"
    )
    functions = block("shop", "system.js", [bson({"n": 1})]) + ended("shop", "system.js")
    oplog = block("", "oplog", [bson({"n": 1})]) + ended("", "oplog")
    contents = read(head + END + buckets + functions + oplog)
    assert contents.rows("shop") == {"system.buckets.weather": 1}
    assert contents.databases == ["shop"]


def test_all_databases_of_a_server_are_counted_with_their_names() -> None:
    contents = read(archive({"shop": {"orders": 2}, "blog": {"posts": 1}}))
    assert contents.rows("") == {"shop.orders": 2, "blog.posts": 1}
    assert contents.databases == ["blog", "shop"]


def test_documents_of_one_collection_may_come_in_several_blocks() -> None:
    head = MAGIC + bson({"version": "0.1"}) + listed("d", "a") + listed("d", "b") + END
    one, other = block("d", "a", [bson({"n": 1})]), block("d", "b", [bson({"n": 1})] * 2)
    contents = read(head + one + other + one + ended("d", "b") + ended("d", "a"))
    assert contents.rows("d") == {"a": 2, "b": 2}


@given(st.integers(1, 40))
def test_an_archive_is_read_alike_however_it_comes(piece: int) -> None:
    assert read(SHOP, piece).rows("shop") == {"orders": 3, "users": 1, "empty": 0}


def test_an_archive_that_ends_anywhere_else_is_an_error() -> None:
    for end in range(len(SHOP)):
        with pytest.raises(ClientError):
            read(SHOP[:end])


@given(st.lists(st.binary(max_size=30)), st.integers(0, len(SHOP)))
def test_whatever_comes_only_our_errors_get_out(pieces: list[bytes], begun: int) -> None:
    with suppress(ClientError):
        list(whole_archive([SHOP[:begun], *pieces], Contents()))


@given(st.integers(0, len(SHOP) - 1), st.integers(1, 255))
def test_a_changed_byte_lets_only_our_errors_out(at: int, change: int) -> None:
    with suppress(ClientError):
        list(whole_archive([SHOP[:at] + bytes([SHOP[at] ^ change]) + SHOP[at + 1 :]], Contents()))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "ends too early"),
        ("out.write(content[:-1])", "ends too early"),
        (
            "out.write(content[: content.index(b'users') - 30])",
            "no end of the collection|ends too early|damaged",
        ),
        ("out.write(b'not an archive at all')", "no archive of mongodump"),
        ("out.write(content + b'trailing')", "damaged"),
        ("out.write(content); sys.exit(2)", "exited with status 2"),
        ("out.write(content); out.flush(); os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        (
            "sys.stderr.write('Failed: (AuthenticationFailed) Authentication failed.'); sys.exit(1)",
            "refused the user",
        ),
        (
            "sys.stderr.write('server selection error: server selection timeout'); sys.exit(1)",
            "cannot be reached",
        ),
        ("sys.stderr.write('unknown option \"config\"'); sys.exit(1)", "too old"),
        ("sys.stderr.write('not authorized on shop to execute command'); sys.exit(1)", "role backup"),
        ("sys.stderr.write('unexpected EOF'); sys.exit(1)", "went away in the middle"),
        ("sys.stderr.write(record['config'] * 1000); sys.exit(1)", "exited with status 1"),
    ],
)
def test_a_program_that_fails_or_lies_is_an_error(tmp_path: Path, code: str, said: str) -> None:
    stand_in(tmp_path, "mongodump", code, SHOP)
    error = failure(MongoDB(URL, tools=tmp_path))
    assert any(one in str(error) for one in said.split("|")), error


def test_a_program_that_stalls_is_ended(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongodump", "time.sleep(100)")
    assert "wrote nothing for" in str(failure(MongoDB(URL, tools=tmp_path, silence_limit=SHORT)))


def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    assert "mongodump is not installed" in str(failure(MongoDB(URL, tools=tmp_path)))


def test_a_database_that_is_not_there_makes_an_empty_archive_which_is_an_error(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongodump", "out.write(content)", archive({}))
    assert "holds no collection" in str(failure(MongoDB(URL, tools=tmp_path)))


def test_a_collection_that_is_not_there_is_told(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongodump", "out.write(content)", SHOP)
    error = failure(MongoDB(URL, tools=tmp_path, collections=["order"]))
    assert "no collection 'order'" in str(error)


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("redis://h", {}, "no mongodb database"),
        ("mongodb://h/d?colour=red", {}, "has the option 'colour'"),
        ("mongodb://h/d", {"collections": "orders"}, "is one text"),
        ("mongodb://h/d", {"collections": ["a", "b"]}, "takes one collection"),
        ("mongodb://h/d", {"collections": ["a"], "exclude_collections": ["b"]}, "exclude each other"),
        ("mongodb://h", {"exclude_collections": ["b"]}, "names none"),
        ("mongodb://h/d", {"oplog": True}, "whole server"),
        ("mongodb://h/d", {"extra_options": ["--password=x"]}, "would be seen by every user"),
        ("mongodb://h/d", {"extra_options": ["--gzip"]}, "cannot hold --gzip"),
        ("mongodb://h/d", {"time_limit": timedelta(0)}, "no time"),
    ],
)
def test_contradictions_are_refused_at_once(url: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        MongoDB(url, **options)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("mongodb://h/shop", "mongodb-shop.archive"),
        ("mongodb+srv://cluster.example/shop", "mongodb-shop.archive"),
        ("mongodb://a:1,b:2", "mongodb-a-1.archive"),
        ("mongodb://", "mongodb-localhost-27017.archive"),
    ],
)
def test_a_dump_is_named_after_its_database_or_server(url: str, name: str) -> None:
    source = database(url)
    assert source.name == name


@pytest.mark.parametrize(
    ("url", "database", "written"),
    [
        ("mongodb://h/shop", None, "mongodb://h/shop"),
        ("mongodb://h/shop", "", "mongodb://h/"),
        ("mongodb://u:p%40@h/shop", "", "mongodb://u:p%40@h/?authSource=shop"),
        ("mongodb://u:p@h/shop?authSource=admin", "", "mongodb://u:p@h/?authSource=admin"),
        ("mongodb://u@h/shop?authMechanism=MONGODB-X509", "", "mongodb://u@h/?authMechanism=MONGODB-X509"),
        ("mongodb+srv://u:p@c.example/shop?readPreference=secondary", None,
         "mongodb+srv://u:p@c.example/shop?readPreference=secondary"),
        ("mongodb+pymongo://h/shop", None, "mongodb://h/shop"),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock/shop", None, "mongodb://%2Ftmp%2Fmongodb-27017.sock/shop"),
        ("mongodb://[::1]:27018/shop", None, "mongodb://[::1]:27018/shop"),
    ],
)  # fmt: skip
def test_a_url_is_written_as_mongodb_takes_it(url: str, database: str | None, written: str) -> None:
    assert connection_string(parse_database_url(url), database) == written


def test_a_server_that_is_not_there_is_told_by_the_client_without_the_password() -> None:
    options = "serverSelectionTimeoutMS=200"
    url = parse_database_url(f"mongodb://u:s3cret-word@127.0.0.1:{servers.free_port()}/shop?{options}")
    with pytest.raises(ClientError, match="cannot be reached") as raised:
        MongoDBClient(url).state()
    assert "s3cret-word" not in str(raised.value)
