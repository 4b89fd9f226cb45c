"""What an object may be called: the one rule for every destination, so that nothing escapes its folder."""

from __future__ import annotations

import re

from backupkit.errors import ConfigurationError

# No leading dot: "." and ".." cannot occur, and dot files are free for what is unfinished.
_COMPONENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def is_component(text: str) -> bool:
    """Whether this can stand between two slashes of an object's name."""
    return _COMPONENT.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether an object can have this name."""
    return all(is_component(part) for part in text.split("/"))


def check_name(name: str) -> None:
    """Raise ConfigurationError unless an object can have this name."""
    if not is_name(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of an object: use parts separated by '/', each of the characters "
            "A-Z a-z 0-9 . _ - and none beginning with a dot."
        )
