"""Loading MongoDB archives, held to a program that stands in for mongorestore: these tests have no server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backupkit.databases.mongodb import MongoDBClient
from backupkit.databases.programs import ClientError, Limits
from backupkit.databases.urls import parse_database_url
from backupkit.targets.database import Loading
from backupkit.targets.mongodb import load_mongodb
from tests.servers import PASSWORD
from tests.sources.mongodb_archives import archive, record_of, stand_in

SHOP = archive({"shop": {"orders": 300, "users": 1}})
SECRET = "q%22u%27o%5Cte%20%231%20%2541%3A%40%2F%20end"
KEEP = "given = sys.stdin.buffer.read(); open(folder + '/got', 'wb').write(given)"


def load(
    folder: Path, content: bytes, database: str = "shop", *, piece: int = 50, limit: float | None = None
) -> None:
    client = MongoDBClient(parse_database_url(f"mongodb://admin:{SECRET}@h/{database}"), folder)
    limits = Limits(time=None if limit is None else timedelta(seconds=limit))
    pieces = (content[start : start + piece] for start in range(0, len(content), piece))
    load_mongodb(client, pieces, Loading(replace=False, tables=(), limits=limits))


def test_the_archive_is_fed_whole_and_the_password_stands_in_a_private_file(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    load(tmp_path, SHOP)
    assert (tmp_path / "got").read_bytes() == SHOP
    record = record_of(tmp_path)
    assert record["config"] == f'uri: "mongodb://admin:{SECRET}@h/?authSource=shop"\n'
    assert record["mode"] == 0o600
    assert record["argv"][1:] == ["--archive", "--drop", "--stopOnError", "--nsInclude=shop.*"]
    for secret in (PASSWORD, SECRET):
        assert secret not in str([record["argv"], record["env"]])


def test_a_dump_of_one_database_goes_into_another(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    load(tmp_path, SHOP, "shop_drill")
    assert record_of(tmp_path)["argv"][4:] == ["--nsInclude=shop.*", "--nsFrom=shop.*", "--nsTo=shop_drill.*"]


def test_of_a_dump_of_several_databases_the_one_of_that_name_is_taken(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    load(tmp_path, archive({"admin": {"users": 1}, "shop": {"a": 1}, "blog": {"b": 1}}), "blog")
    assert record_of(tmp_path)["argv"][4:] == ["--nsInclude=blog.*"]


def test_of_a_dump_of_several_databases_another_name_is_refused(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    with pytest.raises(ClientError, match="several databases"):
        load(tmp_path, archive({"shop": {"a": 1}, "blog": {"b": 1}}), "other")
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends too early"),
        (b"-- MySQL dump 10.13\n", "no archive of mongodump"),
        (archive({}), "holds no collection"),
        (SHOP[:-4], "ends too early"),
        (SHOP[: len(SHOP) // 2], "ends too early"),
    ],
)
def test_a_damaged_archive_is_an_error_and_never_taken_for_whole(
    tmp_path: Path, content: bytes, said: str
) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    with pytest.raises(ClientError, match=said):
        load(tmp_path, content)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.stdin.buffer.read(); sys.exit(1)", "exited with status 1"),
        (
            "sys.stdin.buffer.read(); sys.stderr.write('E11000 duplicate key error'); sys.exit(1)",
            "already where",
        ),
        ("sys.stdin.buffer.read(10)", "ended before it had read all"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("sys.stdin.buffer.read(); sys.stderr.write(record['config']); sys.exit(1)", "exited with status 1"),
    ],
)
def test_a_program_that_fails_or_lies_is_an_error(tmp_path: Path, code: str, said: str) -> None:
    stand_in(tmp_path, "mongorestore", code)
    with pytest.raises(ClientError, match=said) as raised:
        load(tmp_path, archive({"shop": {"orders": 3000}}), piece=1 << 20)
    assert PASSWORD not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", "time.sleep(100)")
    with pytest.raises(ClientError, match="took longer than"):
        load(tmp_path, SHOP, limit=0.5)


def test_what_the_archive_raises_passes_through(tmp_path: Path) -> None:
    stand_in(tmp_path, "mongorestore", KEEP)
    client = MongoDBClient(parse_database_url("mongodb://h/shop"), tmp_path)

    def chunks() -> Iterator[bytes]:
        yield SHOP[:1000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        load_mongodb(client, chunks(), Loading(replace=False, tables=(), limits=Limits()))
    assert not (tmp_path / "got").exists()
