"""Looking for paths in all backups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from backupkit._comparing import same_content
from backupkit.errors import ConfigurationError, IntegrityError
from backupkit.model import Backup, Found, Problem, Version
from backupkit.patterns import finder, folders_within, is_on_the_way
from backupkit.protocols import FindsPaths, Repository


class Wanted:
    """What is looked for: see `Backups.find`. `between` is called for each path, and may raise to end it."""

    def __init__(self, patterns: Sequence[str], *, ignore_case: bool, between: Callable[[], None]) -> None:
        self._means = finder(patterns, ignore_case=ignore_case)
        self._between = between
        # Of what is written in any case it cannot be told where it may be.
        self._within = None if ignore_case else folders_within(patterns)

    def matches(self, path: str) -> bool:
        """Whether this very path is meant; a folder's ends in "/"."""
        self._between()
        return self._means(path)

    def enters(self, folder: str) -> bool:
        """Whether something in this folder may be meant."""
        return self._within is None or any(is_on_the_way(folder, path) for path in self._within)


def chosen_between(
    backups: Iterable[Backup], since: datetime | None, until: datetime | None
) -> Sequence[Backup]:
    """Those whose time is in between, both ends included."""
    for time in (since, until):
        if time is not None and time.tzinfo is None:
            raise ConfigurationError(f"The time {time} has no zone: give one, such as UTC.")
    return [
        one
        for one in backups
        if (since is None or one.time >= since) and (until is None or one.time <= until)
    ]


def found_in(repository: Repository, backups: Sequence[Backup], wanted: Wanted) -> Iterator[Found | Problem]:
    """What is found in these backups of one repository, one after the other."""
    if isinstance(repository, FindsPaths):
        yield from repository.find(backups, enters=wanted.enters, matches=wanted.matches)
        return
    for backup in backups:
        try:
            for entry in repository.read(backup):
                if wanted.matches(f"{entry.path}/" if entry.kind == "directory" else entry.path):
                    yield Found(backup=backup, entry=entry)
        except IntegrityError as error:  # what is damaged in one must not hide the others
            yield Problem(message=f"{backup.id}: {error}", destination=backup.location)


def versions_of(found: Iterable[Found]) -> Mapping[str, Sequence[Version]]:
    """What was found, by path, and of each path its versions, in the order in which they were found.

    A version is what stands in several backups alike: the same content and the same metadata. Whether the content
    is the same, backups say without being read; where one does not, as archives of others, size and time do.
    """
    paths: dict[str, list[Version]] = {}
    for one in found:
        versions = paths.setdefault(one.entry.path, [])
        for number, version in enumerate(versions):
            if _is_same(version, one):
                versions[number] = Version(entry=version.entry, backups=(*version.backups, one.backup))
                break
        else:
            versions.append(Version(entry=one.entry, backups=(one.backup,)))
    return paths


def _is_same(version: Version, found: Found) -> bool:
    entry, other = version.entry, found.entry
    return entry == other and (entry.kind not in ("file", "hardlink") or same_content(entry, other))
