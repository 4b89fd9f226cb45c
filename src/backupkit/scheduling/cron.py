"""Cron expressions, and the moments they mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cronsim import CronSim

_ANY_TIME = datetime(2026, 1, 1)  # which one makes no difference to what an expression means
_FIELDS = 5
_INSTANT = timedelta(microseconds=1)
_REPEATED = timedelta(hours=3)  # no zone repeats more


def check_cron(when: str) -> None:
    """ConfigurationError for a text that is no cron expression of five fields, or that never comes."""
    _parsed(when, _ANY_TIME)


def time_after(when: str, time: datetime) -> datetime:
    """The first moment of the expression after this one, in its zone."""
    # In the second of two equal hours, those of the first are over, and they are what comes first on the clock.
    return next(one for one in _parsed(when, time) if _moment(one) > _moment(time))


def time_until(when: str, time: datetime) -> datetime:
    """The last moment of the expression that is not after this one, in its zone."""
    # What is left of a second makes the whole one before it the first that comes, going back. In the second of two
    # equal hours, moments of the first are passed that are later on the clock.
    start = time + (_REPEATED if time.fold else _INSTANT)
    return next(one for one in _parsed(when, start, reverse=True) if _moment(one) <= _moment(time))


def in_words(when: str) -> str:
    """What an expression means: "At 03:00 every day"."""
    return str(_parsed(when, _ANY_TIME).explain())


@dataclass(frozen=True, slots=True)
class Fields:
    """What an expression of the classic kind means: numbers, with 0 for Sunday.

    A day must fit both `days` and `weekdays` if `both`, or else one of them.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    both: bool


def classic_fields(when: str, *, program: str) -> Fields:
    """The numbers of an expression; ConfigurationError if it has what this program does not know."""
    parsed = _parsed(when, _ANY_TIME)
    if not all(isinstance(one, int) and one >= 0 for one in {*parsed.days, *parsed.weekdays}):
        raise ConfigurationError(
            f"The cron expression {when!r} has what {program} does not know: leave out L, LW and #, or use another "
            "scheduler."
        )
    return Fields(
        minutes=tuple(sorted(parsed.minutes)),
        hours=tuple(sorted(parsed.hours)),
        days=tuple(sorted(parsed.days)),
        months=tuple(sorted(parsed.months)),
        weekdays=tuple(sorted({one % 7 for one in parsed.weekdays if isinstance(one, int)})),
        both=parsed.day_and,
    )


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as the first and the last of each stretch without a gap."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _moment(time: datetime) -> datetime:
    # In one zone, Python compares what the clock shows.
    return time if time.tzinfo is None else time.astimezone(UTC)


def _parsed(when: str, time: datetime, *, reverse: bool = False) -> CronSim:
    try:
        from cronsim import CronSim, CronSimError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Schedules need cronsim, which is missing: pip install 'backupkit[schedule]'", name=error.name
        ) from error
    if not isinstance(when, str) or len(when.split()) != _FIELDS:
        raise ConfigurationError(
            f"{when!r} is no cron expression: use five fields, minute, hour, day of the month, month and day of "
            'the week, such as "0 3 * * *".'
        )
    try:
        return CronSim(when, time, reverse=reverse)
    except CronSimError as error:
        raise ConfigurationError(
            f"The cron expression {when!r} is not possible ({error}): see `man 5 crontab`."
        ) from error
