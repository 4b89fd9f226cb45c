"""Times and lengths as people say them: "today 09:00", "3 days ago", "6 minutes"."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

_UNITS = (
    (timedelta(days=365), "year"),
    (timedelta(days=30), "month"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def moment(time: datetime, *, now: datetime, zone: tzinfo) -> str:
    """ "today 09:00", "yesterday 03:00", "Sunday 03:00" of the last six days, or "3 Nov 2026 03:00"."""
    there, today = time.astimezone(zone), now.astimezone(zone).date()
    days = (today - there.date()).days
    clock = there.strftime("%H:%M")
    match days:
        case 0:
            return f"today {clock}"
        case 1:
            return f"yesterday {clock}"
        case -1:
            return f"tomorrow {clock}"
        case _ if 1 < days < 7:
            return f"{_DAYS[there.weekday()]} {clock}"
        case _:
            year = f" {there.year}" if there.year != today.year else ""
            return f"{there.day} {_MONTHS[there.month - 1]}{year} {clock}"


def ago(length: timedelta) -> str:
    """ "3 days ago", "in 2 hours", "just now"."""
    if abs(length) < timedelta(seconds=1):
        return "just now"
    return f"in {duration(-length)}" if length < timedelta(0) else f"{duration(length)} ago"


def duration(length: timedelta) -> str:
    """In its largest unit: "6 minutes", "1 hour"; "less than a second"."""
    for unit, name in _UNITS:
        if length >= unit:
            count = round(length / unit)
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "less than a second"
