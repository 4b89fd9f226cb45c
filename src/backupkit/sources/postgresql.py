"""`PostgreSQL`: one database of a PostgreSQL server, dumped by pg_dump."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from backupkit.databases.postgresql import PostgreSQLClient, check_url
from backupkit.databases.programs import ClientError, Limits, check_extra_options, output_of, with_tail
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS, Contents, Entry
from backupkit.sources._dumps import SILENCE_LIMIT, dump_entry, dump_name, folder_of, limits_of, url_of

Form: TypeAlias = Literal["plain", "custom"]

_EXTENSIONS = {"plain": "sql", "custom": "pgdump"}
_MARKER = b"-- PostgreSQL database dump complete"


@dataclass(frozen=True, slots=True, init=False)
class PostgreSQL:
    """One database of a PostgreSQL server, in the state it was in when the dump began, while others write to it."""

    url: DatabaseURL
    name: str
    form: Form
    tools: Path | None
    limits: Limits
    extra_options: tuple[str, ...] = field(repr=False)

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        form: Form = "plain",
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
    ) -> None:
        if form not in _EXTENSIONS:
            raise ConfigurationError(f'PostgreSQL has no form {form!r}: use "plain" or "custom".')
        parsed = check_url(url_of(url, "postgresql"))
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "name", dump_name(parsed, name, _EXTENSIONS[form]))
        set_once(self, "form", form)
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "extra_options", check_extra_options(extra_options))

    @property
    def contents(self) -> Contents:
        return "databases"

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        yield dump_entry(self.name, self._dump, self.url)

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        client = PostgreSQLClient(self.url, self.tools)
        argv = [client.program("pg_dump"), "--no-password", f"--format={self.form}", *self.extra_options]
        tail = bytearray()
        with client.access() as access:
            yield from with_tail(output_of(argv, access, explain=client.explain, limits=self.limits), tail)
        if _MARKER not in tail:
            raise ClientError(
                "pg_dump succeeded, but its end-of-dump line is missing: what it wrote is not whole.",
                retryable=True,
            )
