"""`MySQL` and `MariaDB`: one database of such a server, dumped by mysqldump or mariadb-dump."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, get_args

from backupkit._chunks import closing_iterator
from backupkit.databases.mysql import MySQLClient
from backupkit.databases.mysql_options import TLS, check_url, with_tls
from backupkit.databases.mysql_scripts import beginning
from backupkit.databases.programs import ClientError, Limits, output_of
from backupkit.databases.urls import DatabaseURL, Engine
from backupkit.errors import ConfigurationError, one_text
from backupkit.model import DUMPS, Contents, Entry, Finding, Problem
from backupkit.sources._dumps import (
    SILENCE_LIMIT,
    dump_entry,
    dump_name,
    folder_of,
    for_database,
    limits_of,
    url_of,
)
from backupkit.sources._mysql_examining import examined
from backupkit.sources._mysql_plan import (
    Consistency,
    Content,
    Facts,
    GTIDs,
    Wanted,
    check_options,
    dumps_for,
    facts_of,
    leaves_rows_out,
    not_in_snapshot,
    not_seen,
)
from backupkit.sources._mysql_text import counted, whole, without_counters

# In texts of these a byte may look like a quote or a backslash and be none.
_UNCOUNTABLE = ("big5", "cp932", "gb18030", "gbk", "sjis")
_EXTENSION = "sql"


@dataclass(frozen=True, slots=True, init=False)
class MySQL:
    """One database of a MySQL server, in the state it was in when the dump began, while others write to it.

    That holds for transactional tables, which InnoDB's are; of others a warning tells. With
    `consistency="lock"` all tables are locked against writing while the dump lasts, and with "none" nothing
    is promised. Routines, triggers and events are part of it, with `tables` the triggers alone. The dump
    sets the character set and collation of the database that it is restored to.

    `tables` are the only ones, or `exclude_tables` those that are left out; of `exclude_data` the rows are.
    `content` is "all", "schema" or "data". `auto_increment=False` leaves out where the counters of tables
    stand; they then go on after the highest number in use. `count_rows` records how many rows of each table
    the dump holds. `charset` is that of the dump, in which every text must have its characters; what the
    URL says of an application's is not heeded. `tls` is one of "disabled", "preferred", "required",
    "verify_ca" and "verify_identity", if the URL does not say it. `gtid_purged` is MySQL's
    --set-gtid-purged, and off: a dump of one database does not hold all that a server's GTIDs stand for.
    """

    engine: ClassVar[Engine] = "mysql"

    url: DatabaseURL
    name: str
    tools: Path | None
    limits: Limits
    wanted: Wanted
    sandbox: bool
    auto_increment: bool
    count_rows: bool

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        tables: Sequence[str] = (),
        exclude_tables: Sequence[str] = (),
        exclude_data: Sequence[str] = (),
        content: Content = "all",
        consistency: Consistency = "transaction",
        routines: bool = True,
        triggers: bool = True,
        events: bool = True,
        auto_increment: bool = True,
        count_rows: bool = False,
        charset: str = "utf8mb4",
        hex_blob: bool = True,
        gtid_purged: GTIDs | None = None,
        sandbox: bool | None = None,
        tls: TLS | None = None,
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
    ) -> None:
        parsed = url_of(url, self.engine, "mysql", "mariadb")
        # The servers understand each other's clients, and URLs of applications often say mysql for both.
        parsed = check_url(with_tls(replace(parsed, engine=self.engine), tls))
        if not parsed.database and name is None:
            raise ConfigurationError(
                f"{parsed} names no database to dump: write {parsed}/name (for AllDatabases any will do)."
            )
        _check_choice("consistency", consistency, Consistency)
        _check_choice("content", content, Content)
        if gtid_purged is not None:
            _check_choice("gtid_purged", gtid_purged, GTIDs)
        if gtid_purged not in (None, "OFF") and self.engine == "mariadb":
            raise ConfigurationError(
                f"gtid_purged={gtid_purged!r} is MySQL's, and not MariaDB's: leave it out."
            )
        if not re.fullmatch("[A-Za-z0-9_]+", charset):
            raise ConfigurationError(f"{charset!r} is no character set: leave charset out, or say utf8mb4.")
        if charset.lower() == "binary":
            # Such a dump restores MariaDB's UUID and INET6 as NULL: their text is sent as if it were their bytes.
            raise ConfigurationError(
                'A dump in charset="binary" loses values when it is restored: leave charset out, for utf8mb4 holds '
                "every text, and binary values are written as hexadecimal numbers."
            )
        if count_rows and content == "schema":
            raise ConfigurationError(
                "There are no rows to count in a schema: leave count_rows or content out."
            )
        if count_rows and charset.lower() in _UNCOUNTABLE:
            raise ConfigurationError(f"Rows cannot be counted in a dump in {charset}: leave charset out.")
        wanted = Wanted(
            consistency=consistency,
            content=content,
            tables=_names("tables", tables),
            exclude_tables=_names("exclude_tables", exclude_tables),
            exclude_data=_names("exclude_data", exclude_data),
            routines=routines,
            triggers=triggers,
            events=events,
            charset=charset,
            hex_blob=hex_blob,
            gtid_purged=gtid_purged,
            extra_options=check_options(extra_options),
        )
        if count_rows and any(
            re.match("--(compat|(skip-|disable-)?quote-n)", one.replace("_", "-"))
            for one in wanted.extra_options
        ):
            raise ConfigurationError(
                "Rows are counted by names in backticks: leave count_rows or that option out."
            )
        if count_rows and leaves_rows_out(wanted.extra_options):
            raise ConfigurationError(
                "There are no rows to count without data: leave count_rows or that option out."
            )
        if wanted.tables and wanted.exclude_tables:
            raise ConfigurationError(
                "tables says which are dumped, so exclude_tables has no say: leave one out."
            )
        if wanted.exclude_data and content == "schema":
            raise ConfigurationError("A schema has no rows to exclude: leave exclude_data or content out.")
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "name", dump_name(parsed, name, _EXTENSION))
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "wanted", wanted)
        set_once(self, "sandbox", self.engine == "mariadb" if sandbox is None else sandbox)
        set_once(self, "auto_increment", auto_increment)
        set_once(self, "count_rows", count_rows)

    @property
    def contents(self) -> Contents:
        return "databases"

    def client(self) -> MySQLClient:
        """What can be asked of this database."""
        return MySQLClient(self.url, self.tools)

    def with_database(self, name: str, *, dump_name: str) -> MySQL:
        """The same source for another database of the server; its dump's name may have one `/`."""
        return for_database(self, name, dump_name, _EXTENSION)

    @property
    def hosts(self) -> frozenset[str]:
        return self.url.host_names

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None

    def examine(self) -> Iterator[Finding]:
        """What would keep the database from being dumped as a whole: programs, server, rights, tables."""
        yield from examined(self.client(), self.wanted)

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet. What is not consistent in it is a warning of it."""
        warnings: list[Problem] = []
        entry = dump_entry(self.name, lambda rows: self._dump(rows, warnings), self.url)
        yield replace(entry, warnings=warnings)

    def _dump(self, rows: dict[str, int], warnings: list[Problem]) -> Iterator[bytes]:
        rows.clear()
        if not self.url.database:
            raise ClientError("the URL names no database: write its name after the server.")
        facts = facts_of(self.client(), self.limits)
        warnings[:] = [
            Problem(message=message, severity="warning", path=f"{DUMPS}/{self.name}")
            for message in self._warnings(facts)
        ]
        first = b""
        if self.wanted.whole_database:
            # mysqldump alone says nothing of these, and what has none of its own (later tables, parameters and
            # variables of routines) takes them from the database.
            first = f"ALTER DATABASE CHARACTER SET {facts.charset} COLLATE {facts.collation};\n".encode()
        text = beginning(self._parts(facts), sandbox=self.sandbox, first=first)
        if not self.auto_increment:
            text = without_counters(text)
        if self.count_rows:
            rows.update(
                (name, 0)
                for name in self.wanted.exclude_data
                if name in facts.engines and self.wanted.has(name)
            )
            text = counted(text, rows)
        yield from text

    def _parts(self, facts: Facts) -> Iterator[bytes]:
        client = self.client()
        tool = client.tool("dump")
        for arguments in dumps_for(self.wanted, tool, self.url.database, facts):
            argv = [tool.path, *arguments]
            with client.access(tool) as access:
                output = output_of(argv, access, explain=client.explain, limits=self.limits)
                with closing_iterator(whole(output, os.path.basename(tool.path))) as chunks:
                    yield from chunks

    def _warnings(self, facts: Facts) -> Iterator[str]:
        if message := not_in_snapshot(self.wanted, facts):
            yield f"{self.url}: {message}"
        for message in not_seen(self.wanted, facts.rights):
            yield f"{self.url}: {message}"


class MariaDB(MySQL):
    """One database of a MariaDB server, as `MySQL`; MariaDB's own programs come first where both are installed.

    The dump begins with the line that locks MariaDB's client into a sandbox, if the tool writes it;
    `sandbox=False` leaves it out, for MySQL's client, which takes it for an error.
    """

    __slots__ = ()
    engine: ClassVar[Engine] = "mariadb"


def _check_choice(name: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        known = ", ".join(f'"{choice}"' for choice in get_args(choices))
        raise ConfigurationError(f"{name}={value!r} is not known: say one of {known}.")


def _names(option: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise one_text(option, names)
    for name in names:
        if not isinstance(name, str) or not name or set("\r\n\0") & set(name):
            raise ConfigurationError(f"{option} has {name!r}, which is no name of a table.")
    return tuple(names)
