"""The programs of MySQL and MariaDB: which of the two are installed, and how each reaches a server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from backupkit.databases.mysql_options import Connection, connection_of
from backupkit.databases.private_files import private_file
from backupkit.databases.programs import QUESTION, Access, answer_of, environment, find_program
from backupkit.databases.urls import DatabaseURL

Purpose: TypeAlias = Literal["dump", "client"]

_NAMES: Mapping[Purpose, tuple[str, str]] = {
    "dump": ("mysqldump", "mariadb-dump"),
    "client": ("mysql", "mariadb"),
}
# By their whole names: images of servers keep passwords in variables that begin with MYSQL_ and MARIADB_.
_VARIABLES = (
    *("MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT", "MYSQL_HOME", "MARIADB_HOME"),
    *(
        "MYSQL_GROUP_SUFFIX",
        "MARIADB_GROUP_SUFFIX",
        "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN",
        "LIBMYSQL_PLUGIN_DIR",
    ),
)
_OWN_CREDENTIALS = ("MYSQL_PWD", "MYSQL_TEST_LOGIN_FILE")
# MySQL's programs read ~/.mylogin.cnf whatever they are told, and what it says would win.
_NO_LOGIN_FILE = {"MYSQL_TEST_LOGIN_FILE": "/dev/null/mylogin.cnf"}
_OPTION = re.compile(r"^ +(?:-., +)?--([a-z0-9][a-z0-9-]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed program: `version` is what it says of itself, `options` are those that it knows."""

    path: str
    version: str
    options: frozenset[str] = field(repr=False)

    @property
    def of_mariadb(self) -> bool:
        return "MariaDB" in self.version

    def if_known(self, *options: str) -> tuple[str, ...]:
        """Those of the options that the program knows."""
        return tuple(
            one
            for one in options
            if {one[2:].partition("=")[0], one.removeprefix("--skip-").partition("=")[0]} & self.options
        )


def find_tool(purpose: Purpose, url: DatabaseURL, tools: Path | None) -> Tool:
    """The program for a server of the URL's engine: its own, or else the other's, which speaks to it as well."""
    names = _NAMES[purpose]
    if url.engine == "mariadb":
        path = find_program(names[::-1], tools, package="Debian: mariadb-client")
    else:
        path = find_program(names, tools, package="Debian: default-mysql-client")
    status = os.stat(path)
    return _described(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _described(path: str, modified_ns: int, size: int) -> Tool:
    """Asked once for each program and again when it was replaced: 10 ms."""
    argv = [path, "--no-defaults", "--help"]
    said = answer_of(argv, Access(env=environment()), explain=lambda _: None, limits=QUESTION)
    version, _, rest = said.partition("\n")
    return Tool(path, version, frozenset(_OPTION.findall(rest)))


@contextmanager
def access_of(url: DatabaseURL, tool: Tool) -> Iterator[Access]:
    """What the program needs to connect.

    A password goes with the user's name into an option file that is the only one then. Without one the
    program reads the usual ones (`/etc/my.cnf`, `~/.my.cnf`), as it does when a person starts it.
    """
    arguments = _arguments(url, connection_of(url), tool)
    if url.password is None:
        user = (f"--user={url.user}",) if url.user else ()
        env = environment(*_VARIABLES, *_OWN_CREDENTIALS)
        yield Access(arguments=(*user, *arguments), env=env)
        return
    with private_file(option_file(url.user, url.password)) as file:
        yield Access(
            arguments=(f"--defaults-file={file.path}", *arguments),
            env=environment(*_VARIABLES, **_NO_LOGIN_FILE),
            descriptors=file.descriptors,
            secrets=(url.password,),
        )


def option_file(user: str, password: str) -> bytes:
    """In quotes even `#` and blanks stand for themselves: https://dev.mysql.com/doc/refman/8.4/en/option-files.html"""
    lines = ["[client]", *([f"user={_quoted(user)}"] if user else []), f"password={_quoted(password)}", ""]
    return "\n".join(lines).encode()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _arguments(url: DatabaseURL, connection: Connection, tool: Tool) -> tuple[str, ...]:
    arguments: list[str] = []
    if url.socket:
        arguments += ["--protocol=socket", f"--socket={url.socket}"]
    else:
        if url.host:
            arguments.append(f"--host={url.host}")
        if url.port is not None:
            # Otherwise the programs take localhost for the socket, whatever port was meant.
            arguments += [f"--port={url.port}", "--protocol=tcp"]
    arguments += _tls_arguments(connection, tool)
    for name, value in connection.options.items():
        if name != "connect-timeout" or tool.if_known("--connect-timeout"):
            arguments.append(f"--{name}={value}")
    return tuple(arguments)


def _tls_arguments(connection: Connection, tool: Tool) -> list[str]:
    if connection.tls is None:
        return []
    if not tool.of_mariadb:
        return [f"--ssl-mode={connection.tls.upper()}"]
    match connection.tls:
        case "disabled":
            return ["--skip-ssl"]
        case "preferred" | "required":
            return ["--ssl"]
        case "verify_ca" | "verify_identity":
            # It knows no check of the authority alone.
            return ["--ssl", "--ssl-verify-server-cert"]
