"""What all sources that dump a database server have in common."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from backupkit.databases.programs import ClientError, Limits
from backupkit.databases.urls import DatabaseURL, Engine, parse_database_url
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import DUMPS, Entry
from backupkit.sources._names import check_component

SILENCE_LIMIT = timedelta(minutes=15)
"""How long a client may write nothing before it counts as stalled: waiting for a lock is silence too."""


class _OfServer(Protocol):
    @property
    def url(self) -> DatabaseURL: ...


T = TypeVar("T", bound=_OfServer)


def url_of(url: str | DatabaseURL, *engines: Engine) -> DatabaseURL:
    """The URL taken apart; ConfigurationError if it is of another engine."""
    parsed = parse_database_url(url)
    if parsed.engine not in engines:
        raise ConfigurationError(
            f"{parsed} is no {engines[0]} database: use database(url), which picks the source by the URL."
        )
    return parsed


def dump_name(url: DatabaseURL, name: str | None, extension: str) -> str:
    """`<engine>-<name>.<extension>`, where the name is that of the database unless given."""
    base = check_component(url.database if name is None else name, of=f"The dump of {url}")
    return f"{url.engine}-{base}.{extension}"


def for_database(source: T, name: str, dump_name: str, extension: str) -> T:
    """The same source for another database of its server; `dump_name` is `name` or `server/name`."""
    for part in dump_name.split("/", 1):
        check_component(part, of=f"The dump of {name!r}")
    other = copy.copy(source)
    object.__setattr__(other, "url", replace(source.url, database=name))
    object.__setattr__(other, "name", f"{source.url.engine}-{dump_name}.{extension}")
    return other


def limits_of(time_limit: timedelta | None, silence_limit: timedelta | None, url: DatabaseURL) -> Limits:
    for limit in (time_limit, silence_limit):
        if limit is not None and limit <= timedelta(0):
            raise ConfigurationError(f"The dump of {url} cannot run in no time: give limits above zero.")
    return Limits(time=time_limit, silence=silence_limit)


def folder_of(tools: str | os.PathLike[str] | None) -> Path | None:
    return None if tools is None else Path(tools)


def dump_entry(name: str, dump: Callable[[dict[str, int]], Iterator[bytes]], url: DatabaseURL) -> Entry:
    """The entry `db-dumps/<name>`; `dump` is given where to put counts of rows, its ClientErrors are translated."""
    path = f"{DUMPS}/{name}"
    rows: dict[str, int] = {}

    def chunks() -> Iterator[bytes]:
        with as_source_errors(url, path):
            yield from dump(rows)

    return Entry(path=path, mode=0o600, chunks=chunks, rows=rows)


@contextmanager
def as_source_errors(url: DatabaseURL, path: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        message = f"The database {url} could not be dumped: {error}"
        raise SourceError(message, path=path, retryable=error.retryable) from error
