"""Hours, days, weeks, months and years on the wall clock of a time zone, and which backup stands for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from backupkit.zones import zone_named


class Calendar:
    """What the periods are called in which a time lies; the names also tell two periods apart."""

    def __init__(self, time_zone: str) -> None:
        self._zone = zone_named(time_zone)
        self._days: dict[date, tuple[str, str, str, str]] = {}

    def wall(self, time: datetime) -> datetime:
        """The time as the clock on the wall shows it."""
        try:
            return time.astimezone(self._zone)
        except OverflowError:  # in the first or last hours of the calendar, which only a wrong clock comes to
            return time

    def periods(self, wall: datetime) -> tuple[str, str, str, str]:
        """The day, week, month and year; each name is made once for each day."""
        day = wall.date()
        return self._days.get(day) or self._days.setdefault(day, _named(day))

    def hour(self, wall: datetime) -> str:
        """The hour; that which the clock shows twice when it goes back is one."""
        return f"{self.periods(wall)[0]} {wall.hour:02}h"


def representatives(
    members: Iterable[tuple[int, str]], good: Sequence[bool], *, enough: int | None = None
) -> Mapping[str, tuple[int, str]]:
    """By period, all or the newest `enough`: which of its members, given newest first, stands for it, and as what.

    That is the newest good one, or the newest if none is good.
    """
    chosen: dict[str, tuple[int, str]] = {}
    for place, period in members:
        if period not in chosen:
            if len(chosen) == enough:
                break
            chosen[period] = (place, f"newest of {period}")
        elif good[place] and not good[chosen[period][0]]:
            chosen[period] = (place, f"newest good one of {period}")
    return chosen


def _named(day: date) -> tuple[str, str, str, str]:
    # With the calendar year, a week would break in two at New Year, and its first days be confused with the last.
    year, week, _ = day.isocalendar()
    text = day.isoformat()
    return text, f"week {year:04}-W{week:02}", text[:7], text[:4]
