"""`PostgreSQL`: one database of a PostgreSQL server, dumped by pg_dump."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from backupkit.databases.postgresql import Partition, PostgreSQLClient, check_url
from backupkit.databases.postgresql_names import TableName, table_names
from backupkit.databases.postgresql_rights import Hindered
from backupkit.databases.postgresql_scripts import counted
from backupkit.databases.programs import ClientError, Limits, output_of
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS, Contents, Entry, Finding
from backupkit.sources._dumps import (
    SILENCE_LIMIT,
    dump_entry,
    dump_name,
    folder_of,
    for_database,
    limits_of,
    url_of,
)
from backupkit.sources._postgresql_examining import examined_rights, examined_server, names_any
from backupkit.sources._postgresql_names import patterns
from backupkit.sources._postgresql_whole import asks_for_inserts, check_options, whole_archive, whole_script

Form: TypeAlias = Literal["plain", "custom"]
Content: TypeAlias = Literal["all", "schema", "data"]

_EXTENSIONS = {"plain": "sql", "custom": "pgdump"}
_NOT_CONVERTED = ("SQL_ASCII", "MULE_INTERNAL")  # of which the server makes no UTF-8
_CONTENT: dict[Content, list[str]] = {"all": [], "schema": ["--schema-only"], "data": ["--data-only"]}


@dataclass(frozen=True, slots=True, init=False)
class PostgreSQL:
    """One database of a PostgreSQL server, in the state it was in when the dump began, while others write to it.

    `form` is a script that psql runs ("plain"), or an archive from which pg_restore also takes single tables
    ("custom"; it is not compressed, as the backup is). `content` leaves out all rows ("schema") or everything
    but rows and large objects ("data"). `tables` dumps only these and what belongs to them, `exclude_tables`
    all but these, `exclude_data` these without their rows; `*` and `?` in names are wildcards, capitals and
    all else mean themselves, and a schema stands before a dot. A partitioned table means its partitions
    too. One of `tables` that is not there fails the dump.

    `count_rows` records how many rows of each table are in the dump, counted there.
    """

    url: DatabaseURL
    name: str
    form: Form
    content: Content
    tables: tuple[TableName, ...]
    exclude_tables: tuple[TableName, ...]
    exclude_data: tuple[TableName, ...]
    owners: bool
    privileges: bool
    inserts: bool
    large_objects: bool
    count_rows: bool
    tools: Path | None
    limits: Limits
    extra_options: tuple[str, ...] = field(repr=False)

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        form: Form = "plain",
        content: Content = "all",
        tables: Sequence[str] = (),
        exclude_tables: Sequence[str] = (),
        exclude_data: Sequence[str] = (),
        owners: bool = True,
        privileges: bool = True,
        inserts: bool = False,
        large_objects: bool = True,
        count_rows: bool = False,
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
    ) -> None:
        parsed = check_url(url_of(url, "postgresql"))
        if form not in _EXTENSIONS:
            raise ConfigurationError(f'PostgreSQL has no form {form!r}: use "plain" or "custom".')
        if content not in _CONTENT:
            raise ConfigurationError(f'A dump has no content {content!r}: use "all", "schema" or "data".')
        if tables and exclude_tables:
            raise ConfigurationError(
                f"The dump of {parsed} has both tables and exclude_tables: say which to dump, or which not."
            )
        checked_options = check_options(extra_options)
        if content == "schema" and (exclude_data or count_rows):
            raise ConfigurationError(
                f'The dump of {parsed} has no rows with content="schema": leave exclude_data and count_rows out.'
            )
        if count_rows and (inserts or asks_for_inserts(checked_options)):
            raise ConfigurationError(
                f"Rows that are dumped as INSERTs of {parsed} are not counted: leave those or count_rows out."
            )
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "name", dump_name(parsed, name, _EXTENSIONS[form]))
        set_once(self, "form", form)
        set_once(self, "content", content)
        set_once(self, "tables", table_names(tables, option="tables"))
        set_once(self, "exclude_tables", table_names(exclude_tables, option="exclude_tables"))
        set_once(self, "exclude_data", table_names(exclude_data, option="exclude_data"))
        set_once(self, "owners", owners)
        set_once(self, "privileges", privileges)
        set_once(self, "inserts", inserts)
        set_once(self, "large_objects", large_objects)
        set_once(self, "count_rows", count_rows)
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "extra_options", checked_options)

    @property
    def contents(self) -> Contents:
        return "databases"

    def client(self) -> PostgreSQLClient:
        """What else the server can be asked, as the same user and by the same programs."""
        return PostgreSQLClient(self.url, self.tools)

    def with_database(self, name: str, *, dump_name: str) -> PostgreSQL:
        """The same source for another database of the server; `dump_name` is `name` or `server/name`."""
        return for_database(self, name, dump_name, _EXTENSIONS[self.form])

    @property
    def hosts(self) -> frozenset[str]:
        return self.url.host_names

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None

    def examine(self) -> Iterator[Finding]:
        """What would keep pg_dump from dumping the database as this user: programs, server, versions, rights."""
        archive = [("pg_restore", "proves the dump")] if self.form == "custom" else []
        client = self.client()
        server = yield from examined_server(
            client, "pg_dump", ("psql", "asks the server, and restores"), *archive
        )
        if server is None:
            return
        if not self.url.database:
            yield Finding(
                step="database", verdict="not ok", message=f"{self.url} names no database: write its name."
            )
            return
        yield from examined_rights(
            client,
            self._wants,
            named=bool(self.tables or self.exclude_tables),
            otherwise="warning" if self.extra_options else "not ok",  # they may leave out what is hindered
        )

    def _wants(self, one: Hindered, partitions: Sequence[Partition]) -> bool:
        if self.content == "schema" and (one.sequence or one.why == "row security"):
            return False
        if self.tables:
            return names_any(self.tables, one.schema, one.name, partitions)
        return not names_any(self.exclude_tables, one.schema, one.name, partitions)

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        yield dump_entry(self.name, self._dump, self.url)

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        if not self.url.database:
            raise ClientError(
                f"its URL names none: write {self.url}/name, or back up all databases of the server."
            )
        rows.clear()
        counts: dict[str, int] = {}
        client = self.client()
        program = client.program("pg_dump")
        encoding = client.encoding()
        names = self.tables or self.exclude_tables or self.exclude_data
        partitions = client.partitions() if names else []
        not_counted = client.tables_of_extensions() if self.count_rows else frozenset()
        with client.access() as access:
            dump = output_of(
                [program, *self._arguments(partitions, encoding)],
                access,
                explain=client.explain,
                limits=self.limits,
            )
            if self.form == "custom":
                yield from whole_archive(dump, client, self.limits, counts if self.count_rows else None)
            else:
                yield from whole_script(counted(dump, counts) if self.count_rows else dump, program)
        rows.update({table: count for table, count in counts.items() if table not in not_counted})

    def _arguments(self, partitions: Sequence[Partition], encoding: str) -> list[str]:
        # The pipeline compresses, and what is compressed twice can neither be deduplicated nor searched.
        form = ["--format=custom", "--compress=0"] if self.form == "custom" else ["--format=plain"]
        limits = [
            limit.total_seconds() for limit in (self.limits.time, self.limits.silence) if limit is not None
        ]
        # It waits for locks in silence; a little before that would end it, it can still say for which table.
        patience = [f"--lock-wait-timeout={max(1, int(min(limits) * 800))}"] if limits else []
        # Names are given and read in UTF-8. Text without an encoding would only be called that, then refused.
        utf8 = [] if encoding in _NOT_CONVERTED else ["--encoding=UTF8"]
        return [
            "--no-password",
            *utf8,
            *form,
            *_CONTENT[self.content],
            *([] if self.owners else ["--no-owner"]),
            *([] if self.privileges else ["--no-privileges"]),
            *(["--inserts"] if self.inserts else []),
            *([] if self.large_objects else ["-B"]),  # the long name is another one since version 16
            *(["--strict-names"] if self.tables else []),
            *(f"--table={pattern}" for pattern in patterns(self.tables, partitions)),
            *(f"--exclude-table={pattern}" for pattern in patterns(self.exclude_tables, partitions)),
            *(f"--exclude-table-data={pattern}" for pattern in patterns(self.exclude_data, partitions)),
            *patience,
            *self.extra_options,
        ]
