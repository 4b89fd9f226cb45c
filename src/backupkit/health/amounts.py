"""How much there must be, and may be, of backups and of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backupkit.errors import ConfigurationError, require_whole
from backupkit.health.saying import (
    credible,
    lesser,
    problem,
    require_contents,
    wanted,
    which,
)
from backupkit.model import Contents, Problem, RepositoryState, named
from backupkit.sizes import format_size, parse_size


@dataclass(frozen=True, slots=True)
class MaximumStorage:
    """All backups of the pipeline together must not occupy more: bytes, or a text such as "50GB"."""

    size: int | str

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", parse_size(self.size))

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        limit = parse_size(self.size)
        stored = sum(backup.stored for backup in state.backups)
        if stored > limit:
            yield problem(
                self,
                state,
                f"The backups occupy {format_size(stored)}, {format_size(stored - limit)} more than "
                f"the {format_size(limit)} allowed. Clean, keep fewer, or allow more.",
            )


@dataclass(frozen=True, slots=True)
class MinimumCount:
    """There must be at least so many good backups that hold all of the pipeline's contents, or those named."""

    count: int
    contents: Contents | None = None

    def __post_init__(self) -> None:
        require_whole(self, "count", least=1)
        require_contents(self, self.contents)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        contents = wanted(state, self.contents)
        holding = [backup for backup in state.backups if contents <= backup.contents]
        good = sum(backup.good for backup in holding)
        if good < self.count:
            are = "is 1 good backup" if good == 1 else f"are {good} good backups"
            others = f", and {lesser(len(holding) - good)}" if good < len(holding) else ""
            yield problem(
                self,
                state,
                f"There {are} of {named(contents)}{others}, fewer than the {self.count} wanted. "
                "Check that runs succeed, that the retention policy keeps as many, and that nobody else deletes.",
            )


@dataclass(frozen=True, slots=True)
class MinimumSize:
    """The newest good backup must occupy, a snapshot hold, at least so much: bytes, or a text such as "100MB".

    Looked at are full backups, or with `contents` those that hold nothing but it: the sizes of others
    say nothing about these.
    """

    size: int | str
    contents: Contents | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", parse_size(self.size))
        if self.size == 0:
            raise ConfigurationError("MinimumSize(0) asks for nothing: use a size above zero.")
        require_contents(self, self.contents)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        least = parse_size(self.size)
        contents = wanted(state, self.contents)
        alone = "" if contents == state.contents else " alone"
        series = credible((one for one in state.backups if one.contents == contents), state.now)
        newest = next((backup for backup in series if backup.good), None)
        if newest is None:
            yield problem(
                self,
                state,
                f"There is no good backup of {named(contents)}{alone} that could have the {format_size(least)} "
                "wanted. Check that runs are started and succeed.",
            )
        elif newest.extent < least:
            has = "holds" if newest.shared else "occupies"
            yield problem(
                self,
                state,
                f"The newest good backup of {named(contents)}{alone} {has} {format_size(newest.extent)}, less "
                f"than the {format_size(least)} wanted: {which(newest)}. Look for what is missing from it.",
            )
