"""Downloading an archive as the one file that it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from backupkit._operation import Running
from backupkit.errors import ConfigurationError, RestoreError
from backupkit.model import Backup, Entry, Problem
from backupkit.protocols import KeepsFiles, Repository
from backupkit.targets import DirectoryTarget


def file_of(repository: Repository, backup: Backup) -> Entry:
    """The backup as the file that it is; ConfigurationError for a snapshot, which is none."""
    if not isinstance(repository, KeepsFiles):
        raise ConfigurationError(
            f"The snapshot {backup.id} is no file of its own that could be downloaded: restore it, or copy it to a "
            "folder as an archive (copy --to FOLDER --to-format zip)."
        )
    return repository.file(backup)


def download(running: Running, file: Entry, to: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Write the file to this path, or into this folder, and say where it is; it appears when it is whole."""
    place = Path(to)
    if os.fspath(to).endswith("/") or place.is_dir():
        place = place / file.path
    if not overwrite and os.path.lexists(place):
        raise RestoreError(
            f"{place} exists already, so nothing was downloaded: overwrite it, or name another place.",
            path=str(place),
        )
    target = DirectoryTarget(place.parent, overwrite=overwrite)
    entry = replace(file, path=place.name)
    _raise_first(target.check([entry]), place)
    running.expect(entry.size)
    _raise_first(target.write([running.watched(entry)]), place)
    return place


def _raise_first(problems: Iterable[Problem], place: Path) -> None:
    """RestoreError for what keeps the file from being there; the problems of a target speak of restoring."""
    for problem in problems:
        if problem.severity == "error":
            raise RestoreError(f"{place} was not downloaded: {problem.message}", path=str(place))
