"""Which share of the stored data a verification reads."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from backupkit.errors import ConfigurationError
from backupkit.model import Share
from backupkit.sizes import parse_percent

_NTH = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")
_WEEK = 7


def share_of(text: str | None, *, now: datetime) -> Share | None:
    """The share that is meant by "2/7", the second of seven, or by "10%"; None for all. No I/O.

    A percentage is rounded so that equal shares are at least as large, and the day of `now`, in UTC, says which of
    them it is: each day has the next one. ConfigurationError for anything else.
    """
    if text is None:
        return None
    if isinstance(text, str) and (match := _NTH.fullmatch(text)):
        number, of = int(match[1]), int(match[2])
        if number <= of:
            return None if of == 1 else Share(number, of)
    if (percent := parse_percent(text)) is not None and 0 < percent <= 100:
        of = math.floor(100 / percent)
        if of % _WEEK == 0:
            of -= 1  # or who verifies once a week would get the same one each time
        return None if of == 1 else Share(now.astimezone(UTC).date().toordinal() % of + 1, of)
    raise ConfigurationError(
        f'The share {text!r} cannot be understood: write "2/7" for the second of seven, or a percentage, "10%".'
    )
