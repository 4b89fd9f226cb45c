"""`MongoDB`: one database of a MongoDB server, or all of them, dumped by mongodump."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from backupkit.databases.mongodb import MongoDBClient, check_url
from backupkit.databases.mongodb_archive import Contents as ArchiveContents
from backupkit.databases.mongodb_archive import whole_archive
from backupkit.databases.programs import ClientError, Limits, check_extra_options, output_of
from backupkit.databases.urls import DatabaseURL, server_name
from backupkit.errors import ConfigurationError, one_text
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
from backupkit.sources._examining import installed, some, tried

_EXTENSION = "archive"


@dataclass(frozen=True, slots=True, init=False)
class MongoDB:
    """The database that the URL names, or all of the server's if it names none, as mongodump's archive.

    Each collection is read as it is when its turn comes, so that two collections may show different moments.
    `oplog` makes it one moment: mongodump then adds what was written meanwhile, which only a whole member of
    a replica set has, and `mongorestore --oplogReplay` applies.

    `collections` is the one collection to dump, which is all that mongodump can be told; `exclude_collections`
    are left out. `count_rows` counts the documents in the archive.
    """

    url: DatabaseURL
    name: str
    collections: tuple[str, ...]
    exclude_collections: tuple[str, ...]
    oplog: bool
    tools: Path | None
    limits: Limits
    extra_options: tuple[str, ...] = field(repr=False)
    count_rows: bool

    def __init__(
        self,
        url: str | DatabaseURL,
        *,
        name: str | None = None,
        collections: Sequence[str] = (),
        exclude_collections: Sequence[str] = (),
        oplog: bool = False,
        tools: str | os.PathLike[str] | None = None,
        time_limit: timedelta | None = None,
        silence_limit: timedelta | None = SILENCE_LIMIT,
        extra_options: Sequence[str] = (),
        count_rows: bool = False,
    ) -> None:
        parsed = check_url(url_of(url, "mongodb"))
        for given, option in ((collections, "collections"), (exclude_collections, "exclude_collections")):
            if isinstance(given, str):
                raise one_text(option, given)
            if given and not parsed.database:
                raise ConfigurationError(
                    f"{option} needs a URL that names a database, and {parsed} names none."
                )
        if collections and exclude_collections:
            raise ConfigurationError(
                "collections and exclude_collections exclude each other: give one of them."
            )
        if len(collections) > 1:
            raise ConfigurationError(
                "mongodump takes one collection, or all but some: give exclude_collections, or one source for each "
                "collection, with a name= of its own."
            )
        if oplog and parsed.database:
            raise ConfigurationError(
                f"oplog=True is for a whole server, and {parsed} names a database: leave that out of the URL (with "
                "?authSource= in it if the user is known there)."
            )
        default = parsed.database or server_name(parsed)
        set_once = object.__setattr__
        set_once(self, "url", parsed)
        set_once(self, "name", dump_name(parsed, default if name is None else name, _EXTENSION))
        set_once(self, "collections", tuple(collections))
        set_once(self, "exclude_collections", tuple(exclude_collections))
        set_once(self, "oplog", oplog)
        set_once(self, "tools", folder_of(tools))
        set_once(self, "limits", limits_of(time_limit, silence_limit, parsed))
        set_once(self, "extra_options", _checked(extra_options))
        set_once(self, "count_rows", count_rows)

    @property
    def contents(self) -> Contents:
        return "databases"

    def client(self) -> MongoDBClient:
        """What else the server can be asked, as the same user; it needs pymongo."""
        return MongoDBClient(self.url, self.tools)

    def with_database(self, name: str, *, dump_name: str) -> MongoDB:
        """The same source for another database of the server; `dump_name` is `name` or `server/name`."""
        if self.oplog:
            raise ConfigurationError(
                f"oplog=True is for a whole server, which {self.url} dumps by itself: leave AllDatabases or oplog "
                "out."
            )
        return for_database(self, name, dump_name, _EXTENSION)

    @property
    def hosts(self) -> frozenset[str]:
        return self.url.host_names

    def database_of(self, path: str) -> DatabaseURL | None:
        return self.url if path == f"{DUMPS}/{self.name}" else None

    def examine(self) -> Iterator[Finding]:
        """The tools, and whether the server answers this user, which needs pymongo to be found out."""
        client = self.client()
        program = yield from installed("program", lambda: client.program("mongodump"), "makes the dump")
        yield from installed(
            "restored by", lambda: client.program("mongorestore"), "restores it", otherwise="warning"
        )
        if program is None:
            return
        if find_spec("pymongo") is None:
            yield Finding(
                step="server",
                verdict="not known",
                message=f"{self.url} can only be asked with pymongo: pip install 'backupkit[mongodb]'.",
            )
            return
        databases = yield from tried(
            "server",
            client.databases,
            lambda found: f"{self.url} answers; databases: {some(found) or 'none'}.",
            of=self.url,
        )
        if databases is not None and self.url.database and self.url.database not in databases:
            yield Finding(
                step="database",
                verdict="not ok",
                message=f"The server lists no database {self.url.database!r} to this user.",
                advice="Correct its name in the URL, or grant the role backup, or read on it.",
            )

    def entries(self) -> Iterator[Entry]:
        """Yield the one entry; nothing is started yet."""
        yield dump_entry(self.name, self._dump, self.url)

    def _dump(self, rows: dict[str, int]) -> Iterator[bytes]:
        client = self.client()
        argv = [
            client.program("mongodump"),
            "--archive",
            "--numParallelCollections=1",  # in parallel their documents are mingled, anew each time
            *(f"--collection={name}" for name in self.collections),
            *(f"--excludeCollection={name}" for name in self.exclude_collections),
            *(("--oplog",) if self.oplog else ()),
            *self.extra_options,
        ]
        contents = ArchiveContents()
        with client.access() as access:
            yield from whole_archive(
                output_of(argv, access, explain=client.explain, limits=self.limits), contents
            )
        for name in self.collections:
            if (self.url.database, name) not in contents.documents:
                raise ClientError(f"there is no collection {name!r} in the dump: correct its name.")
        if self.count_rows:
            rows.clear()
            rows.update(contents.rows(self.url.database))


def _checked(options: Sequence[str]) -> tuple[str, ...]:
    """The tools' options for passwords and for the form of the archive are others than those of the rest."""
    checked = check_extra_options(options)
    for option in checked:
        name = option.partition("=")[0]
        if name in ("--gzip", "--out", "-o", "--archive", "--config", "--sslPEMKeyPassword", "--quiet"):
            raise ConfigurationError(
                f"extra_options of a MongoDB dump cannot hold {name}: passwords belong into the URL, and the "
                "archive is read here as it comes, and compressed later."
            )
    return checked
