"""Times as Go's `time.Time` has them in JSON: RFC 3339, to the nanosecond, trailing zeros left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

NO_TIME = "0001-01-01T00:00:00Z"  # what an unset time of Go is
_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000
# Beyond what years of four digits can say, restic moves the year to the nearest that can.
_EARLIEST = -62_135_596_800  # 0001-01-01, the earliest that Python can say
_LATEST = 253_402_300_799  # 9999-12-31T23:59:59
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:)([0-5]\d|60)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def ns_text(ns: int) -> str:
    """Nanoseconds since 1970, as they stand in a tree: in UTC, so that they are the same everywhere."""
    fraction = ns % _NS
    if fraction:
        return f"{_second_text(ns // _NS)}.{fraction:09d}".rstrip("0") + "Z"
    return _second_text(ns // _NS) + "Z"


def time_text(time: datetime) -> str:
    """An aware time, to the microsecond, as it stands in documents."""
    return ns_text(ns_of(time))


def ns_of(time: datetime) -> int:
    """Nanoseconds since 1970 of an aware time."""
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def text_ns(text: str) -> int:
    """Nanoseconds since 1970; ValueError if this is no time."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no time")
    minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
    if minute.startswith("0000"):  # Go has that year, Python has not
        return _EARLIEST * _NS
    seconds = _minute_of(minute) + int(second)
    if sign:
        offset = int(zone_hour) * 3600 + int(zone_minute) * 60
        if offset >= _DAY:
            raise ValueError(f"{text[:40]!r} is in no zone")
        seconds += offset if sign == "-" else -offset
    return seconds * _NS + (int(fraction.ljust(9, "0")) if fraction else 0)


def text_time(text: str) -> datetime:
    """The aware time, in UTC, to the microsecond; ValueError if this is none that Python can say."""
    try:
        return _EPOCH + timedelta(microseconds=text_ns(text) // 1000)
    except OverflowError as error:
        raise ValueError(f"{text[:40]!r} is beyond all times") from error


@lru_cache(maxsize=4096)
def _minute_of(text: str) -> int:
    """Seconds from 1970 to the beginning of a minute: the files of a tree share a few of them."""
    since = datetime.fromisoformat(f"{text}00+00:00") - _EPOCH
    return since.days * _DAY + since.seconds


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    if not _EARLIEST <= seconds <= _LATEST:
        seconds = min(max(seconds, _EARLIEST), _LATEST)
    day, second = divmod(seconds, _DAY)
    return f"{_day_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


@lru_cache(maxsize=4096)
def _day_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d").rjust(10, "0")
