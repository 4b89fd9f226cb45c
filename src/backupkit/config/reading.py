"""Settings where they stand: found, read, and given the lines of their keys."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backupkit.config.lines import KeyPath, lines_of
from backupkit.errors import ConfigurationError

FILE = "backupkit.toml"
PROJECT = "pyproject.toml"
_TABLE = ("tool", "backupkit")


@dataclass(frozen=True, slots=True)
class Read:
    """Settings as they are written. `prefix` is where they stand in the file, `lines` which line each key is on."""

    data: Mapping[str, Any]
    where: str
    path: Path | None = None
    prefix: KeyPath = ()
    lines: Mapping[KeyPath, int] | None = None

    def line(self, path: KeyPath) -> int | None:
        """The line of what stands there or, where that is missing, of what it is missing in."""
        for length in range(len(path), -1, -1):
            if line := (self.lines or {}).get((*self.prefix, *path[:length])):
                return line
        return None

    def place(self, path: KeyPath) -> str:
        """Where something stands, or should stand: `backupkit.toml:12: pipelines.shop.checks[0]: `."""
        keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in (*self.prefix, *path))
        line = self.line(path)
        return f"{self.where}{f':{line}' if line else ''}: {f'{keys[1:]}: ' if keys else ''}"


def find(folder: str | Path | None = None) -> Path | None:
    """The settings of this folder, by default the current one, or of the nearest above it.

    They are in `backupkit.toml`, or in `pyproject.toml` below `[tool.backupkit]`. None if there are none.
    ConfigurationError if those above are a stranger's, who belongs neither to this process nor to the folder:
    settings say which programs are run, and everybody may write to /tmp.
    """
    start = Path.cwd() if folder is None else Path(folder).absolute()
    for one in (start, *start.parents):
        for file in (one / FILE, one / PROJECT):
            if file.is_file() if file.name == FILE else _has_settings(file):
                if one != start:
                    _check_owner(file, start)
                return file
    return None


def the_file(path: str | os.PathLike[str] | None) -> Path:
    """The file that is named, or else found; ConfigurationError if there is none."""
    found = find() if path is None else Path(path)
    if found is None:
        raise ConfigurationError(
            f"There are no settings in this folder or one above: make a {FILE} with `backupkit config init`."
        )
    return found.absolute()


def read(path: Path) -> Read:
    """What the file says; ConfigurationError if it cannot be read, with the line of what is no TOML."""
    where = str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ConfigurationError(
            f"The settings cannot be read from {where} ({error.strerror or error}): name another file."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where} is not UTF-8, which TOML files are: save it as that.") from error
    try:
        data: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{where}: no TOML: {error}.") from error
    except (RecursionError, ValueError) as error:  # a date that does not exist
        raise ConfigurationError(f"{where}: no TOML that can be read ({type(error).__name__}).") from error
    prefix: KeyPath = _TABLE if path.name == PROJECT else ()
    for key in prefix:
        data = data.get(str(key)) if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{where} has no table [{'.'.join(_TABLE)}]: write the settings below that.")
    return Read(data, where, path, prefix, lines_of(text))


def _check_owner(file: Path, start: Path) -> None:
    owner = file.stat().st_uid
    if owner not in (0, os.geteuid(), start.stat().st_uid):
        raise ConfigurationError(
            f"The settings {file} were found above this folder and belong to user {owner}, neither to you nor to "
            "the folder's owner: name them, if you trust them."
        )


def _has_settings(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    try:
        return isinstance(tomllib.loads(text).get("tool", {}).get("backupkit"), dict)
    except (ValueError, RecursionError, AttributeError):
        return "[tool.backupkit" in text  # whoever reads it will be told what is wrong with it
