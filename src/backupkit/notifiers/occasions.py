"""What notifiers hear of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from backupkit.errors import ConfigurationError, one_text
from backupkit.model import Occasion

EVERYTHING: tuple[Occasion, ...] = get_args(Occasion)

PROBLEMS: tuple[Occasion, ...] = (
    "run incomplete",
    "run failed",
    "clean failed",
    "verify failed",
    "drill failed",
    "unhealthy",
    "healthy",
)
"""What somebody has to act on, and the end of being unhealthy."""


def wanted(on: Iterable[Occasion]) -> frozenset[Occasion]:
    """The occasions, if all of them exist; ConfigurationError, which lists those that do, if not."""
    if isinstance(on, str):
        raise one_text("on", on)
    asked = frozenset(on)
    if unknown := asked.difference(EVERYTHING):
        raise ConfigurationError(
            f"Nothing is ever told on {', '.join(sorted(map(repr, unknown)))}: "
            f"choose from {', '.join(map(repr, EVERYTHING))}."
        )
    return asked
