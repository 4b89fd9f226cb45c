"""What URLs of MySQL and MariaDB servers ask for, and how the programs of each are told."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.mysql_options import check_url, connection_of, with_tls
from backupkit.databases.mysql_programs import Tool, access_of, option_file
from backupkit.databases.private_files import private_file
from backupkit.databases.urls import parse_database_url
from backupkit.errors import ConfigurationError
from tests.tools import require_tool

MYSQL = Tool("mysqldump", "mysqldump  Ver 8.0.39 for Linux (MySQL Community Server - GPL)", frozenset())
MARIADB = Tool("mariadb-dump", "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB", frozenset())


def arguments(url: str, tool: Tool) -> tuple[str, ...]:
    with access_of(parse_database_url(url), tool) as access:
        return access.arguments


@pytest.mark.parametrize(
    ("asked", "mode"),
    [
        ("ssl_mode=REQUIRED", "required"),
        ("ssl-mode=VERIFY_IDENTITY", "verify_identity"),
        ("sslMode=VERIFY_CA", "verify_ca"),
        ("sslmode=verify-full", "verify_identity"),
        ("sslmode=require", "required"),
        ("tls=skip-verify", "required"),
        ("tls=true", "required"),
        ("ssl=true", "required"),
        ("ssl=false", "disabled"),
        ("useSSL=true", "required"),
        ("ssl_disabled=true", "disabled"),
        ("ssl_disabled=false", None),
        ("ssl_ca=/ca.pem", "verify_ca"),
        ("ssl_ca=/ca.pem&ssl_mode=required", "required"),
        ("ssl_ca=/ca.pem&ssl_verify_cert=true", "verify_ca"),
        ("ssl_ca=/ca.pem&ssl_verify_identity=true", "verify_identity"),
        ("ssl_check_hostname=true", "verify_identity"),
        ("ssl_cert=/c.pem&ssl_key=/k.pem", "required"),
        ("ssl=true&ssl_verify_cert=1", "verify_ca"),
        ("charset=utf8mb4", None),
    ],
)
def test_every_drivers_way_to_ask_for_tls_is_understood(asked: str, mode: str | None) -> None:
    assert connection_of(parse_database_url(f"mysql://host/shop?{asked}")).tls == mode


@pytest.mark.parametrize(
    ("mode", "of_mysql", "of_mariadb"),
    [
        ("disabled", ("--ssl-mode=DISABLED",), ("--skip-ssl",)),
        ("preferred", ("--ssl-mode=PREFERRED",), ("--ssl",)),
        ("required", ("--ssl-mode=REQUIRED",), ("--ssl",)),
        ("verify_ca", ("--ssl-mode=VERIFY_CA",), ("--ssl", "--ssl-verify-server-cert")),
        ("verify_identity", ("--ssl-mode=VERIFY_IDENTITY",), ("--ssl", "--ssl-verify-server-cert")),
    ],
)
def test_the_programs_of_each_are_told_in_their_own_words(
    mode: str, of_mysql: tuple[str, ...], of_mariadb: tuple[str, ...]
) -> None:
    url = f"mysql://host/shop?ssl_mode={mode}"
    assert arguments(url, MYSQL) == ("--host=host", *of_mysql)
    assert arguments(url, MARIADB) == ("--host=host", *of_mariadb)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql:///shop", ()),
        ("mysql://localhost/shop", ("--host=localhost",)),
        ("mysql://localhost:3307/shop", ("--host=localhost", "--port=3307", "--protocol=tcp")),
        ("mysql://[::1]:3307/shop", ("--host=::1", "--port=3307", "--protocol=tcp")),
        ("mysql:///shop?unix_socket=/run/my.sock", ("--protocol=socket", "--socket=/run/my.sock")),
        ("mysql://%2Frun%2Fmy.sock/shop", ("--protocol=socket", "--socket=/run/my.sock")),
        ("mysql://backup@host/shop", ("--user=backup", "--host=host")),
        ("mysql://host/shop?ssl_ca=/c.pem&ssl_mode=required", ("--host=host", "--ssl", "--ssl-ca=/c.pem")),
    ],
)
def test_where_the_server_is_goes_on_the_command_line(url: str, expected: tuple[str, ...]) -> None:
    assert arguments(url, MARIADB) == expected


def test_a_time_to_connect_goes_only_to_programs_that_know_it() -> None:
    client = Tool("mariadb", "MariaDB", frozenset({"connect-timeout"}))
    assert arguments("mysql://host/shop?connect_timeout=3", client) == ("--host=host", "--connect-timeout=3")
    assert arguments("mysql://host/shop?connect_timeout=3", MARIADB) == ("--host=host",)


@pytest.mark.parametrize(
    "asked",
    [
        "ssl_mode=strong",
        "ssl=perhaps",
        "ssl=true&ssl_disabled=true",
        "ssl_disabled=true&ssl_ca=/ca.pem",
        "ssl_ca=",
        "read_timeout=5",
        "sl_mode=required",
    ],
)
def test_what_would_not_be_heeded_is_refused(asked: str) -> None:
    with pytest.raises(ConfigurationError):
        check_url(parse_database_url(f"mysql://host/shop?{asked}"))


def test_a_drivers_own_options_are_its_business_but_never_those_on_tls() -> None:
    check_url(parse_database_url("mysql+pymysql://host/shop?read_timeout=5&local_infile=1"))
    with pytest.raises(ConfigurationError, match="ssl_key_password"):
        check_url(parse_database_url("mysql+pymysql://host/shop?ssl_key_password=secret"))


def test_several_servers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="several servers"):
        check_url(parse_database_url("mysql://one,two/shop"))


def test_tls_is_said_once() -> None:
    url = parse_database_url("mysql://host/shop?ssl_ca=/ca.pem")
    assert connection_of(with_tls(url, "required")).tls == "required"
    with pytest.raises(ConfigurationError, match="both say"):
        with_tls(parse_database_url("mysql://host/shop?ssl=true"), "required")


def test_with_a_password_no_other_option_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_PWD", "another")
    with access_of(parse_database_url("mysql://me:secret@host/shop"), MARIADB) as access:
        assert access.arguments[0].startswith("--defaults-file=")
        assert not any("secret" in argument or argument == "me" for argument in access.arguments)
        assert "MYSQL_PWD" not in access.env
        assert access.env["MYSQL_TEST_LOGIN_FILE"] == "/dev/null/mylogin.cnf"
        assert access.secrets == ("secret",)
        path = Path(access.arguments[0].removeprefix("--defaults-file="))
        assert path.read_text() == '[client]\nuser="me"\npassword="secret"\n'
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_password_the_users_own_files_and_variables_go_on_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MYSQL_PWD", "mine")
    monkeypatch.setenv("MYSQL_ROOT_PASSWORD", "an image's")
    with access_of(parse_database_url("mysql://me@host/shop"), MARIADB) as access:
        assert access.arguments == ("--user=me", "--host=host")
        assert access.env["MYSQL_PWD"] == "mine"
        assert "MYSQL_ROOT_PASSWORD" not in access.env


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=40))
def test_an_option_file_gives_back_any_text(text: str) -> None:
    mariadb = require_tool("mariadb")
    with private_file(option_file(text, "x")) as file:
        said = subprocess.run(
            [mariadb, f"--defaults-file={file.path}", "--print-defaults"],
            pass_fds=file.descriptors,
            capture_output=True,
            check=True,
        ).stdout
    assert said.split(b"\n")[1].startswith(f"--user={text} --password=".encode())
