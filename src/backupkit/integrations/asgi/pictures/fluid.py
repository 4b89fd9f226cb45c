"""Drawing in any width: what goes across is in percent, what goes up and down and all text is in pixels.

So one picture is as readable on a phone as on a desk, where one that is scaled as a whole is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

from backupkit.retention.drawing import day_of, n, safe

_LEFT, _RIGHT = 2.0, 98.0  # percent: marks at both ends are seen whole
_TALL = 1000  # units across, inside a curve
_SHORT = timedelta(days=5)  # where days do not tell times apart


def across(share: float) -> str:
    """A place between both ends, of which 0 is the left and 1 the right one."""
    return percent(_LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0))


def percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").removesuffix(".") + "%"


def words(x: str, y: float, text: str, classes: str = "text", more: str = "") -> str:
    """A text, and what follows in it where there is room for `more`."""
    rest = f'<tspan class="more">{safe(more)}</tspan>' if more else ""
    return f'<text x="{x}" y="{n(y)}" class="{classes}">{safe(text)}{rest}</text>'


def level(y: float, classes: str = "rule") -> str:
    """A line from one edge to the other."""
    return f'<line x1="0" y1="{n(y)}" x2="100%" y2="{n(y)}" class="{classes}"/>'


def upright(x: str, top: float, base: float, classes: str = "rule") -> str:
    return f'<line x1="{x}" y1="{n(top)}" x2="{x}" y2="{n(base)}" class="{classes}"/>'


def box(
    x: str, y: float, width: str, height: float, classes: str, inside: str = "", *, round_: float = 0
) -> str:
    rounded = f' rx="{n(round_)}"' if round_ else ""
    end = f">{inside}</rect>" if inside else "/>"
    return f'<rect x="{x}" y="{n(y)}" width="{width}" height="{n(height)}"{rounded} class="{classes}"{end}'


def mark(x: str, y: float, inside: str, classes: str) -> str:
    """Something that is drawn around a point, in pixels."""
    return f'<svg x="{x}" y="{n(y)}" overflow="visible" class="{classes}">{inside}</svg>'


def curve(points: Sequence[tuple[float, float]], top: float, height: float) -> Iterator[str]:
    """A line, and the area below it; points are shares of both directions, from the left and from below."""
    path = "L".join(f"{round(_TALL * x)} {n(height * (1 - y))}" for x, y in points)
    first, last = (round(_TALL * points[end][0]) for end in (0, -1))
    yield (
        f'<svg x="{percent(_LEFT)}" y="{n(top)}" width="{percent(_RIGHT - _LEFT)}" height="{n(height)}" '
        f'viewBox="0 0 {_TALL} {n(height)}" preserveAspectRatio="none" overflow="visible">'
    )
    yield f'<path d="M{first} {n(height)}L{path}L{last} {n(height)}Z" class="area"/>'
    yield f'<path d="M{path}" class="curve" vector-effect="non-scaling-stroke"/></svg>'


def dates(first: datetime, last: datetime, y: float, zone: tzinfo) -> Iterator[str]:
    """What is written below a line of time: five moments of it, or its ends where there is little room."""
    since, until = first.astimezone(zone), last.astimezone(zone)
    if until <= since:
        yield words("50%", y, minute_of(since, zone), "mid soft")
        return
    for quarter, classes in enumerate(
        ("soft", "mid soft roomy", "mid soft more", "mid soft roomy", "end soft")
    ):
        time = (first + (last - first) * (quarter / 4)).astimezone(zone)
        said = day_of(time) if last - first > _SHORT else f"{day_of(time)[:-5]} {time:%H:%M}"
        yield words("0" if quarter == 0 else percent(25 * quarter), y, said, classes)


def share_of(time: datetime, first: datetime, last: datetime) -> float:
    """Where a moment lies between two."""
    return (time - first) / (last - first) if last > first else 0.5


def minute_of(time: datetime, zone: tzinfo) -> str:
    """ "3 Nov 2026 03:00"."""
    there = time.astimezone(zone)
    return f"{day_of(there)} {there:%H:%M}"
