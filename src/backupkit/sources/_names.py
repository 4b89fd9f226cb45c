"""Which names a dump may have."""

from __future__ import annotations

from backupkit.errors import ConfigurationError
from backupkit.model import DUMPS

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
