"""What a run reads: its sources, one after the other, without the folders that it writes to."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from backupkit._chunks import closing_iterator
from backupkit._operation import Running
from backupkit.errors import ConfigurationError, HookError, OperationCancelledError, SourceError, told
from backupkit.filesystems.addresses import below, place_within
from backupkit.model import Entry, Part, Problem, flaw_of
from backupkit.protocols import (
    Destination,
    ExcludesLocations,
    ExcludesPaths,
    OnThisMachine,
    ReadsInParts,
    Source,
)
from backupkit.retrying import Retry
from backupkit.sources.files import Directory
from backupkit.sources.hooks import Around


def read_sources(
    running: Running, sources: Sequence[Source], retry: Retry
) -> Generator[Entry | Problem, None, None]:
    """Yield all entries; a source that fails, after `retry`, is a problem and the next one follows.

    A second attempt at a source repeats nothing that was read.
    """
    for one in _read(running, sources, retry, in_parts=False):
        if not isinstance(one, Part):  # which nobody asked for
            yield one


def read_parts(
    running: Running, sources: Sequence[Source], retry: Retry
) -> Generator[Entry | Problem | Part, None, None]:
    """The same, with folders unread where a source can hand them over so; what passes of them is counted."""
    yield from _read(running, sources, retry, in_parts=True)


def _read(
    running: Running, sources: Sequence[Source], retry: Retry, *, in_parts: bool
) -> Iterator[Entry | Problem | Part]:
    for source in sources:
        done: set[str | Problem] = set()
        begin = source.parts if in_parts and isinstance(source, ReadsInParts) else source.entries
        try:
            for attempt in retry.attempts():
                with attempt, closing_iterator(begin()) as found:
                    yield from _watched(found, source, running, done)
        except (OperationCancelledError, HookError):
            raise
        except SourceError as error:
            # Whatever it says of itself: what would have followed is not in the backup.
            yield Problem(message=str(error), path=source.name)
        except Exception as error:
            yield Problem(
                message=f"The source {source.name} failed: {told(error)}",
                path=source.name,
            )
    running.check_cancelled()  # a program may have been silent for long, and this is the last chance


def _watched(
    found: Iterator[Entry | Problem | Part], source: Source, running: Running, done: set[str | Problem]
) -> Iterator[Entry | Problem | Part]:
    for one in found:
        entry = one.entry if isinstance(one, Part) else one
        key = entry if isinstance(entry, Problem) else entry.path
        if key in done:
            continue
        done.add(key)
        if not isinstance(entry, Problem) and (flaw := flaw_of(entry)) is not None:
            one = Problem(
                message=f"The source {source.name} gave {entry.path!r} with {flaw}: it is not in the backup.",
                path=str(entry.path),
            )
        if isinstance(one, Problem):
            if one.severity != "warning":
                one = replace(one, severity="error")
            running.add(one)
            yield one
        elif isinstance(one, Part):
            running.check_cancelled()
            yield replace(one, passed=running.passed)
        else:
            yield running.watched(one)


def apart_from(
    destinations: Sequence[Destination], sources: Sequence[Source], name: str, *, whole: bool = False
) -> Sequence[Source]:
    """The sources without the folders that the pipeline of this name writes to.

    Its backups are in the folder of its name there; or, with `whole`, they and others' have all of the place.
    """
    folders = [one.folder for one in destinations if isinstance(one, OnThisMachine)]
    own = [part for folder in folders for part in (folder, folder / name, folder / "backupkit")]
    locations = [one.location for one in destinations]
    remote = [part for one in locations for part in (one, below(one, name), below(one, "backupkit"))]
    backups: list[Path | str] = [*folders, *locations]
    if not whole:
        backups = [*(folder / name for folder in folders), *(below(one, name) for one in locations)]
    for source in sources:
        for place in backups:
            _check_apart(source, place, whole=whole)
    apart = [one.excluding(own) if isinstance(one, ExcludesPaths) and own else one for one in sources]
    return [one.without(remote) if isinstance(one, ExcludesLocations) else one for one in apart]


def _check_apart(source: Source, backups: Path | str, *, whole: bool) -> None:
    """A source cannot leave out its own folder, so backups must not go directly into it."""
    inner = source
    while isinstance(inner, Around):
        inner = inner.source
    if isinstance(backups, Path):
        same = isinstance(inner, Directory) and os.path.realpath(inner.path) == os.path.realpath(backups)
    else:
        location = getattr(inner, "location", None)
        found = place_within(backups, location) if isinstance(location, str) else None
        same = found == "" if whole else found is not None
    if same:
        advice = "" if whole else ", or give the pipeline another name"
        raise ConfigurationError(
            f"The source {source.name!r} is {str(backups)!r}, the folder that this pipeline's "
            f"{'backups' if whole else 'archives'} go to: name a destination outside the source{advice}."
        )


def check_sources(sources: Iterable[Source]) -> None:
    """Refuse, without I/O, what is no source, and names that would hide each other."""
    seen: set[str] = set()
    for source in sources:
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            raise ConfigurationError(
                f"{path!r} is not a source: for a folder or file, write Directory({path!r})."
            )
        if source.contents not in ("files", "databases"):
            raise ConfigurationError(
                f"The source {source.name!r} says that it holds {source.contents!r}: "
                'say contents="files" or contents="databases".'
            )
        if source.name in seen:
            raise ConfigurationError(
                f"Two sources are called {source.name!r}, and one would hide the other in the backup: "
                "give one of them another name=."
            )
        seen.add(source.name)
    if not seen:
        raise ConfigurationError("There is no source: name at least one thing to back up.")
