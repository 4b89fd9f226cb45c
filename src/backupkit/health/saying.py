"""What every check says in the same words, and refuses in the same way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from backupkit.errors import ConfigurationError
from backupkit.model import CLOCK_TOLERANCE, Backup, Contents, Problem, RepositoryState, Severity


def problem(check: object, state: RepositoryState, message: str, severity: Severity = "error") -> Problem:
    return Problem(message=message, severity=severity, check=type(check).__name__, destination=state.location)


def wanted(state: RepositoryState, contents: Contents | None) -> frozenset[Contents]:
    """What a backup must hold: all that the pipeline backs up, or these contents."""
    return state.contents if contents is None else frozenset({contents})


def is_credible(time: datetime, now: datetime) -> bool:
    """Whether it is not in the future, but for what clocks may differ by."""
    return time - now <= CLOCK_TOLERANCE


def credible(backups: Iterable[Backup], now: datetime) -> list[Backup]:
    """Those that are not dated in the future: one made by a wrong clock would stay the newest for years."""
    return [backup for backup in backups if is_credible(backup.time, now)]


def which(backup: Backup) -> str:
    return f"{backup.id} of {at(backup.time)}"


def at(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lesser(count: int) -> str:
    return f"{count} incomplete, unconfirmed or damaged"


def span(length: timedelta) -> str:
    """The two largest units: "2 days 3 hours", "1 day 5 minutes", "40 minutes"."""
    minutes = length // timedelta(minutes=1)
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    said = [f"{number} {unit}{'s' if number != 1 else ''}" for number, unit in parts if number]
    return " ".join(said[:2]) or "less than a minute"


def require_contents(check: object, contents: object) -> None:
    if contents not in (None, "files", "databases"):
        raise ConfigurationError(
            f"{type(check).__name__}(contents={contents!r}) is not possible: "
            'use "files", "databases" or None.'
        )


def require_length(check: object, **units: float) -> None:
    """Refuse what is not a length of time above zero."""
    try:
        possible = all(number >= 0 for number in units.values()) and timedelta(**units) > timedelta(0)
    except (OverflowError, TypeError, ValueError):
        possible = False
    if not possible:
        given = ", ".join(f"{name}={number!r}" for name, number in units.items())
        more = "numbers that are together" if len(units) > 1 else "a number that is"
        raise ConfigurationError(
            f"{type(check).__name__}({given}) is not possible: use {more} more than zero."
        )
