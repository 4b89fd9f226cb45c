"""`Redis`: all databases of a Redis server, dumped by redis-cli."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backupkit.databases.programs import QUESTION, ClientError, Limits, check_extra_options
from backupkit.databases.rdb import whole_rdb
from backupkit.databases.rdb_keys import count_keys
from backupkit.databases.redis import RedisClient, check_url, server_program
from backupkit.databases.urls import DatabaseURL, server_name
from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS, Contents, Entry, Finding
from backupkit.sources._dumps import SILENCE_LIMIT, dump_entry, dump_name, folder_of, limits_of, url_of
from backupkit.sources._examining import installed, tried


@dataclass(frozen=True, slots=True, init=False)
class Redis:
    """All databases of one Redis (or Valkey) server, in the state they were in when the dump began.

    The entry is `db-dumps/redis-<name>.rdb`, the file that a Redis server starts from. `name` is the host and
    port unless given. The server makes the dump in a process that it forks, as for a replica, while others
    write; the number of a database in the URL does not matter.

    `count_rows` counts the keys that never expire, by database (`db0`): those with a time to live may be gone
    before anyone compares. It takes a second for each million of keys.
    """

    url: DatabaseURL
    name: str
    tools: Path | None
    limits: Limits
    extra_options: tuple[str, ...] = field(repr=False)
    count_rows: bool

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
        count_rows: bool = False,
    ) -> None:
        parsed = check_url(url_of(url, "redis"))
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "name", dump_name(parsed, server_name(parsed) if name is None else name, "rdb"))
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "extra_options", _checked(extra_options))
        set_once(self, "count_rows", count_rows)

    @property
    def contents(self) -> Contents:
        return "databases"

    @property
    def hosts(self) -> frozenset[str]:
        return self.url.host_names

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None

    def examine(self) -> Iterator[Finding]:
        """What would keep redis-cli from dumping the server as this user, and a drill from starting one."""
        client = RedisClient(self.url, self.tools)
        program = yield from installed("program", client.program, "makes the dump, and restores")
        yield from installed(
            "drilled by", lambda: server_program(self.tools), "is started by drills", otherwise="warning"
        )
        if program is None:
            return
        answer = yield from tried(
            "server", lambda: _pong(client), lambda version: f"{self.url} answers{version}.", of=self.url
        )
        if answer is not None:
            yield from _rights(client)

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        yield dump_entry(self.name, self._dump, self.url)

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        client = RedisClient(self.url, self.tools)
        dump = whole_rdb(client.output("--rdb", "-", *self.extra_options, limits=self.limits))
        yield from count_keys(dump, rows) if self.count_rows else dump


def _pong(client: RedisClient) -> str:
    """The version, if the user may ask for it; that PING is not allowed is an answer as well."""
    try:
        client.ask("PING", limits=QUESTION)
        return " as version " + client.information().get("redis_version", "unknown")
    except ClientError as error:
        if "NOPERM" in str(error):
            return ""
        raise


def _may_be_dumped(client: RedisClient) -> str | None:
    """Why the server would refuse a dump, or "" if it would not; None if the user may not ask."""
    try:
        if not client.ask("COMMAND", "INFO", "SYNC", limits=QUESTION).strip():
            return "the server does not have the command SYNC: use the service's own backups, or ask for it."
        user = client.ask("ACL", "WHOAMI", limits=QUESTION).decode()
        answer = client.ask("ACL", "DRYRUN", user, "SYNC", limits=QUESTION)
    except ClientError:
        return None
    if b"no permissions" in answer:
        return "the user may not ask for a dump: grant +sync and +replconf by ACL SETUSER."
    return ""


def _rights(client: RedisClient) -> Iterator[Finding]:
    reason = _may_be_dumped(client)
    if reason is None:
        message = "Whether the user may ask for a dump is not told to it: only a run shows it."
        yield Finding(step="rights", verdict="not known", message=message)
    elif reason:
        yield Finding(step="rights", verdict="not ok", message=f"{client.url}: {reason}")
    else:
        message = "The server has the command SYNC, and the user may give it."
        yield Finding(step="rights", verdict="ok", message=message)


def _checked(options: Sequence[str]) -> tuple[str, ...]:
    """redis-cli's options for a password are others than those of the rest."""
    checked = check_extra_options(options)
    for option in checked:
        if option.partition("=")[0] in ("-a", "--pass", "-u", "--rdb", "--functions-rdb"):
            raise ConfigurationError(
                f"extra_options of a Redis dump cannot hold {option.partition('=')[0]}: the URL says who asks "
                "which server, and a password in the options would be seen by every user of the machine."
            )
    return checked
