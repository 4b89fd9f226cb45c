from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.mongodb import MongoDBClient
from backupkit.databases.mysql import MySQLClient
from backupkit.databases.postgresql_errors import meaning_of
from backupkit.databases.programs import (
    Access,
    ClientError,
    Outside,
    answer_of,
    check_extra_options,
    environment,
    find_program,
    is_outside,
    output_of,
    readable,
    with_tail,
)
from backupkit.databases.redis import RedisClient
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError

SSL = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def nothing_known(said: str) -> None:
    return None


def access(**more: str) -> Access:
    return Access(env=environment(**more), secrets=("hunter2", "geheim nis"))


def sh(code: str) -> list[str]:
    return ["sh", "-c", code]


def failure(code: str) -> ClientError:
    with pytest.raises(ClientError) as failed:
        answer_of(sh(code), access(), explain=nothing_known)
    return failed.value


def test_a_client_sees_little_of_this_process_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    found = environment("PG", without={"PGPASSWORD"}, EXTRA="1")
    assert set(found) <= {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "TZ",
        *SSL,
        "PGSSLMODE",
        "EXTRA",
        "LC_ALL",
    }
    assert (found["PGSSLMODE"], found["EXTRA"], found["LC_ALL"]) == ("require", "1", "C")


def test_what_a_program_says_is_quoted_on_one_line_without_secrets() -> None:
    error = failure("echo 'no: hunter2' >&2; printf 'at \\033[1mpostgresql://u:p@h\\n' >&2; exit 4")
    assert str(error) == "sh exited with status 4; it said: no: *** at [1mpostgresql://***@h."


def test_a_flood_of_complaints_is_quoted_from_its_end() -> None:
    error = str(failure("yes complaint | head -c 100000 >&2; echo the last >&2; exit 1"))
    assert len(error) < 1300
    assert error.endswith("the last.")


@given(st.binary(max_size=200))
def test_whatever_a_program_says_can_be_read(said: bytes) -> None:
    text = readable(said + b"hunter2", ["hunter2"])
    assert text.isprintable()
    assert "hunter2" not in text


def test_a_program_that_is_not_there_is_said_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"no-such or neither is not installed.*Debian: x.*tools="):
        find_program(["no-such", "neither"], None, package="Debian: x")
    with pytest.raises(ClientError, match=str(tmp_path)):
        find_program(["sh"], tmp_path, package="Debian: x")


def test_the_folder_of_tools_comes_before_the_path(tmp_path: Path) -> None:
    own = tmp_path / "sh"
    own.write_text("#!/bin/sh\n")
    own.chmod(own.stat().st_mode | stat.S_IXUSR)
    assert find_program(["sh"], tmp_path, package="") == os.fspath(own)


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(ClientError, match="broken could not be started"):
        list(output_of([os.fspath(broken)], access(), explain=nothing_known))


def test_arguments_of_the_access_come_first() -> None:
    code = "import sys; print(sys.argv[1:])"
    reaching = Access(env=environment(), arguments=("-c", code, "host"))
    assert answer_of([sys.executable, "last"], reaching, explain=nothing_known) == "['host', 'last']\n"


@given(st.lists(st.binary(max_size=6000), max_size=8))
def test_the_tail_is_the_end_of_what_passed(chunks: list[bytes]) -> None:
    tail = bytearray()
    assert list(with_tail(chunks, tail)) == chunks
    whole = b"".join(chunks)
    assert bytes(tail) == whole[-len(tail) :] if tail else not whole
    assert len(tail) >= min(len(whole), 4096)


@pytest.mark.parametrize("option", ["--password=x", "-px", "--uri=mongodb://u:p@h", "--password"])
def test_a_password_among_the_extra_options_is_refused_unquoted(option: str) -> None:
    with pytest.raises(ConfigurationError, match="seen by every user") as refused:
        check_extra_options(["--verbose", option])
    assert option not in str(refused.value)


def test_one_text_is_no_list_of_options() -> None:
    with pytest.raises(ConfigurationError, match="give a list"):
        check_extra_options("--verbose")


def test_the_access_to_a_server_shows_no_secret() -> None:
    assert "hunter2" not in repr(access())


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ("ERROR 1114 (HY000) at line 27: The table 't' is full", True),
        ("ERROR 1021 (HY000) at line 3: Disk full (/tmp/x); waiting for someone to free some space", True),
        ("ERROR 3 (HY000) at line 3: Error writing file './a/b.MYD' (Errcode: 28 \"No space left\")", True),
        ("ERROR 1030 (HY000) at line 3: Got error 28 from storage engine", True),
        ('ERROR 1026 (HY000): Error writing file (errno: 122 "Disk quota exceeded")', True),
        ("ERROR 2013 (HY000) at line 3: Lost connection to server during query", True),
        ("ERROR 1064 (42000) at line 3: You have an error in your SQL syntax near '28'", False),
        ("ERROR 1062 (23000) at line 28: Duplicate entry '122' for key 'PRIMARY'", False),
    ],
)
def test_mysql_s_trouble_with_its_disk_is_told_from_trouble_with_a_dump(said: str, outside: bool) -> None:
    meaning = MySQLClient(parse_database_url("mysql://h/d")).explain(said)
    assert isinstance(meaning, Outside) is outside


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ('ERROR:  could not extend file "base/5/1": No space left on device', True),
        ('ERROR:  could not write to file "base/pgsql_tmp/1": Disk quota exceeded', True),
        ("ERROR:  out of memory", True),
        ("server closed the connection unexpectedly", True),
        ('ERROR:  role "app" does not exist', False),
        ('ERROR:  duplicate key value violates unique constraint "a"', False),
    ],
)
def test_postgresql_s_trouble_with_its_disk_is_told_from_trouble_with_a_dump(
    said: str, outside: bool
) -> None:
    assert isinstance(meaning_of(said), Outside) is outside


def test_trouble_from_outside_is_seen_through_what_it_causes() -> None:
    def caused_by(cause: BaseException) -> BaseException:
        try:
            raise ClientError("it failed") from cause
        except ClientError as error:
            return error

    assert is_outside(caused_by(OSError(errno.ENOSPC, "No space left on device")))
    assert is_outside(caused_by(ClientError("full", outside=True)))
    assert not is_outside(caused_by(ConnectionResetError(errno.ECONNRESET, "reset")))
    assert not is_outside(caused_by(ValueError("what a dump holds")))


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ("MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk.", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("Could not connect to Redis at h:1: Connection refused", True),
        ("WRONGPASS invalid username-password pair", False),
        ("NOPERM this user has no permissions to run the 'replicaof' command", False),
    ],
)
def test_redis_trouble_with_its_room_is_told_from_other_trouble(said: str, outside: bool) -> None:
    meaning = RedisClient(parse_database_url("redis://h")).explain(said)
    assert isinstance(meaning, Outside) is outside


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ("(OutOfDiskSpace) available disk space is less than required", True),
        ("error writing: No space left on device", True),
        ("(AuthenticationFailed) Authentication failed.", False),
        ("E11000 duplicate key error collection: shop.orders", False),
    ],
)
def test_mongodb_s_trouble_with_its_disk_is_told_from_other_trouble(said: str, outside: bool) -> None:
    meaning = MongoDBClient(parse_database_url("mongodb://h/d")).explain(said)
    assert isinstance(meaning, Outside) is outside
