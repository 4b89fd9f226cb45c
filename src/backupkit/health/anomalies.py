"""Whether the newest backup is as large as those before it let expect."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backupkit.errors import ConfigurationError, require_whole
from backupkit.health.saying import (
    credible,
    problem,
    require_contents,
    wanted,
    which,
)
from backupkit.model import Contents, Problem, RepositoryState, Severity, named
from backupkit.sizes import format_size

# Of values that vary as a bell curve does, this many median deviations are one standard deviation.
_TO_STANDARD_DEVIATION = 1.4826
_ROUNDING = 1e-9  # of logarithms


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far the size of a backup is from what the `compared` ones before it let expect: bytes, and logarithms."""

    size: int
    usual: int
    distance: float
    usual_distance: float
    compared: int

    @property
    def grew(self) -> bool:
        return self.distance > 0


@dataclass(frozen=True, slots=True)
class SizeAnomaly:
    """The newest good backup must not be much smaller or larger than the `last` good ones before it.

    It is an anomaly if it is at least `factor` times as large, or as small, as their median, and further from it
    than `deviations` times what they vary by themselves. That is measured on a logarithmic scale by the median of
    their distances from the median, which neither steady growth nor an anomaly among them disturbs. Nothing
    is said before there are `least` to compare with. When a new size has come to stay, it is the usual one after
    half as many backups as are compared.

    Looked at are full backups, or with `contents` those that hold nothing but it: each kind has a size of
    its own. Only errors are told to people; `severity="warning"` is for series whose sizes jump.
    """

    contents: Contents | None = None
    last: int = 14
    least: int = 7
    factor: float = 1.5
    deviations: float = 6
    severity: Severity = "error"

    def __post_init__(self) -> None:
        require_contents(self, self.contents)
        require_whole(self, "least", least=3)
        require_whole(self, "last", least=self.least)
        for name, value, above in (("factor", self.factor, 1), ("deviations", self.deviations, 0)):
            if not isinstance(value, int | float) or not above < value < math.inf:
                raise ConfigurationError(
                    f"SizeAnomaly({name}={value!r}) is not possible: use a number above {above}."
                )
        if self.severity not in ("warning", "error"):
            raise ConfigurationError(
                f'SizeAnomaly(severity={self.severity!r}) is not possible: use "warning" or "error".'
            )

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        contents = wanted(state, self.contents)
        backups = credible((one for one in state.backups if one.contents == contents), state.now)
        good = [backup for backup in backups if backup.good][: self.last + 1]
        if not good:
            return
        newest, *before = good
        found = self.deviation(newest.extent, [backup.extent for backup in before])
        if found is None:
            return
        alone = "" if contents == state.contents else " alone"
        changed, advice = "shrank", "Look for what is missing from it before older ones are removed"
        if found.grew:
            changed, advice = "grew", "Look for what was added to it, or no longer compresses"
        yield problem(
            self,
            state,
            f"The newest good backup of {named(contents)}{alone} {changed} to {format_size(found.size)}, where "
            f"the {found.compared} before it have {format_size(found.usual)} and mostly vary by "
            f"{_percent(found.usual_distance)}: {which(newest)}. {advice}.",
            self.severity,
        )

    def deviation(self, size: int, before: Sequence[int]) -> Deviation | None:
        """How this size deviates from those of the good backups before it, newest first, if it is an anomaly."""
        before = before[: self.last]
        if len(before) < self.least:
            return None
        usual, usual_distance = _usual(before)
        distance = _log(size) - usual
        allowed = max(math.log(self.factor), self.deviations * usual_distance)
        if abs(distance) <= allowed - _ROUNDING:
            return None
        return Deviation(size, round(math.exp(usual)), distance, usual_distance, len(before))

    def deviations_in(self, sizes: Sequence[int]) -> Sequence[Deviation | None]:
        """For each of these sizes of good backups, oldest first, what was found when it was the newest."""
        return [
            self.deviation(size, sizes[max(place - self.last, 0) : place][::-1])
            for place, size in enumerate(sizes)
        ]


def _usual(sizes: Sequence[int]) -> tuple[float, float]:
    """The usual size of these, and their usual distance from it, as a standard deviation; both logarithms."""
    from statistics import median

    logs = [_log(size) for size in sizes]
    usual = median(logs)
    return usual, _TO_STANDARD_DEVIATION * median(abs(one - usual) for one in logs)


def _log(size: int) -> float:
    return math.log(max(size, 1))


def _percent(distance: float) -> str:
    return f"{min(round(100 * math.expm1(min(distance, 10))), 999)} %" if distance else "nothing"
