"""Rules about the backups at one destination. Each looks at all it needs and reports all it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Contents, Problem, RepositoryState, Severity
from backupkit.sizes import format_size, parse_size

# Clocks of two machines differ by seconds; a zone mistaken for another shifts by at least 15 minutes.
_CLOCK_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class MaximumAge:
    """A good backup must be newer than so many days and hours.

    It must hold all of the pipeline's contents, or those named: then a databases-only backup counts for
    "databases" and so does a full one. A backup dated more than ten minutes ahead of now is a warning, and
    its age counts for nothing, lest a clock that was wrong once hide for months that no run happens.
    """

    days: float = 0
    hours: float = 0
    contents: Contents | None = None

    def __post_init__(self) -> None:
        if self.contents not in (None, "files", "databases"):
            raise ConfigurationError(
                f'MaximumAge(contents={self.contents!r}) is not possible: use "files", "databases" or None.'
            )
        try:
            possible = self.days >= 0 and self.hours >= 0 and self._limit > timedelta(0)
        except (OverflowError, TypeError, ValueError):
            possible = False
        if not possible:
            raise ConfigurationError(
                f"MaximumAge(days={self.days!r}, hours={self.hours!r}) is not possible: "
                "use numbers that are together more than zero."
            )

    @property
    def _limit(self) -> timedelta:
        return timedelta(days=self.days, hours=self.hours)

    def problems(self, state: RepositoryState) -> Iterator[Problem]:
        wanted = state.contents if self.contents is None else frozenset({self.contents})
        # "files and databases", as the library says it everywhere.
        what = " and ".join(sorted(wanted, reverse=True))
        holding = [backup for backup in state.backups if wanted <= backup.contents]
        latest_credible = state.now + _CLOCK_TOLERANCE
        if holding and holding[0].time > latest_credible:
            yield self._problem(
                state,
                f"The newest backup of {what} is dated in the future: {_which(holding[0])}, while it is now "
                f"{_at(state.now)}. Correct the clock of the machine that made it.",
                "warning",
            )
        holding = [backup for backup in holding if backup.time <= latest_credible]
        newest = next((backup for backup in holding if backup.good), None)
        if newest is None:
            others = f", only {_lesser(len(holding))}" if holding else ""
            yield self._problem(
                state, f"There is no good backup of {what}{others}. Check that runs are started and succeed."
            )
        elif state.now - newest.time >= self._limit:
            since = holding.index(newest)
            others = f"; since then {_lesser(since)}" if since else ""
            yield self._problem(
                state,
                f"The newest good backup of {what} is {_span(state.now - newest.time)} old, older than the "
                f"{_span(self._limit)} allowed: {_which(newest)}{others}. "
                "Check that runs are started and succeed.",
            )

    def _problem(self, state: RepositoryState, message: str, severity: Severity = "error") -> Problem:
        return Problem(message=message, severity=severity, check="MaximumAge", destination=state.location)


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
            yield Problem(
                message=f"The backups occupy {format_size(stored)}, {format_size(stored - limit)} more than "
                f"the {format_size(limit)} allowed. Clean, keep fewer, or allow more.",
                check="MaximumStorage",
                destination=state.location,
            )


def _which(backup: Backup) -> str:
    return f"{backup.id} of {_at(backup.time)}"


def _at(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lesser(count: int) -> str:
    return f"{count} incomplete, unconfirmed or damaged"


def _span(length: timedelta) -> str:
    """The two largest units: "2 days 3 hours", "1 day 5 minutes", "40 minutes"."""
    minutes = length // timedelta(minutes=1)
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    said = [f"{number} {unit}{'s' if number != 1 else ''}" for number, unit in parts if number]
    return " ".join(said[:2]) or "less than a minute"
