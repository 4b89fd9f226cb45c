"""Limits: what counts against which, and that no more runs than that are under way."""

from __future__ import annotations

import threading
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from backupkit import (
    AllDatabases,
    Around,
    BackupAlreadyRunningError,
    ConfigurationError,
    Directory,
    Limits,
    LocalDestination,
    MachineLock,
    MariaDB,
    MongoDB,
    MySQL,
    Parallel,
    PostgreSQL,
    PostgreSQLRoles,
    Redis,
    SQLite,
    open_destination,
)
from backupkit.protocols import AsksServers, Destination, Source
from backupkit.testing.destinations import MemoryDestination

S3 = open_destination("s3://backups/shop", endpoint_url="https://minio.internal")


@pytest.fixture
def lock(tmp_path: Path) -> MachineLock:
    return MachineLock(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "destination"),
    [
        ("s3://backups", S3),
        ("s3://backups/", S3),
        ("s3://backups/shop", S3),
        ("s3://*", S3),
        ("s3://back?ps", S3),
        ("file:///mnt/backup", LocalDestination("/mnt/backup")),
        ("file:///mnt", LocalDestination("/mnt/backup")),
        ("memory:*", MemoryDestination("second")),
    ],
)
def test_a_destination_counts_by_where_it_is(
    lock: MachineLock, pattern: str, destination: Destination
) -> None:
    assert Limits({pattern: 2}, lock=lock).matching([destination], []) == {pattern: 2}


@pytest.mark.parametrize(
    "pattern", ["s3://backup", "s3://backups/shop/a", "s3://other*", "backups", "minio*"]
)
def test_what_is_elsewhere_does_not_count(lock: MachineLock, pattern: str) -> None:
    assert Limits({pattern: 2}, lock=lock).matching([S3], []) == {}


@pytest.mark.parametrize(
    "source",
    [
        PostgreSQL("postgresql://u:p@DB1.internal:5433/shop"),
        PostgreSQLRoles("postgresql://u@db1.internal"),
        MySQL("mysql://u@db1.internal/shop"),
        MariaDB("mariadb://u@db1.internal/shop"),
        MongoDB("mongodb://db0.internal,db1.internal/shop"),
        Redis("redis://db1.internal"),
        AllDatabases(MySQL("mysql://u@db1.internal/any")),
        Around(PostgreSQL("postgresql://u@db1.internal/shop"), nullcontext),
        Parallel(Redis("redis://h"), AllDatabases(PostgreSQL("postgresql://db1.internal/postgres"))),
        Around(Parallel(Redis("redis://db1.internal")), nullcontext),
    ],
    ids=lambda source: type(source).__name__,
)
def test_a_source_counts_by_the_host_of_its_database(lock: MachineLock, source: Source) -> None:
    assert isinstance(source, AsksServers)
    limits = Limits({"db1.internal": 1, "DB1.*": 2, "db2.*": 1}, lock=lock)
    assert limits.matching([], [source]) == {"db1.internal": 1, "DB1.*": 2}


@pytest.mark.parametrize(
    "source",
    [
        Directory("/srv/db1.internal"),
        SQLite("db1.internal"),
        PostgreSQL("postgresql://u@%2Frun%2Fpostgresql/shop"),
        Around(Directory("/srv"), nullcontext),
        Parallel(SQLite("db1.internal")),
    ],
    ids=lambda source: type(source).__name__,
)
def test_a_source_without_a_host_counts_against_none(lock: MachineLock, source: Source) -> None:
    assert Limits({"*": 1}, lock=lock).matching([], [source]) == {}


def test_one_more_than_the_limit_is_refused_by_its_name_until_another_ends(lock: MachineLock) -> None:
    limits = Limits({"memory:*": 2, "s3://*": 1}, lock=lock)
    with limits.hold([MemoryDestination()], []), ExitStack() as second:
        second.enter_context(limits.hold([MemoryDestination("other")], []))
        with (
            pytest.raises(BackupAlreadyRunningError, match=r"No more runs than 2 may use memory:\*"),
            limits.hold([MemoryDestination()], []),
        ):
            pass
        with limits.hold([S3], []):
            pass
        second.close()
        with limits.hold([MemoryDestination()], []):
            pass


def test_what_matches_nothing_is_held_up_by_nothing(lock: MachineLock) -> None:
    limits = Limits({"s3://*": 1}, lock=lock)
    with limits.hold([MemoryDestination()], []), limits.hold([MemoryDestination()], []):
        pass


def test_whoever_reaches_one_limit_gives_back_what_it_took_of_others(lock: MachineLock) -> None:
    limits = Limits({"db1.internal": 1, "memory:*": 1}, lock=lock)
    source = Redis("redis://db1.internal")
    with limits.hold([MemoryDestination()], []):
        with (
            pytest.raises(BackupAlreadyRunningError, match=r"memory:\*"),
            limits.hold([MemoryDestination()], [source]),
        ):
            pass
        with limits.hold([], [source]):
            pass


def test_two_places_under_one_limit_are_one_run(lock: MachineLock) -> None:
    with Limits({"*": 1}, lock=lock).hold(
        [MemoryDestination("a"), MemoryDestination("b")], [Redis("redis://h")]
    ):
        pass


def test_of_many_at_once_as_many_get_on_as_may(lock: MachineLock) -> None:
    limits = Limits({"memory:*": 3}, lock=lock)
    begin, tried, end = threading.Barrier(8), threading.Semaphore(0), threading.Event()
    inside: list[int] = []

    def work(number: int) -> None:
        begin.wait()
        try:
            with limits.hold([MemoryDestination()], []):
                inside.append(number)
                tried.release()
                end.wait()
        except BackupAlreadyRunningError:
            tried.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert tried.acquire(timeout=60)
    end.set()
    for thread in threads:
        thread.join()
    assert len(inside) == 3


@pytest.mark.parametrize("limits", [{"s3://*": 0}, {"s3://*": True}, {"s3://*": 1.5}, {"": 1}])
def test_a_limit_that_is_not_possible_is_refused(lock: MachineLock, limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="The limit "):
        Limits(limits, lock=lock)
