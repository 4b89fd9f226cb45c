"""What a notifier may be told of, and what it is told of unless asked otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from backupkit.errors import ConfigurationError, one_text
from backupkit.model import Occasion

EVERYTHING: Final[frozenset[Occasion]] = frozenset(get_args(Occasion))
"""Every occasion there is."""

PROBLEMS: Final[frozenset[Occasion]] = frozenset(
    {"run incomplete", "run failed", "clean failed", "verify failed", "drill failed", "unhealthy"}
)
"""What somebody should do something about."""

DEFAULT: Final[frozenset[Occasion]] = PROBLEMS | {"healthy", "summary"}
"""Problems, their end, and the summary."""


def checked_occasions(on: Iterable[Occasion]) -> frozenset[Occasion]:
    """The occasions, each of which exists; ConfigurationError otherwise."""
    if isinstance(on, str):
        raise one_text("on", on)
    asked = tuple(on)
    unknown = [one for one in asked if one not in EVERYTHING]
    if unknown:
        known = ", ".join(f'"{one}"' for one in get_args(Occasion))
        raise ConfigurationError(f"on= names {unknown[0]!r}, which never happens. What does: {known}.")
    return frozenset(asked)
