"""Settings in a file, or in a mapping such as Django's: `load`, `find` and `from_mapping`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backupkit.config.reading import Read, find, read, the_file
from backupkit.config.settings import Settings

if TYPE_CHECKING:
    from backupkit.config.building import Built

__all__ = ["Settings", "find", "from_mapping", "load"]


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in a file: `path`, or else the one that `find` finds.

    `environ` is what `${NAME}` is looked up in, by default the process's environment; what it lacks may stand in
    the file `dotenv`. Relative paths begin in the folder of the settings. Passphrases are looked for when they are
    first needed, everything else now; no destination, source or service is asked anything. ConfigurationError
    tells all that is wrong, each thing with its line.
    """
    return loaded_with_parts(path, dotenv=dotenv, environ=environ).settings


def from_mapping(
    settings: Mapping[str, Any], *, where: str = "BACKUPKIT", environ: Mapping[str, str] | None = None
) -> Settings:
    """The same settings in a mapping, such as Django's `BACKUPKIT = {…}`, which is what errors call `where`."""
    return _built(Read(settings, where), None, environ=environ).settings


def loaded_with_parts(
    path: str | os.PathLike[str] | None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Built:
    """What `load` gives, and what each pipeline was made of, for showing it."""
    found = the_file(path)
    return _built(read(found), found.parent, dotenv=dotenv, environ=environ)


def _built(
    settings: Read,
    folder: Path | None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Built:
    try:
        from backupkit.config.building import built, surroundings_of
    except ModuleNotFoundError as error:
        if error.name not in ("pydantic", "pydantic_core"):
            raise
        raise ModuleNotFoundError(
            "Settings in files need pydantic, which is missing: pip install 'backupkit[settings]'",
            name=error.name,
        ) from error
    return built(settings, surroundings_of(folder, dotenv=dotenv, environ=environ))
