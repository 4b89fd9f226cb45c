"""Cron expressions, and the moments they mean."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cronsim import CronSim

_ANY_TIME = datetime(2026, 1, 1)  # which one makes no difference to what an expression means
_FIELDS = 5
_INSTANT = timedelta(microseconds=1)


def check_cron(when: str) -> None:
    """ConfigurationError for a text that is no cron expression of five fields, or that never comes."""
    _parsed(when, _ANY_TIME)


def time_after(when: str, time: datetime) -> datetime:
    """The first moment of the expression after this one, in its zone."""
    return next(_parsed(when, time))


def time_until(when: str, time: datetime) -> datetime:
    """The last moment of the expression that is not after this one, in its zone."""
    # What is left of a second makes the whole one before it the first that comes, going back.
    return next(_parsed(when, time + _INSTANT, reverse=True))


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
