"""Where a restore writes to, and what it finds finished there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeGuard, cast

from backupkit._operation import Running
from backupkit.databases.urls import DatabaseURL, check_distinct, is_database_url, parse_database_url
from backupkit.errors import ConfigurationError
from backupkit.model import Entry, Problem
from backupkit.protocols import Target
from backupkit.targets import DirectoryTarget
from backupkit.targets.database import DatabaseTarget
from backupkit.targets.routed import RoutedTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """What `Backups.restore` was told of its targets: some of it is for folders, some for databases."""

    overwrite: bool = False
    setuid: bool = False
    resume: bool = False
    sparse: bool = False
    max_size: int | str | None = None
    max_entries: int | None = None
    create: bool = False
    tables: Sequence[str] = ()

    @property
    def for_folders(self) -> bool:
        limited = self.max_size is not None or self.max_entries is not None
        return self.setuid or self.resume or self.sparse or limited

    @property
    def for_databases(self) -> bool:
        return self.create or bool(self.tables)


Place: TypeAlias = "Target | DatabaseURL | str | os.PathLike[str]"
Databases: TypeAlias = "Mapping[str, Target | DatabaseURL | str]"


def opened_target(to: Place | None, databases: Databases | None, options: RestoreOptions) -> Target:
    """The target for all that was named; ConfigurationError for options that none of them would heed."""
    if databases is not None and not isinstance(databases, Mapping):
        raise ConfigurationError(
            "databases= is a mapping of dumps to databases: {'shop': 'postgresql://…/shop'}."
        )
    if to is None and not databases:
        raise ConfigurationError("Nothing says where to restore to: give to=, databases= or both.")
    if databases and to is not None and is_database(to):
        raise ConfigurationError(
            "to= and databases= both name databases: name all of them in databases=, and a folder, if any, in to=."
        )
    places = [*([] if to is None else [to]), *(databases or {}).values()]
    folder = isinstance(to, str | os.PathLike) and not is_database(to)
    database = any(map(_is_url, places))
    if (
        (options.overwrite and not (folder or database))
        or (options.for_folders and not folder)
        or (options.for_databases and not database)
    ):
        raise ConfigurationError(
            "setuid, resume, sparse, max_size and max_entries are for a folder, create and tables for a database, "
            "and overwrite for both, where its path or URL is named: give them to the target that you made, as in "
            "DirectoryTarget(…, resume=True)."
        )
    rest = None if to is None else _opened(to, options)
    dumps = {name: _opened_database(name, one, options) for name, one in (databases or {}).items()}
    check_distinct((name, one.url) for name, one in dumps.items() if isinstance(one, DatabaseTarget))
    return RoutedTarget(dumps, rest) if dumps or rest is None else rest


def is_database(place: Place) -> bool:
    """Whether only dumps can go there."""
    return isinstance(place, DatabaseTarget) or _is_url(place)


def _is_url(place: Place) -> TypeGuard[DatabaseURL | str]:
    return isinstance(place, DatabaseURL) or (isinstance(place, str) and is_database_url(place))


def location_of(to: Place | None, databases: Databases | None) -> str:
    """Where a restore goes, as a message may say it: without the passwords of URLs."""
    if to is None:
        return ", ".join(databases or ())
    if isinstance(to, DatabaseTarget):
        return str(to.url)
    if _is_url(to):
        return str(parse_database_url(to))
    return os.fspath(to) if isinstance(to, str | os.PathLike) else type(to).__name__


def _opened(place: Place, options: RestoreOptions) -> Target:
    if _is_url(place):
        return DatabaseTarget(
            place, overwrite=options.overwrite, create=options.create, tables=options.tables
        )
    if isinstance(place, str) and "://" in place:  # not repeated: it may hold a password
        raise ConfigurationError(
            f"{place.partition('://')[0]}:// is nothing that can be restored to: name a folder, or the URL of a "
            "database."
        )
    if isinstance(place, str | os.PathLike):
        return DirectoryTarget(
            place,
            overwrite=options.overwrite,
            setuid=options.setuid,
            resume=options.resume,
            sparse=options.sparse,
            max_size=options.max_size,
            max_entries=options.max_entries,
        )
    return cast("Target", place)


def _opened_database(name: str, place: Target | DatabaseURL | str, options: RestoreOptions) -> Target:
    """Anybody's target may take a dump; what is for files of all kinds is a mistake here."""
    if isinstance(place, str | os.PathLike) and not is_database(place):
        raise ConfigurationError(
            f"databases={{{name!r}: …}} does not name a database: give its URL, or a target for it."
        )
    if isinstance(place, DirectoryTarget):
        raise ConfigurationError(
            f"databases={{{name!r}: …}} is a folder: give that as to=, and the dump is restored there as a file."
        )
    return _opened(place, options)


class InPlace:
    """Keeps what a target leaves as it is, because it is finished, out of what counts as restored.

    `size` is that of the files that the check found finished; `compared` counts the bytes that were read but
    not written.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._read_before: int | None = None  # set while an entry is written, not while they are checked
        self.size = 0
        self.compared = 0

    def watched(self, target: Target) -> Target:
        """The same target; what it skips is counted, and told to whom it was told before."""
        if isinstance(target, RoutedTarget) and target.rest is not None:
            return replace(target, rest=self.watched(target.rest))
        if not isinstance(target, DirectoryTarget):
            return target
        tell = target.skipped

        def skipped(entry: Entry) -> None:
            self._add(entry)
            if tell is not None:
                tell(entry)

        return replace(target, skipped=skipped)

    def around(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries to write, watched; what the check had counted is counted anew."""
        self._running.skipped = 0
        for entry in entries:
            self._read_before = self._running.read
            yield self._running.watched(entry)

    def _add(self, entry: Entry) -> None:
        self._running.skipped += 1
        if self._read_before is not None:
            self._running.entries -= 1
            self.compared += self._running.read - self._read_before
        elif entry.kind == "file":
            self.size += entry.size or 0


class Lost:
    """What of a backup cannot be read at all: known from the check, and no obstacle to restoring the rest."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._told = False
        self.found: dict[str | None, Problem] = {}

    def add(self, problem: Problem) -> None:
        """Of each path once, however often it is met."""
        if self.found.setdefault(problem.path, problem) is problem and self._told:
            self._running.add(problem)

    def tell(self) -> None:
        """Add what was found to the report, and from now on what will be found."""
        self._told = True
        for problem in self.found.values():
            self._running.add(problem)


def obstacles(problems: Sequence[Problem]) -> str:
    errors = [problem.message for problem in problems if problem.severity == "error"]
    more = f" … and {len(errors) - 3} more" if len(errors) > 3 else ""
    return f"Nothing was restored: {' '.join(errors[:3])}{more}"
