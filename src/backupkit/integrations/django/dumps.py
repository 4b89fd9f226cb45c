"""Which of the pipelines' sources dumps which database, and what they call that dump."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from backupkit.databases.urls import DatabaseURL
from backupkit.model import DUMPS
from backupkit.protocols import DumpsDatabases, Source
from backupkit.sources.all_databases import AllDatabases
from backupkit.sources.hooks import Around
from backupkit.sources.parallel import Parallel
from backupkit.targets.dumps import short_name


def parts_of(sources: Iterable[Source]) -> Iterator[Source]:
    """The sources that read something, inside of those that only say when and how."""
    for source in sources:
        if isinstance(source, Around):
            yield from parts_of([source.source])
        elif isinstance(source, Parallel):
            yield from parts_of(source.sources)
        else:
            yield source


def dump_of(url: DatabaseURL, sources: Iterable[Source]) -> str | None:
    """The short name that the dump of this database has in backups of these sources; None if none dumps it."""
    if url.engine == "sqlite":
        url = replace(url, database=os.path.abspath(url.database))
    for source in parts_of(sources):
        if not isinstance(source, DumpsDatabases):
            continue
        path = f"{source.name}/{url.database}.sql" if isinstance(source, AllDatabases) else source.name
        dumped = source.database_of(f"{DUMPS}/{path}")
        if dumped is not None and dumped.same_database(url):
            return short_name(path)
    return None
