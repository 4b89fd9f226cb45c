"""Where a restore writes to, and what it finds finished there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from backupkit._operation import Running
from backupkit.databases.urls import is_database_url
from backupkit.errors import ConfigurationError
from backupkit.model import Entry
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
    max_size: int | str | None = None
    max_entries: int | None = None
    create: bool = False
    tables: Sequence[str] = ()

    @property
    def for_folders(self) -> bool:
        return self.setuid or self.resume or self.max_size is not None or self.max_entries is not None

    @property
    def for_databases(self) -> bool:
        return self.create or bool(self.tables)


Place: TypeAlias = "Target | str | os.PathLike[str]"


def opened_target(
    to: Place | None, databases: Mapping[str, Target | str] | None, options: RestoreOptions
) -> Target:
    """The target for all that was named; ConfigurationError for options that none of them would heed."""
    if databases is not None and not isinstance(databases, Mapping):
        raise ConfigurationError(
            "databases= is a mapping of dumps to databases: {'shop': 'postgresql://…/shop'}."
        )
    if to is None and not databases:
        raise ConfigurationError("Nothing says where to restore to: give to=, databases= or both.")
    if databases and (isinstance(to, DatabaseTarget) or (isinstance(to, str) and is_database_url(to))):
        raise ConfigurationError(
            "to= and databases= both name databases: name all of them in databases=, and a folder, if any, in to=."
        )
    rest = None if to is None else _opened(to, options)
    dumps = {
        name: _opened(one, options) if is_database(one) else _not_a_database(name)
        for name, one in (databases or {}).items()
    }
    opened = [one for one in (rest, *dumps.values()) if one is not None]
    if options.for_folders and not any(isinstance(one, DirectoryTarget) for one in opened):
        raise ConfigurationError(
            "setuid, resume, max_size and max_entries are for restoring to a folder: give them to the target "
            "that you made, as in DirectoryTarget(…, resume=True)."
        )
    if options.for_databases and not any(isinstance(one, DatabaseTarget) for one in opened):
        raise ConfigurationError("create and tables are for restoring to a database: name one by its URL.")
    return RoutedTarget(dumps, rest) if dumps or rest is None else rest


def is_database(place: Place) -> bool:
    """Whether only dumps can go there."""
    return isinstance(place, DatabaseTarget) or (isinstance(place, str) and is_database_url(place))


def _opened(place: Place, options: RestoreOptions) -> Target:
    if isinstance(place, str) and is_database_url(place):
        return DatabaseTarget(
            place, overwrite=options.overwrite, create=options.create, tables=options.tables
        )
    if isinstance(place, str | os.PathLike):
        return DirectoryTarget(
            place,
            overwrite=options.overwrite,
            setuid=options.setuid,
            resume=options.resume,
            max_size=options.max_size,
            max_entries=options.max_entries,
        )
    if options != RestoreOptions():
        raise ConfigurationError(
            "overwrite, setuid, resume, max_size, max_entries, create and tables are for a folder or database that "
            "is named: give them to the target that you made, as in DirectoryTarget(…, resume=True)."
        )
    return place


def _not_a_database(name: str) -> Target:
    raise ConfigurationError(
        f"databases={{{name!r}: …}} does not name a database: give its URL, or a DatabaseTarget."
    )


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
