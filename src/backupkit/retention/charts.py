"""The lower half of the picture: bytes and backups over the days, each contents an area on top of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate

from backupkit.model import named
from backupkit.retention.drawing import AREAS, bar, day_of, line, n, text
from backupkit.retention.simulation import SimulatedDay
from backupkit.sizes import format_size

_HEIGHT, _GAP = 96, 44
_POINTS = 450  # of an area: more could not be seen


def charts(days: Sequence[SimulatedDay], top: float, left: float, right: float) -> tuple[list[str], float]:
    """Both charts from there on, and where they end."""
    thinned = list(_thinned(days))
    bytes_ = [[one.stored for one in day.series] for day in thinned]
    counts = [[one.count for one in day.series] for day in thinned]
    times = [day.time for day in thinned]
    drawn: list[str] = []
    names = [named(one.contents) for one in days[-1].series]
    for heading, values, last in (
        ("Stored after each day's cleaning", bytes_, False),
        ("Backups", counts, True),
    ):
        drawn.append(text(left, top + 10, heading, "h2 text"))
        if not last:
            drawn += _names(names, top + 10, right)
        drawn += _chart(times, values, top + 24, left, right, of_bytes=not last)
        if not last:
            top += 24 + _HEIGHT + 28
    base = top + 24 + _HEIGHT
    drawn += _dates(times, base, left, right)
    return drawn, base + _GAP


def _thinned(days: Sequence[SimulatedDay]) -> Iterator[SimulatedDay]:
    """One day of several, the fullest, so that no peak is lost; and the last one."""
    step = -(-len(days) // _POINTS)
    for first in range(0, len(days) - 1, step):
        yield max(days[first : min(first + step, len(days) - 1)], key=lambda day: day.stored)
    yield days[-1]


def _names(names: Sequence[str], y: float, right: float) -> Iterator[str]:
    """Yield what the areas are, in one row that ends about there."""
    widths = [30 + 6.6 * len(name) for name in names]
    x = right - sum(widths) + 8
    for number, (name, width) in enumerate(zip(names, widths, strict=True)):
        yield bar(x, y - 9, 10, 10, f"a{min(number, len(AREAS) - 1)}", round_=2) + "/>"
        yield text(x + 16, y, name, "soft")
        x += width


def _chart(
    times: Sequence[datetime],
    values: Sequence[Sequence[int]],
    top: float,
    left: float,
    right: float,
    *,
    of_bytes: bool,
) -> Iterator[str]:
    """Yield an area for each of the values, stacked, over a scale of round numbers."""
    step, steps = scale(max(map(sum, values)))
    base = top + _HEIGHT

    def y(value: float) -> float:
        return base - _HEIGHT * value / (step * steps)

    for number in range(steps + 1):
        label = format_size(step * number) if of_bytes else f"{step * number:,}"
        yield line(left, y(step * number), right, y(step * number), "base" if number == 0 else "rule")
        yield text(left - 8, y(step * number) + 4, label, "end small soft")
    places = [_place(time, times, left, right) for time in times]
    sums = [[0, *accumulate(day)] for day in values]
    for area in range(len(values[0])):
        upper = [f"{n(x)} {n(y(day[area + 1]))}" for x, day in zip(places, sums, strict=True)]
        lower = [f"{n(x)} {n(y(day[area]))}" for x, day in zip(places, sums, strict=True)]
        if area == 0:
            lower = [f"{n(places[0])} {n(base)}", f"{n(places[-1])} {n(base)}"]
        path = "L".join([*upper, *reversed(lower)])
        yield f'<path d="M{path}Z" class="a{min(area, len(AREAS) - 1)}"/>'


def scale(highest: int) -> tuple[int, int]:
    """A round step, and how many of them hold the highest value: two to five."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor * 4 >= highest:
                return step * factor, max(1, -(-highest // (step * factor)))
        step *= 10


def _place(time: datetime, times: Sequence[datetime], left: float, right: float) -> float:
    whole = (times[-1] - times[0]).total_seconds()
    return left + (right - left) * ((time - times[0]).total_seconds() / whole if whole else 1)


def _dates(times: Sequence[datetime], base: float, left: float, right: float) -> Iterator[str]:
    """Yield the first days of months or years, no more of them than can be read."""
    first, last = times[0], times[-1]
    months = (last.year - first.year) * 12 + last.month - first.month
    step = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600) if months <= 10 * step), 1200)
    begun = first.year * 12 + first.month - 1
    marks = [
        datetime(month // 12, month % 12 + 1, 1, tzinfo=first.tzinfo)
        for month in range(-(-begun // step) * step, last.year * 12 + last.month, step)
    ]
    marks = [mark for mark in marks if first <= mark <= last]
    if len(marks) < 3:  # not enough to tell the time by
        marks, step = [first + (last - first) * part / 4 for part in range(5 if last > first else 1)], 1
    for mark in marks:
        x = _place(mark, times, left, right)
        yield line(x, base, x, base + 4, "base")
        place, side = (right, "end") if x > right - 36 else (x, "mid")
        yield text(place, base + 18, str(mark.year) if step >= 12 else day_of(mark), f"{side} text")
