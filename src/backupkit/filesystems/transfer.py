"""How objects are moved: in parts of which size, how many at once, and how long anything may take."""

from __future__ import annotations

from dataclasses import dataclass

from backupkit.errors import ConfigurationError

MiB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """`part_size` bytes make one request; `concurrency` of them are under way at once.

    `time_limit` is how many seconds a request may take that moves next to nothing; one that moves much may take
    longer, as if the link, which all that are under way share, moved no more than `slowest` bytes a second.
    `patience` is how many seconds one call is tried, again and again after failures that may pass: no attempt
    begins after that. Parts grow where a store limits their number.
    """

    # Many connections and small parts: over a long way each is slow, and memory is what bounds their product.
    part_size: int = 8 * MiB
    concurrency: int = 10
    time_limit: float = 60.0
    slowest: int = 256 << 10
    patience: float = 120.0

    def __post_init__(self) -> None:
        for name, least in (("part_size", 1), ("concurrency", 1), ("slowest", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigurationError(
                    f"{name}={value!r} is not possible: use a whole number, {least} or more."
                )
        for name in ("time_limit", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 86_400:
                raise ConfigurationError(
                    f"{name}={value!r} is not possible: use seconds, more than none and a day at most."
                )

    @property
    def stall_limit(self) -> float:
        """How many seconds a write may go on without taking a chunk, until it has failed by itself.

        The last parts, which share the link, the commit and the look at the object are each tried again until the
        patience is over.
        """
        return 3 * self.patience + self.seconds_for(self.concurrency * self.part_size) + 2 * self.time_limit

    def seconds_for(self, size: int) -> float:
        """How long one request that moves so many bytes may take, or one of several that together move as many."""
        return self.time_limit + size / self.slowest
