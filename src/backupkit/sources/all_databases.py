"""`AllDatabases`: every database of a server, found when the backup runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from backupkit.databases.clients import DatabaseClient
from backupkit.databases.scratch_names import is_scratch
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError, SourceError, one_text
from backupkit.model import DUMPS, Contents, Entry, Finding, Problem
from backupkit.protocols import DumpsDatabases, Source
from backupkit.sources._dumps import as_source_errors
from backupkit.sources._examining import findings_within, some, tried
from backupkit.sources._names import check_component


class ServerSource(Source, DumpsDatabases, Protocol):
    """A source that can dump any database of its server: `PostgreSQL`, `MySQL`, `MariaDB`, `MongoDB`."""

    @property
    def url(self) -> DatabaseURL: ...
    @property
    def tools(self) -> Path | None: ...

    def client(self) -> DatabaseClient: ...

    def with_database(self, name: str, *, dump_name: str) -> ServerSource:
        """The same source for another database of the server; its dump is called `<engine>-<dump_name>.<ext>`."""
        ...


@dataclass(frozen=True, slots=True, init=False)
class AllDatabases:
    """Every database of the server that `source` is on, one after the other, each by that source's options.

        AllDatabases(PostgreSQL("postgresql://backup@db.example/postgres"), exclude=["scratch_*"])

    Which there are is asked when the backup runs, so that new ones are never forgotten; those that belong to
    the server itself are left out, and the scratch databases of drills unless `include` has one by its whole
    name. `include` and `exclude` are names, or patterns with `*` and `?`. The dump of the database `shop` is
    `db-dumps/<engine>-<name>/shop.sql`, where `name` is the server's host unless given.
    A database that fails is a problem of the backup, and the others follow. To find none is an error.
    """

    source: ServerSource
    name: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def __init__(
        self,
        source: ServerSource,
        *,
        name: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        if not hasattr(source, "with_database"):
            raise ConfigurationError(
                f"{type(source).__name__} is no source of a database server with several databases: give a "
                "PostgreSQL, MySQL, MariaDB or MongoDB."
            )
        for option, names in (("include", include), ("exclude", exclude)):
            if isinstance(names, str):
                raise one_text(option, names)
        label = name or source.url.host or "localhost"
        check_component(label, of=f"The folder of the databases of {source.url}")
        set_once = object.__setattr__
        set_once(self, "source", source)
        set_once(self, "name", f"{source.url.engine}-{label}")
        set_once(self, "include", tuple(include))
        set_once(self, "exclude", tuple(exclude))

    @property
    def contents(self) -> Contents:
        return "databases"

    @property
    def tools(self) -> Path | None:
        """The folder of the vendor's programs, as the source was told."""
        return self.source.tools

    def examine(self) -> Iterator[Finding]:
        """Which databases there are, all of the first one, and of the others what is wrong."""
        names = yield from tried("databases", self._names, some, of=self.source.url)
        seen: set[str] = set()
        for number, name in enumerate(names or ()):
            try:
                one = self.source.with_database(name, dump_name=self._dump_name(name))
            except ConfigurationError as error:
                yield Finding(step=name, verdict="not ok", message=str(error))
                continue
            for finding in findings_within(one, name):
                if number == 0 or (finding.verdict != "ok" and finding.message not in seen):
                    yield finding
                seen.add(finding.message)

    def entries(self) -> Iterator[Entry | Problem]:
        """Ask the server for its databases, then yield the entries of each."""
        with as_source_errors(self.source.url, self.name):
            names = self._names()
        for name in names:
            try:
                one = self.source.with_database(name, dump_name=self._dump_name(name))
            except ConfigurationError as error:  # a database may have any name, and a dump may not
                yield Problem(message=str(error), path=self.name)
                continue
            yield from one.entries()

    @property
    def hosts(self) -> frozenset[str]:
        return self.source.url.host_names

    def database_of(self, path: str) -> DatabaseURL | None:
        """The database that the dump at this path is of, if it is one of this server's."""
        folder = f"{DUMPS}/{self.name}/"
        if not path.startswith(folder):
            return None
        return replace(self.source.url, database=path.removeprefix(folder).rpartition(".")[0])

    def _names(self) -> list[str]:
        names = [name for name in self.source.client().databases() if self._means(name)]
        if not names:
            raise SourceError(
                f"No database was found on {self.source.url} that is to be dumped: correct include= and exclude=, "
                "or grant the user the right to see them.",
                path=self.name,
            )
        return names

    def _dump_name(self, database: str) -> str:
        return f"{self.name.partition('-')[2]}/{database}"

    def _means(self, name: str) -> bool:
        def one_of(patterns: Sequence[str]) -> bool:
            return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

        if is_scratch(name) and name not in self.include:  # nor by a pattern: it would be one of the others'
            return False
        return (not self.include or one_of(self.include)) and not one_of(self.exclude)
