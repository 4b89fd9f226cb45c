"""`DatabaseTarget`: a dump goes back into a database, by the vendor's own client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from backupkit._chunks import closing_iterator
from backupkit.databases.clients import DatabaseClient, State, checked, client_of
from backupkit.databases.programs import ClientError, Limits
from backupkit.databases.urls import DatabaseURL, Engine, parse_database_url
from backupkit.errors import BackupKitError, ConfigurationError, RestoreError, one_text
from backupkit.model import Entry, Problem
from backupkit.targets.decompressing import decompressed
from backupkit.targets.dumps import ROLES, of_another_engine, roles_are_no_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """What an engine is told when it loads a dump: what gives way to it, and what is wanted of it.

    `replace`: all that is there, or, where `tables` are wanted, what there is of those. `scratch`: nothing in the
    database may begin to run by itself, for it stands beside the one that it is a copy of.
    """

    replace: bool
    tables: tuple[str, ...]
    limits: Limits
    scratch: bool = False


@dataclass(frozen=True, slots=True)
class Loader:
    """How an engine loads a dump. `atomic`: what was there stays, all of it, unless the load succeeds.

    An atomic one is given `Loading.replace`; any other finds the database empty. It raises ClientError, and
    what the chunks raise passes through. `trusting`: the server itself may come to harm by a damaged dump, so
    that it is given no byte of one before all of it was read, and found whole by the archive's own check.
    """

    load: Callable[[DatabaseClient, Iterator[bytes], Loading], None]
    atomic: bool
    trusting: bool = False
    # Says how to empty the database, and leave it with all else that it has now; asked before it is loaded.
    emptying: Callable[[DatabaseClient], Callable[[], None]] = lambda client: lambda: _made_anew(client)
    # Passes a dump's chunks on, and raises ClientError at what is never loaded: before anything gives way to it.
    checked: Callable[[Iterator[bytes]], Iterator[bytes]] = iter


@dataclass(frozen=True, slots=True)
class DatabaseTarget:
    """Restores one dump into the database that `url` names, streamed into the vendor's client.

    The database must be there and empty; `create` makes it if it is missing, and `overwrite` allows one that
    holds something, all of which then gives way. The first error ends it. PostgreSQL, SQLite and Redis
    change from what was there to what was restored in one step, and a failure leaves them as they were.
    MySQL and MongoDB cannot: there the dump is read through and found whole before anything is replaced,
    and after a failure the database is emptied, or dropped if it was made here; where that fails too, the
    error says so.

    A Redis server ends itself over a dump that is damaged inside, and what is not on its disk is lost. So it
    is sent nothing before the dump was read through and found to be what was once dumped; a dump that was
    damaged when it was made still ends it.

    `tables` restores only those, from PostgreSQL's custom form. `tools` is the folder of the vendor's
    programs, where they are not in the PATH. A password in the URL reaches them by a private file. Dumps
    that were compressed by gzip or bzip2, as other programs leave them, are decompressed on the way. `scratch`
    is for a copy beside the original: the events of MySQL and MariaDB, which run by themselves and act on
    whatever database they name, are restored switched off.
    """

    url: DatabaseURL
    overwrite: bool = field(default=False, kw_only=True)
    create: bool = field(default=False, kw_only=True)
    tables: tuple[str, ...] = field(default=(), kw_only=True)
    tools: Path | None = field(default=None, kw_only=True)
    time_limit: timedelta | None = field(default=None, kw_only=True)
    scratch: bool = field(default=False, kw_only=True)

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        overwrite: bool = False,
        create: bool = False,
        tables: Sequence[str] = (),
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        scratch: bool = False,
    ) -> None:
        parsed = checked(parse_database_url(url))
        if not parsed.database and parsed.engine != "redis":
            raise ConfigurationError(f"{parsed} names no database to restore to: write {parsed}/name.")
        if isinstance(tables, str):
            raise one_text("tables", tables)
        if tables and parsed.engine != "postgresql":
            raise ConfigurationError(
                "Only PostgreSQL dumps in the custom form can be restored table by table: restore the whole dump "
                "to another database, and copy the tables from there."
            )
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "overwrite", overwrite)
        set_once(self, "create", create)
        set_once(self, "tables", tuple(tables))
        set_once(self, "tools", None if tools is None else Path(tools))
        set_once(self, "time_limit", time_limit)
        set_once(self, "scratch", scratch)

    def takes(self, entry: Entry) -> bool:
        """Whether a database can come of it: not of a server's roles, which often stand beside its dump."""
        return not entry.path.endswith(ROLES)

    def check(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Yield what would keep `write` from succeeding: asks the server, changes nothing, reads no content."""
        dumps = [entry.path for entry in entries if entry.kind in ("file", "hardlink")]
        if len(dumps) > 1:
            yield Problem(
                message=f"{self.url} takes one dump, and there are {len(dumps)} ({', '.join(dumps[:5])}): say "
                "which with include=, or give each its own with databases={name: url}.",
                path=str(self.url),
            )
            return
        if dumps and dumps[0].endswith(ROLES):
            yield roles_are_no_database(dumps[0])
            return
        if dumps and (problem := of_another_engine(dumps[0], self.url)) is not None:
            yield problem
            return
        try:
            state = self._client().state()
        except ClientError as error:
            yield Problem(message=str(error), path=str(self.url))
            return
        if state == "missing" and not self.create:
            yield Problem(
                message=f"There is no database {self.url}: create it, or say create=True.", path=str(self.url)
            )
        if state == "filled" and not self.overwrite and not self.tables:
            yield Problem(
                message=f"The database {self.url} is not empty: restore to another one, or say overwrite=True to "
                "replace all that is in it.",
                path=str(self.url),
            )

    def write(self, entries: Iterable[Entry]) -> Iterator[Problem]:
        """Load the dump; RestoreError if that fails, and what its chunks raise passes through."""
        for entry in entries:
            if entry.kind in ("file", "hardlink"):
                self._load(entry)
        yield from ()

    def _client(self) -> DatabaseClient:
        return client_of(self.url, tools=self.tools)

    def _ready(self, client: DatabaseClient) -> State:
        state = client.state()
        if (state == "missing" and not self.create) or (
            state == "filled" and not self.overwrite and not self.tables
        ):
            raise ClientError("it is missing, or not empty, by now", outside=True)
        return state

    def _load(self, entry: Entry) -> None:
        client, loader = self._client(), _loader(self.url.engine)
        try:
            state = self._ready(client)
            if loader.trusting:
                _read_through(entry, loader)
                state = self._ready(client)  # that took long, and others may have filled it meanwhile
            if state == "missing":
                client.create()
            loading = Loading(
                replace=state == "filled" and self.overwrite,
                tables=self.tables,
                limits=Limits(time=self.time_limit),
                scratch=self.scratch,
            )
            empty = client.drop
            if not loader.atomic and state != "missing":
                empty = loader.emptying(client)
            if not loader.atomic and state == "filled":
                _read_through(entry, loader)
                empty()
            try:
                with closing_iterator(decompressed(entry.chunks())) as chunks:
                    loader.load(client, chunks, loading)
            except BaseException as error:
                # What is left half-way could be taken for a restored database.
                if state == "missing" or not loader.atomic:
                    try:
                        empty()
                    except ClientError as trouble:
                        _tell(error, f"What was restored so far may still be in {self.url}: {trouble}")
                raise
        except ClientError as error:
            raise RestoreError(
                f"{entry.path} could not be restored to {self.url}: {error}", path=entry.path
            ) from error


def _made_anew(client: DatabaseClient) -> None:
    client.drop()
    client.create()


def _tell(error: BaseException, more: str) -> None:
    """Put it into the message where it is ours, and at its side where it is not."""
    if isinstance(error, (ClientError, BackupKitError)):
        error.args = (f"{str(error).rstrip('.')}. {more}", *error.args[1:])
    else:
        error.add_note(more)


def _read_through(entry: Entry, loader: Loader) -> None:
    with closing_iterator(decompressed(entry.chunks())) as chunks:
        for _ in loader.checked(chunks):
            pass


def _loader(engine: Engine) -> Loader:
    match engine:
        case "postgresql":
            from backupkit.targets.postgresql import load_postgresql

            return Loader(load_postgresql, atomic=True)
        case "mysql" | "mariadb":
            from backupkit.targets.mysql import emptying_mysql, load_mysql
            from backupkit.targets.mysql_scripts import whole_script

            return Loader(load_mysql, atomic=False, checked=whole_script, emptying=emptying_mysql)
        case "mongodb":
            from backupkit.targets.mongodb import load_mongodb

            return Loader(load_mongodb, atomic=False)
        case "redis":
            from backupkit.databases.rdb import whole_rdb
            from backupkit.targets.redis import load_redis

            return Loader(load_redis, atomic=True, trusting=True, checked=whole_rdb)
        case "sqlite":
            from backupkit.targets.sqlite import load_sqlite

            return Loader(load_sqlite, atomic=True)
