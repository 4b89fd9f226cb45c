"""Which names a dump or a source may have, and which patterns."""

from __future__ import annotations

from collections.abc import Sequence

from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS
from backupkit.patterns import matcher

RESERVED = (DUMPS, ".backupkit")


def check_component(name: str, *, of: str) -> str:
    """Return the name if it can be one component of a path on every system that opens the backup."""
    if name in ("", ".", "..") or not name.isprintable() or "/" in name or "\\" in name:
        raise ConfigurationError(
            f"{of} cannot be named {name!r}: give a name= of printable characters without slashes."
        )
    return name


def check_path(path: str, *, of: str) -> str:
    """Return the path if it is relative, clean, and outside the folders that the library fills itself."""
    components = path.split("/")
    for component in components:
        check_component(component, of=of)
    if components[0] in RESERVED:
        raise ConfigurationError(
            f"{of} cannot be named {path!r}: {components[0]}/ is the library's own, choose another folder."
        )
    return path


def check_folder_name(name: str, *, of: str) -> str:
    """Return the name if what this source holds can stand in a folder that is called so."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ConfigurationError(
            f"{name!r} cannot be the name of the source {of!r}: "
            "give it a name without slashes, such as name='shop'."
        )
    if name in RESERVED:
        raise ConfigurationError(
            f"The name {name!r} of the source {of!r} is reserved for what backups hold besides files: "
            "give it another, such as name='shop'."
        )
    return name


def check_patterns(option: str, patterns: Sequence[str], *roots: str) -> tuple[str, ...]:
    """Return them if they are a list of gitignore patterns, each of which can match something."""
    if isinstance(patterns, str):
        raise ConfigurationError(f"{option}={patterns!r} is one text: give a list of patterns.")
    matcher(patterns, *roots)
    return tuple(patterns)
