"""`Parallel`: several dumps are under way at once, though an archive takes one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from backupkit._chunks import closing_iterator, rechunk
from backupkit._parallel import read_ahead
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Contents, Entry, Finding, Problem
from backupkit.protocols import AsksServers, DumpsDatabases, Source
from backupkit.sources._examining import findings_within
from backupkit.sources.hooks import Around

_PIECE = 1 << 20
_PIECES = 16  # that a dump may be ahead of the archive: bounded memory for each of them


@dataclass(frozen=True, slots=True, init=False)
class Parallel:
    """The dumps of several sources, or of one with several, with `at_once` of them begun at any time.

        Parallel(PostgreSQL(…), AllDatabases(MariaDB(…)), at_once=3)

    An archive is written entry by entry, so a dump whose turn has not come waits with 16 MiB of it read, its
    transaction open and its server at work meanwhile. That brings the states of the databases closer together,
    and saves the time in which servers prepare dumps. For databases only: a file that is read ahead gains nothing.
    """

    sources: tuple[Source, ...]
    at_once: int

    def __init__(self, *sources: Source, at_once: int = 2) -> None:
        if at_once < 1:
            raise ConfigurationError(f"at_once={at_once} dumps is not possible: use 1 or more.")
        names = [source.name for source in sources]
        if not sources or len(set(names)) < len(names):
            raise ConfigurationError("Parallel needs at least one source, each with another name.")
        for source in sources:
            if source.contents != "databases":
                raise ConfigurationError(
                    f"{source.name!r} holds files: only databases can be dumped in parallel."
                )
            if isinstance(source, Around):
                raise ConfigurationError(
                    f"The hooks around {source.name!r} would end before its dump does: write "
                    "Around(Parallel(…), hook)."
                )
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "at_once", at_once)

    @property
    def name(self) -> str:
        return ", ".join(source.name for source in self.sources)

    @property
    def contents(self) -> Contents:
        return "databases"

    def examine(self) -> Iterator[Finding]:
        """What each of the sources finds of itself."""
        for source in self.sources:
            yield from findings_within(source, source.name)

    def entries(self) -> Iterator[Entry | Problem]:
        """Yield what the sources yield, in their order; a source that fails is a problem, and the next follows."""
        with ExitStack() as under_way, closing_iterator(self._found()) as found:
            begun: deque[Entry | Problem] = deque()
            while True:
                while len(begun) < self.at_once and (one := next(found, None)) is not None:
                    begun.append(_begun(one, under_way) if isinstance(one, Entry) else one)
                if not begun:
                    return
                yield begun.popleft()

    @property
    def hosts(self) -> frozenset[str]:
        known = (source.hosts for source in self.sources if isinstance(source, AsksServers))
        return frozenset().union(*known)

    def database_of(self, path: str) -> DatabaseURL | None:
        """The database that the dump at this path is of, if one of the sources knows."""
        for source in self.sources:
            if isinstance(source, DumpsDatabases) and (url := source.database_of(path)) is not None:
                return url
        return None

    def _found(self) -> Iterator[Entry | Problem]:
        for source in self.sources:
            try:
                with closing_iterator(source.entries()) as entries:
                    yield from entries
            except SourceError as error:
                yield Problem(message=str(error), severity=error.severity, path=source.name)


def _begun(entry: Entry, under_way: ExitStack) -> Entry:
    """The same entry, its content being read from now on; read a second time, it is read anew."""
    ahead = read_ahead(_after_nothing(rechunk(entry.chunks(), _PIECE)), _PIECES)
    next(ahead)  # the nothing: now its thread runs
    unread = [ahead]
    under_way.callback(ahead.close)
    under_way.callback(unread.clear)  # after that, too, what is read is never less than all

    def chunks() -> Iterator[bytes]:
        if not unread:
            entry.rows.clear()
            entry.warnings.clear()
        with closing_iterator(unread.pop() if unread else entry.chunks()) as content:
            yield from content
        given.rows.update(entry.rows)
        given.warnings.extend(entry.warnings)

    # Whoever reads it forgets beforehand what an earlier reading has noted, and this one began earlier.
    given = replace(entry, chunks=chunks, reusing=None, within=None, rows={}, warnings=[])
    return given


def _after_nothing(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield b""
    with closing_iterator(chunks) as content:
        yield from content
