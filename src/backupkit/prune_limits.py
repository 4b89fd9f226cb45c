"""How far pruning goes."""

from __future__ import annotations

from dataclasses import dataclass

from backupkit.errors import ConfigurationError
from backupkit.sizes import parse_percent, parse_size


@dataclass(frozen=True, slots=True)
class PruneLimits:
    """What costs more than it gives back may stay: bytes of no use, among others in one object that are of use.

    `max_unused` is how much of what is stored may be of no use afterwards: a share of all, "5%", or a size, "2GB";
    None for any, so that nothing is stored anew. `max_repack` is how many stored bytes are read and stored anew at
    most, those objects first that hold the most of no use; None for as many as it takes.
    """

    max_unused: int | str | None = "5%"
    max_repack: int | str | None = None

    def __post_init__(self) -> None:
        self.unused_beside(0)
        self.repack  # noqa: B018  # raises for what is no size

    def unused_beside(self, used: int) -> float:
        """How many bytes of no use may be left beside so many that are of use."""
        if self.max_unused is None:
            return float("inf")
        if (percent := parse_percent(self.max_unused)) is not None:
            if percent < 100:
                return used * percent / (100 - percent)
            if percent == 100:
                return float("inf")
            raise ConfigurationError(f'max_unused="{self.max_unused}" is more than all: use "5%", or a size.')
        return parse_size(self.max_unused)

    @property
    def repack(self) -> float:
        """How many bytes may be stored anew."""
        return float("inf") if self.max_repack is None else parse_size(self.max_repack)
