"""Redis dumps without a server: what is refused, how RDB files are read, and programs that lie, stall and die."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.programs import ClientError
from backupkit.databases.rdb import used_memory, whole_rdb
from backupkit.databases.rdb_keys import count_keys
from backupkit.databases.redis import RedisClient
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError, SourceError
from backupkit.sources.databases import database
from backupkit.sources.redis import Redis

RDB = b"REDIS0010\xfe\0\xfb\x02\x01\0\x01a\x01b\xfc12345678\0\x01c\x01d" + b"\xff" + bytes(8)
MARK = b"0123456789abcdef0123456789abcdef01234567"
SHORT = timedelta(seconds=0.3)


def whole(content: bytes, piece: int = 7) -> bytes:
    return b"".join(whole_rdb(content[start : start + piece] for start in range(0, len(content), piece)))


@pytest.mark.parametrize("piece", [1, 7, 48, 49, 50, 1000])
@pytest.mark.parametrize("mark", [b"", MARK])
def test_the_mark_that_redis_cli_leaves_behind_a_dump_is_cut_off(piece: int, mark: bytes) -> None:
    assert whole(RDB + mark, piece) == RDB


@pytest.mark.parametrize("head", [b"REDIS0006", b"VALKEY080"])
def test_all_that_have_versions_of_the_form_are_taken(head: bytes) -> None:
    assert whole(head + RDB[9:]) == head + RDB[9:]


@pytest.mark.parametrize("mark", [b"", MARK])
def test_a_dump_that_ends_anywhere_else_is_an_error(mark: bytes) -> None:
    for end in range(len(RDB + mark)):
        if end != len(RDB):
            with pytest.raises(ClientError):
                whole((RDB + mark)[:end])


def test_what_is_no_dump_is_an_error() -> None:
    with pytest.raises(ClientError, match="no RDB file"):
        whole(b"<html>" * 100 + b"\xff" + bytes(8))


@pytest.mark.parametrize(
    ("value", "used"),
    [
        (b"\xc0\x0a", 10),
        (b"\xc1\x0a\x0a", 2570),
        (b"\xc2\x90\x37\x0d\x00", 866192),
        (b"\x0a3000000000", 3000000000),
        (b"\xfe", None),
    ],
)
def test_how_much_memory_a_dump_needs_stands_at_its_beginning(value: bytes, used: int | None) -> None:
    beginning = b"REDIS0010\xfa\x09redis-ver\x067.0.15\xfa\x08used-mem" + value + b"\xfa\x08aof-base\xc0\0"
    assert used_memory(beginning) == used


@given(st.integers(1, 30))
def test_keys_that_never_expire_are_counted_however_the_file_comes(piece: int) -> None:
    rows: dict[str, int] = {"left from an earlier try": 1}
    pieces = [RDB[start : start + piece] for start in range(0, len(RDB), piece)]
    assert b"".join(count_keys(pieces, rows)) == RDB
    assert rows == {"db0": 1}


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_whatever_comes_only_our_errors_get_out(pieces: list[bytes], begun: bool) -> None:
    given_pieces = [RDB[:9], *pieces] if begun else pieces
    try:
        assert b"".join(count_keys(given_pieces, {})) == b"".join(given_pieces)
        b"".join(whole_rdb(given_pieces))
    except ClientError:
        pass


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("mysql://h/d", {}, "no redis database"),
        ("redis://h?colour=red", {}, "has the option 'colour'"),
        ("redis://h?ssl_ca_certs=/f", {}, "asks for no TLS"),
        ("rediss://h?ssl_ca_certs=/f&ssl_ca_path=/d", {}, "both ssl_ca_certs and ssl_ca_path"),
        ("redis://a,b", {}, "several servers"),
        ("redis://h?listen=me", {}, "not address:port"),
        ("redis://h", {"name": "a/b"}, "cannot be named"),
        ("redis://h", {"time_limit": timedelta(0)}, "no time"),
        ("redis://h", {"extra_options": ["--pass", "x"]}, "cannot hold --pass"),
        ("redis://h", {"extra_options": ["-a"]}, "cannot hold -a"),
        ("redis://h", {"extra_options": "--verbose"}, "is one text"),
    ],
)
def test_contradictions_are_refused_at_once(url: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Redis(url, **options)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://", "redis-localhost-6379.rdb"),
        ("redis://cache.example:7000/3", "redis-cache.example-7000.rdb"),
        ("redis://[::1]:7000", "redis-__1-7000.rdb"),
        ("unix:///run/redis/cache.sock", "redis-cache.rdb"),
    ],
)
def test_a_dump_is_named_after_its_server(url: str, name: str) -> None:
    assert database(url).name == name


def test_a_dump_can_be_named() -> None:
    source = Redis("redis://h", name="cache")
    assert source.name == "redis-cache.rdb"
    assert source.database_of("db-dumps/redis-cache.rdb") == parse_database_url("redis://h")
    assert source.database_of("db-dumps/redis-other.rdb") is None


@pytest.mark.parametrize(
    ("url", "arguments", "line"),
    [
        ("redis://", (), None),
        ("redis://h:7", ("-h", "h", "-p", "7"), None),
        ("redis://:p%20w@h", ("-h", "h", "--askpass"), b"p w\n"),
        ("redis://default:pw@h", ("-h", "h", "--askpass"), b"pw\n"),
        ("redis://me:p%C3%A4@h", ("-h", "h", "--user", "me", "--askpass"), b"p\xc3\xa4\n"),
        ("redis://me@h", ("-h", "h", "--user", "me", "--askpass"), b"\n"),
        ("unix://me:pw@/run/s.sock", ("-s", "/run/s.sock", "--user", "me", "--askpass"), b"pw\n"),
        ("rediss://h?ssl_ca_certs=/ca", ("-h", "h", "--tls", "--cacert", "/ca"), None),
        ("rediss://h?ssl_cert_reqs=none", ("-h", "h", "--tls", "--insecure"), None),
        (
            "rediss://h?ssl_certfile=/c&ssl_keyfile=/k",
            ("-h", "h", "--tls", "--cert", "/c", "--key", "/k"),
            None,
        ),
    ],
)
def test_a_url_becomes_arguments_without_the_password(
    url: str, arguments: tuple[str, ...], line: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDISCLI_AUTH", "from the environment")
    client = RedisClient(parse_database_url(url))
    assert client.access.arguments == arguments
    assert client.password_line == (None if line is None else [line])
    assert "REDISCLI_AUTH" not in client.access.env


@pytest.fixture
def playing(tmp_path: Path) -> Any:
    """A function that makes a source whose redis-cli is a Python program."""

    def make(code: str, **options: Any) -> Redis:
        program = tmp_path / "redis-cli"
        program.write_text(
            f"#!{sys.executable}\nimport os, subprocess, sys, time\nsys.stdin.readline()\nout = sys.stdout.buffer\n"
            f"rdb = {RDB!r}\n{code}\n"
        )
        program.chmod(0o755)
        return Redis("redis://:pass-w0rd@h", tools=tmp_path, **options)

    return make


def failure(source: Redis) -> SourceError:
    (entry,) = source.entries()
    with pytest.raises(SourceError) as raised:
        list(entry.chunks())
    assert "pass-w0rd" not in str(raised.value)
    return raised.value


def test_a_whole_dump_is_taken(playing: Any) -> None:
    (entry,) = playing("out.write(rdb)", count_rows=True).entries()
    assert b"".join(entry.chunks()) == RDB
    assert entry.rows == {"db0": 1}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "no RDB file"),
        ("out.write(rdb[:-3])", "ends too early"),
        ("out.write(rdb[:20])", "ends too early"),
        ("out.write(b'OK')", "no RDB file"),
        ("out.write(rdb); sys.exit(3)", "exited with status 3"),
        ("out.write(rdb); out.flush(); os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("sys.stderr.write('pass-w0rd\\n' * 100000); sys.exit(1)", "exited with status 1"),
        (
            "sys.stderr.write(\"Unrecognized option or bad number of args for: '--askpass'\"); sys.exit(1)",
            "redis-cli is too old",
        ),
        (
            "sys.stderr.write('SYNC with master failed: -NOPERM this user has no permissions'); sys.exit(1)",
            "may not do all that this needs",
        ),
        (
            "sys.stderr.write(\"SYNC with master failed: -ERR unknown command 'SYNC'\"); sys.exit(1)",
            "does not have a command that this needs",
        ),
    ],
)
def test_a_program_that_fails_or_lies_is_an_error(playing: Any, code: str, said: str) -> None:
    assert said in str(failure(playing(code)))


def test_a_program_that_stalls_is_ended(playing: Any) -> None:
    assert "wrote nothing for" in str(failure(playing("time.sleep(100)", silence_limit=SHORT)))


def test_a_program_that_takes_too_long_is_ended(playing: Any) -> None:
    code = "while True: out.write(b'REDIS0010'); out.flush(); time.sleep(0.05)"
    assert "took longer than" in str(failure(playing(code, time_limit=SHORT)))


def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    assert "redis-cli or valkey-cli is not installed" in str(
        failure(Redis("redis://:pass-w0rd@h", tools=tmp_path))
    )
