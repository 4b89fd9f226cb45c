"""What pictures are made of: SVG that is safe for any text, and colours for light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from html import escape

# What XML cannot hold, or would change: control characters, ends of lines, halves of surrogate pairs.
_NO_XML = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'

# Light, then dark: far apart in hue and in lightness, so that they differ for the colour-blind as well.
KINDS = (
    ("#7b8794", "#8d99a6"),  # 0: any other reason
    ("#2f74d0", "#63a4ff"),  # 1: recent
    ("#0a7f8c", "#2fc1cf"),  # 2: of an hour
    ("#139a7b", "#35cfa4"),  # 3: of a day
    ("#86a80d", "#b4d83a"),  # 4: of a week
    ("#e0a100", "#ffc933"),  # 5: of a month
    ("#dd5b1c", "#ff8a4c"),  # 6: of a year
    ("#b3246b", "#ff6fb1"),  # 7: the newest
    ("#6d3fc0", "#b294ff"),  # 8: pinned
)
AREAS = (("#64748b", "#6b7a90"), ("#a9b5c4", "#434f60"), ("#d5dce5", "#2a323d"))
_ROLES = {
    "page": ("#ffffff", "#14181d"),
    "edge": ("#d8dee4", "#30363d"),
    "grid": ("#e8ecf0", "#262c33"),
    "line": ("#8c959f", "#6e7681"),
    "text": ("#1f2328", "#e6edf3"),
    "soft": ("#59636e", "#9aa4af"),
    "gone": ("#c3cad2", "#464f59"),
}


def style(name: str) -> str:
    """The rules of a picture of this class: they hold inside it only, also where it stands within a page."""
    return (
        f".{name}{{font-family:{_FONT};font-size:12px}}"
        f".{name} .h1{{font-size:19px;font-weight:650}}.{name} .h2{{font-size:13px;font-weight:650}}"
        f".{name} .small{{font-size:11px}}.{name} .mid{{text-anchor:middle}}.{name} .end{{text-anchor:end}}"
        + _colours(name, 0)
        + f"@media(prefers-color-scheme:dark){{{_colours(name, 1)}}}"
    )


def _colours(name: str, scheme: int) -> str:
    fills = {role: pair[scheme] for role, pair in _ROLES.items()}
    fills |= {f"k{rank}": pair[scheme] for rank, pair in enumerate(KINDS)}
    fills |= {f"a{number}": pair[scheme] for number, pair in enumerate(AREAS)}
    rules = [f".{name} .{role}{{fill:{colour}}}" for role, colour in fills.items()]
    strokes = {"rule": fills["grid"], "base": fills["line"], "page": fills["edge"]}
    rules += [f".{name} .{role}{{stroke:{colour}}}" for role, colour in strokes.items()]
    return "".join(rules)


def text(x: float, y: float, words: str, classes: str = "text") -> str:
    return f'<text x="{n(x)}" y="{n(y)}" class="{classes}">{safe(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, classes: str) -> str:
    return f'<path d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}" class="{classes}"/>'


def bar(x: float, y: float, width: float, height: float, classes: str, *, round_: float = 0) -> str:
    """The beginning of a rectangle, for what ends it: "/>", or attributes, a tooltip and "</rect>"."""
    rounded = f' rx="{n(round_)}"' if round_ else ""
    return f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"{rounded} class="{classes}"'


def tooltip(lines: Iterable[str]) -> str:
    return "<title>" + "\n".join(map(safe, lines)) + "</title>"


def safe(words: str) -> str:
    """Any text, for an element or an attribute."""
    return escape(_NO_XML.sub("\ufffd", words))


def n(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def day_of(time: datetime) -> str:
    """The day of an aware time, in its own zone: "3 Nov 2026", in any locale."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{time.day} {months[time.month - 1]} {time.year}"
