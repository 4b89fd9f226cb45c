"""`PostgreSQLRoles`: what a PostgreSQL server has beside its databases, dumped by pg_dumpall."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backupkit.databases.postgresql import PostgreSQLClient, check_url
from backupkit.databases.programs import Limits, output_of
from backupkit.databases.urls import DatabaseURL
from backupkit.model import Contents, Entry, Finding
from backupkit.sources._dumps import SILENCE_LIMIT, dump_entry, dump_name, folder_of, limits_of, url_of
from backupkit.sources._postgresql_examining import examined_server
from backupkit.sources._postgresql_whole import check_options, whole_script


@dataclass(frozen=True, slots=True, init=False)
class PostgreSQLRoles:
    """The roles of a PostgreSQL server, their memberships and settings, and its tablespaces, as a script for psql.

    With `passwords`, which only a superuser may read, their hashes are in it: whoever has one can log in to a
    server that still uses MD5, and can try to guess it otherwise. The name is that of the URL's database or
    else of its host, unless given.
    """

    url: DatabaseURL
    name: str
    passwords: bool
    tools: Path | None
    limits: Limits
    extra_options: tuple[str, ...] = field(repr=False)

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        passwords: bool = True,
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
    ) -> None:
        parsed = check_url(url_of(url, "postgresql"))
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        usual = parsed.database or parsed.host or "server"
        set_once(self, "name", dump_name(parsed, usual if name is None else name, "roles.sql"))
        set_once(self, "passwords", passwords)
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "extra_options", check_options(extra_options))

    @property
    def contents(self) -> Contents:
        return "databases"

    def client(self) -> PostgreSQLClient:
        """What else the server can be asked, as the same user and by the same programs."""
        return PostgreSQLClient(self.url, self.tools)

    @property
    def hosts(self) -> frozenset[str]:
        return self.url.host_names

    def examine(self) -> Iterator[Finding]:
        """What would keep pg_dumpall from dumping them as this user."""
        server = yield from examined_server(
            self.client(), "pg_dumpall", ("psql", "asks the server, and restores")
        )
        if server is None:
            return
        may = server.superuser or not self.passwords
        yield Finding(
            step="rights",
            verdict="ok" if may else "not ok",
            message="The user may read all that is wanted of the roles."
            if may
            else f"{self.url}: the user may not read the passwords of roles.",
            advice=None if may else "Use a superuser, or leave them out with passwords=False.",
        )

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        yield dump_entry(self.name, self._dump, self.url)

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        client = self.client()
        program = client.program("pg_dumpall")
        argv = [
            program,
            *("--no-password", "--globals-only"),
            *([] if self.passwords else ["--no-role-passwords"]),
            # It would try "postgres" and "template1", to which not everyone may connect.
            *([f"--database={self.url.database}"] if self.url.database else []),
            *self.extra_options,
        ]
        with client.access() as access:
            yield from whole_script(
                output_of(argv, access, explain=client.explain, limits=self.limits), program
            )
