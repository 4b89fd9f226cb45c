"""Where a drill restores to: what it was told, and the scratch database that each dump becomes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from backupkit._scratch import ScratchDatabase
from backupkit._scratch_redis import ScratchRedis, scratch_redis
from backupkit.databases.clients import DatabaseClient, checked, client_of
from backupkit.databases.programs import ClientError
from backupkit.databases.scratch_names import scratch_name
from backupkit.databases.urls import DatabaseURL, check_distinct, parse_database_url
from backupkit.errors import ConfigurationError, RestoreError
from backupkit.model import DUMPS, Contents, Entry, Problem, Restored
from backupkit.protocols import DumpsDatabases, Source
from backupkit.sources.hooks import Around
from backupkit.sources.parallel import Parallel
from backupkit.targets.database import DatabaseTarget
from backupkit.targets.dumps import ROLES, short_name
from backupkit.targets.routed import name_of

Assertion: TypeAlias = Callable[[Restored], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """What `BackupPipeline.drill` was told, checked as far as that needs no I/O."""

    only: Contents | None
    databases: Mapping[str, DatabaseURL]
    scratch: str | os.PathLike[str] | None
    assertions: tuple[Assertion, ...]
    compare_rows: bool
    keep: bool


def drill_options(
    *,
    only: Contents | None,
    databases: Mapping[str, str | DatabaseURL] | None,
    scratch: str | os.PathLike[str] | None,
    assertions: Sequence[Assertion],
    compare_rows: bool,
    keep: bool,
) -> DrillOptions:
    if databases is not None and not isinstance(databases, Mapping):
        raise ConfigurationError(
            "databases= is a mapping of dumps to servers: {'shop': 'postgresql://scratch-server/'}."
        )
    if callable(assertions) or not all(callable(one) for one in assertions):
        raise ConfigurationError(
            "assertions= is a list of functions that take what was restored: [check_it]."
        )
    if (unasked := next((one for one in assertions if _never_runs(one)), None)) is not None:
        raise ConfigurationError(
            f"The assertion {name_of_assertion(unasked)} is async or yields, so that calling it runs none of it: "
            "give a plain function (asyncio.run inside it runs what is async)."
        )
    urls = {name: checked(parse_database_url(url)) for name, url in (databases or {}).items()}
    check_distinct((name, url) for name, url in urls.items() if not _is_server(url))
    return DrillOptions(
        only=only,
        databases=MappingProxyType(urls),
        scratch=scratch,
        assertions=tuple(assertions),
        compare_rows=compare_rows,
        keep=keep,
    )


def name_of_assertion(assertion: Assertion) -> str:
    return str(getattr(assertion, "__name__", type(assertion).__name__))


def _never_runs(assertion: Assertion) -> bool:
    """Whether its body is not run by calling it: that of a coroutine or a generator."""
    import functools

    function = assertion
    while isinstance(function, functools.partial):
        function = function.func
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(kind(one) for kind in kinds for one in (function, getattr(function, "__call__", None)))  # noqa: B004


@dataclass(slots=True)
class Dump:
    """A dump of the backup, and the database that it becomes. As a target it notes how that went.

    `scratch` is None where the restored file itself is the database. `took` is set once it is restored. `begun`
    says that something of it may be in the database.
    """

    path: str
    url: DatabaseURL
    rows: Mapping[str, int]
    scratch: ScratchDatabase | ScratchRedis | None
    clock: Callable[[], datetime]
    took: timedelta | None = field(default=None, init=False)
    failure: RestoreError | None = field(default=None, init=False)
    begun: bool = field(default=False, init=False)

    @property
    def client(self) -> DatabaseClient:
        return client_of(self.url, tools=self.scratch.tools if self.scratch else None)

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        return self._target().check(entries)

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        began = self.clock()
        try:
            yield from self._target().write(self._noting(entry) for entry in entries)
        except RestoreError as error:
            self.failure = error
            raise
        self.took = self.clock() - began

    def _noting(self, entry: Entry) -> Entry:
        def chunks() -> Iterator[bytes]:
            # A Redis server that was named is not ours alone: what others wrote since it was looked at is not
            # written over now, nor dropped in the end.
            if self.url.engine == "redis" and self.client.state() == "filled":
                self.begun = False
                raise ClientError(
                    "it is not empty any more: name a server that nobody else uses.", outside=True
                )
            self.begun = True
            yield from entry.chunks()

        return replace(entry, chunks=chunks, reusing=None, within=None)

    def _target(self) -> DatabaseTarget:
        # create: a file of SQLite comes into being by being restored.
        tools = self.scratch.tools if self.scratch else None
        return DatabaseTarget(self.url, create=True, tools=tools, scratch=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Decides for each dump; what is not a dump goes below `folder`."""

    sources: Sequence[Source]
    options: DrillOptions
    folder: Path
    clock: Callable[[], datetime]

    def place_of(self, entry: Entry) -> Dump | Problem | None:
        """The database that an entry becomes, no I/O; None if it is no dump, a warning if it stays a file."""
        if entry.kind not in ("file", "hardlink") or not entry.path.startswith(f"{DUMPS}/"):
            return None
        if entry.path.endswith(ROLES):
            return None
        name = name_of(entry, self.options.databases)
        source, tools = self.source_of(entry.path)
        if name is not None:
            asked = self.options.databases[name]
            made_up = _is_server(asked)
            url = self._made_up(asked) if made_up else asked
            return self._dump(entry, ScratchDatabase(url, tools, made_up))
        if entry.path.endswith(".sqlite3"):  # page by page: the restored file is the database
            return self._dump(entry, _sqlite(self.folder / entry.path))
        if source is not None and source.engine == "sqlite":
            url = _sqlite(self.folder.with_name(f"{os.urandom(5).hex()}.sqlite3"))
            return self._dump(entry, ScratchDatabase(url, None, made_up=True))
        if source is not None and source.engine != "redis":
            return self._dump(entry, ScratchDatabase(self._made_up(source), tools, made_up=True))
        why = "no source of this pipeline says which server it is for"
        if source is not None:
            place = scratch_redis(self.folder.with_name(os.urandom(5).hex()), tools)
            if isinstance(place, ScratchRedis):
                return self._dump(entry, place)
            why = place
        short = short_name(entry.path.removeprefix(f"{DUMPS}/"))
        return Problem(
            message=f"{entry.path} is rehearsed as a file only: {why}. To restore it to a scratch database, name a "
            f"server: databases={{{short!r}: '<engine>://<host>/'}}.",
            severity="warning",
            path=entry.path,
        )

    def source_of(self, path: str) -> tuple[DatabaseURL | None, Path | None]:
        """The database that a dump is of, and the folder where that source finds its programs."""
        for source in _inner(self.sources):
            if isinstance(source, DumpsDatabases) and (url := source.database_of(path)) is not None:
                return url, getattr(source, "tools", None)
        return None, None

    def check_apart(self, dump: Dump, sources: Iterable[DatabaseURL]) -> None:
        """ConfigurationError if restoring the dump would touch a database that is backed up."""
        if isinstance(dump.scratch, ScratchRedis):
            return
        for source in sources:
            # Restoring to Redis may concern all databases of a server.
            same = source.same_server if dump.url.engine == "redis" else source.same_database
            if same(dump.url):
                raise ConfigurationError(
                    f"{dump.path} would be restored over {source}, which this pipeline backs up: name another "
                    "server or database for the drill."
                )

    def _dump(self, entry: Entry, place: ScratchDatabase | ScratchRedis | DatabaseURL) -> Dump:
        scratch, url = (None, place) if isinstance(place, DatabaseURL) else (place, place.url)
        return Dump(entry.path, url, dict(entry.rows), scratch, self.clock)

    def _made_up(self, server: DatabaseURL) -> DatabaseURL:
        return replace(server, database=scratch_name(self.clock(), keep=self.options.keep))


def _inner(sources: Iterable[Source]) -> Iterator[Source]:
    """The sources that dump, without what only stands around them."""
    for source in sources:
        if isinstance(source, Around):
            yield from _inner([source.source])
        elif isinstance(source, Parallel):
            yield from _inner(source.sources)
        else:
            yield source


def _is_server(url: DatabaseURL) -> bool:
    """Whether a database has to be made up; Redis counts its own, and nobody makes them."""
    return not url.database and url.engine != "redis"


def _sqlite(path: Path) -> DatabaseURL:
    return DatabaseURL(engine="sqlite", scheme="sqlite", database=os.fspath(path))
