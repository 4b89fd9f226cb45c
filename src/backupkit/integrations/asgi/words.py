"""Times and lengths as people say them: "today 09:00", "3 days ago", "6 minutes"."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

# So many of one are one of the next.
_UNITS: tuple[tuple[timedelta, str, int | None], ...] = (
    (timedelta(seconds=1), "second", 60),
    (timedelta(minutes=1), "minute", 60),
    (timedelta(hours=1), "hour", 24),
    (timedelta(days=1), "day", 30),
    (timedelta(days=30), "month", 12),
    (timedelta(days=365), "year", None),
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def moment(time: datetime, *, now: datetime, zone: tzinfo) -> str:
    """ "today 09:00", "yesterday 03:00", "Sunday 03:00" of the last six days, or "3 Nov 2026 03:00"."""
    return f"{_day(time, now, zone)} {time.astimezone(zone):%H:%M}"


def on_day(time: datetime, *, now: datetime, zone: tzinfo) -> str:
    """ "today", "yesterday", "on Sunday", "on 3 Nov 2026"."""
    day = _day(time, now, zone)
    return day if day.islower() else f"on {day}"


def _day(time: datetime, now: datetime, zone: tzinfo) -> str:
    day, today = time.astimezone(zone).date(), now.astimezone(zone).date()
    match (today - day).days:
        case 0:
            return "today"
        case 1:
            return "yesterday"
        case -1:
            return "tomorrow"
        case days if 1 < days < 7:
            return _DAYS[day.weekday()]
        case _:
            year = f" {day.year}" if day.year != today.year else ""
            return f"{day.day} {_MONTHS[day.month - 1]}{year}"


def ago(length: timedelta) -> str:
    """ "3 days ago", "in 2 hours", "just now"."""
    if abs(length) < timedelta(seconds=1):
        return "just now"
    return f"in {duration(-length)}" if length < timedelta(0) else f"{duration(length)} ago"


def duration(length: timedelta) -> str:
    """In the largest unit of which there is one at least, rounded: "6 minutes", "1 hour"; "less than a second"."""
    if length < timedelta(seconds=1):
        return "less than a second"
    unit, name = next(
        (unit, name) for unit, name, most in _UNITS if most is None or round(length / unit) < most
    )
    count = max(1, round(length / unit))
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
