"""How large the backups were over time: a strip for each contents, each with a scale of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeAlias

from backupkit.health import SizeAnomaly
from backupkit.health.saying import credible
from backupkit.integrations.asgi.pictures.figure import SCALE, Picture, cut, many
from backupkit.integrations.asgi.pictures.fluid import (
    across,
    curve,
    dates,
    level,
    mark,
    minute_of,
    share_of,
    words,
)
from backupkit.model import Backup, Contents, named
from backupkit.retention.charts import scale
from backupkit.retention.drawing import day_of, tooltip
from backupkit.sizes import format_size

Sort: TypeAlias = Literal["grew", "shrank", "incomplete", "unconfirmed", "damaged", "good"]

_PLOT, _STRIP = 76, 134  # pixels: what is plotted, and with its heading and what is between
_STRETCHES, _MARKS, _ROWS = (
    300,
    150,
    80,
)  # of all curves together, of all strips, of the table: more could not be seen
_PLACES = (80, 60, 40, 30, 20, 15, 10, 5)  # that marks share where there are more of them
_SAID: Mapping[Sort, str] = {
    "grew": "unusually large",
    "shrank": "unusually small",
    "damaged": "damaged",
    "incomplete": "incomplete",
    "unconfirmed": "not known whether complete",
}
# Shapes before colours: a triangle that points up or down, a cross, and hollow ones.
MARKS: Mapping[Sort, tuple[str, str]] = {
    "grew": ('<path d="M0 -6L6 5H-6Z"/>', "mark bad"),
    "shrank": ('<path d="M0 6L6 -5H-6Z"/>', "mark bad"),
    "damaged": ('<path d="M-5 -5L5 5M5 -5L-5 5"/>', "mark bad crossed"),
    "incomplete": ('<path d="M0 -6L6 0L0 6L-6 0Z"/>', "mark warn hollow"),
    "unconfirmed": ('<circle r="4.5"/>', "mark warn hollow"),
    "good": ('<circle r="2.5"/>', "mark dot"),
}


@dataclass(frozen=True, slots=True)
class Sized:
    """A backup, and what is to be said of its size, or of itself."""

    backup: Backup
    sort: Sort
    usual: int = 0

    @property
    def remark(self) -> str:
        usual = f": {format_size(self.usual)} is usual" if self.sort in ("grew", "shrank") else ""
        return "" if self.sort == "good" else _SAID[self.sort] + usual


def sizes(
    backups: Iterable[Backup],
    *,
    at: str,
    now: datetime,
    zone: tzinfo,
    rule: Callable[[frozenset[Contents]], SizeAnomaly] = lambda contents: SizeAnomaly(),
) -> Picture:
    """The backups at one destination. Those are marked that the `rule` for their contents speaks of."""
    title = f"Size of the backups at {cut(at)}"
    strips = {
        contents: _judged(members, rule(contents)) for contents, members in _series(backups, now).items()
    }
    everyone = [one for members in strips.values() for one in members]
    if not everyone:
        return Picture(title=title, told="There are no backups here yet.")
    first, last = (pick(one.backup.time for one in everyone) for pick in (min, max))
    drawing: list[str] = []
    for number, (contents, members) in enumerate(strips.items()):
        drawing += _strip(contents, members, (first, last), _STRIP * number, len(strips), zone)
    bottom = _STRIP * len(strips)
    drawing += dates(first, last, bottom - 2, zone)
    counts = {sort: sum(one.sort == sort for one in everyone) for sort in _SAID}
    remarks = [f"{count:,} {_SAID[sort]}" for sort, count in counts.items() if count]
    since = f"{many(len(everyone), 'backup')} since {day_of(first.astimezone(zone))}"
    return Picture(
        title=title,
        told=f"{since}: {', '.join(remarks) or 'each is whole, and as large as those before it let expect'}.",
        heard=" ".join(_heard(contents, members, zone) for contents, members in strips.items()),
        drawing="\n".join(drawing),
        height=bottom + 4,
        legend=[(_swatch(sort), f"{_SAID[sort]} ({count:,})") for sort, count in counts.items() if count],
        columns=("Contents", "Made", "Backups", "Size", "To be noted"),
        rows=[
            row
            for contents, members in strips.items()
            for row in _rows(contents, members, _ROWS // len(strips), zone)
        ],
        numbers=(2, 3),
        scaled=True,
    )


def _series(backups: Iterable[Backup], now: datetime) -> dict[frozenset[Contents], list[Backup]]:
    """Those of the same contents, oldest first, without those that a wrong clock made."""
    ordered = sorted(credible(backups, now), key=lambda one: (one.time.astimezone(UTC), one.id))
    series: dict[frozenset[Contents], list[Backup]] = {}
    for one in sorted(ordered, key=lambda one: (-len(one.contents), sorted(one.contents))):
        series.setdefault(one.contents, []).append(one)
    return series


def _judged(members: Sequence[Backup], rule: SizeAnomaly) -> list[Sized]:
    found = iter(rule.deviations_in([one.extent for one in members if one.good]))
    judged = []
    for one in members:
        if one.good:
            deviation = next(found)
            sort: Sort = "good" if deviation is None else "grew" if deviation.grew else "shrank"
            judged.append(Sized(one, sort, deviation.usual if deviation else 0))
        elif one.damaged:
            judged.append(Sized(one, "damaged"))
        else:
            judged.append(Sized(one, "unconfirmed" if one.complete is None else "incomplete"))
    return judged


def _strip(
    contents: frozenset[Contents],
    members: Sequence[Sized],
    span: tuple[datetime, datetime],
    top: float,
    share: int,
    zone: tzinfo,
) -> Iterator[str]:
    """One of `share` strips, from `top` on: what is plotted, and the scale left of it."""
    step, steps = scale(max(one.backup.extent for one in members))
    plot = top + 30
    good = [one for one in members if one.backup.good]

    def height(one: Sized) -> float:
        return one.backup.extent / (step * steps)

    def place(one: Sized) -> float:
        return share_of(one.backup.time, *span)

    name = named(contents)
    yield words(f"{-SCALE}", top + 12, name[0].upper() + name[1:], "h2 text")
    if good:
        yield words("100%", top + 12, f"newest good: {format_size(good[-1].backup.extent)}", "end soft")
    for number in range(steps + 1):
        if number in (0, steps) or steps < 4 or number % 2 == steps % 2:
            y = plot + _PLOT * (1 - number / steps)
            yield words(f"{-SCALE}", y + 4, format_size(step * number), "small soft")
    for number in range(steps + 1):
        yield level(plot + _PLOT * (1 - number / steps), "rule" if number else "base")
    if len(good) > 1:
        yield from curve(_thinned([(place(one), height(one)) for one in good], share), plot, _PLOT)
    for together in _together(members, place, _MARKS // share):
        one = max(together, key=height)
        shape, classes = MARKS[one.sort]
        y = plot + _PLOT * (1 - height(one))
        yield mark(across(place(one)), y, f"{tooltip(_said(together, zone))}{shape}", classes)


def _thinned(points: Sequence[tuple[float, float]], share: int) -> list[tuple[float, float]]:
    """Of each of many equal stretches the lowest and the highest, and so no peak is lost; and both ends."""
    stretch = _STRETCHES // share
    if len(points) <= 2 * stretch:
        return [*points]
    stretches: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        stretches.setdefault(int(point[0] * stretch), []).append(point)
    thinned = [points[0]]
    for members in stretches.values():
        lowest, highest = (pick(range(len(members)), key=lambda at: members[at][1]) for pick in (min, max))
        thinned += [members[at] for at in sorted({lowest, highest})]
    return [*thinned, points[-1]]


def _together(members: Sequence[Sized], place: Callable[[Sized], float], most: int) -> list[list[Sized]]:
    """Those that share a mark: where there are few, each has its own, and where many, good ones have none."""
    if len(members) <= most:
        return sorted(([one] for one in members), key=lambda one: one[0].sort != "good")
    noted = [one for one in members if one.sort != "good"]
    if len(noted) <= most:
        return [[one] for one in noted]
    groups: dict[tuple[int, Sort], list[Sized]] = {}
    for places in _PLACES:
        groups = {}
        for one in noted:
            groups.setdefault((int(place(one) * places), one.sort), []).append(one)
        if len(groups) <= most:
            break
    return [*groups.values()]


def _said(together: Sequence[Sized], zone: tzinfo) -> list[str]:
    """What the mark of these says when it is pointed at."""
    if len(together) == 1:
        one = together[0]
        said = [minute_of(one.backup.time, zone), format_size(one.backup.extent), one.remark]
        return [line for line in said if line]
    since, until = (day_of(together[end].backup.time.astimezone(zone)) for end in (0, -1))
    return [
        f"{len(together):,} {_SAID[together[0].sort]}, {since} to {until}",
        f"up to {_range(together)[1]}",
    ]


def _range(members: Sequence[Sized]) -> tuple[str, str]:
    extents = [one.backup.extent for one in members]
    return format_size(min(extents)), format_size(max(extents))


def _heard(contents: frozenset[Contents], members: Sequence[Sized], zone: tzinfo) -> str:
    smallest, largest = _range(members)
    newest = members[-1].backup
    said = f"{smallest} to {largest}" if smallest != largest else f"all of {smallest}"
    name = named(contents)
    return (
        f"{name[0].upper() + name[1:]}: {many(len(members), 'backup')}, {said}; "
        f"the newest, of {minute_of(newest.time, zone)}, has {format_size(newest.extent)}."
    )


def _rows(
    contents: frozenset[Contents], members: Sequence[Sized], most: int, zone: tzinfo
) -> Iterator[Sequence[str]]:
    """A row for each, newest first, or for several where there are many."""
    step = -(-len(members) // most)
    for start in reversed(range(0, len(members), step)):
        group = members[start : start + step]
        noted = [one for one in group if one.sort != "good"]
        smallest, largest = _range(group)
        if len(group) == 1:
            made, remarks = minute_of(group[0].backup.time, zone), [one.remark for one in noted]
        else:
            since, until = (day_of(group[end].backup.time.astimezone(zone)) for end in (0, -1))
            made = since if since == until else f"{since} to {until}"
            counts = {sort: sum(one.sort == sort for one in noted) for sort in _SAID}
            remarks = [f"{count:,} {_SAID[sort]}" for sort, count in counts.items() if count]
            remarks += [
                f"{minute_of(one.backup.time, zone)}: {format_size(one.backup.extent)}"
                for one in [one for one in noted if one.usual][:3]
            ]
        size = smallest if smallest == largest else f"{smallest} to {largest}"
        yield named(contents), made, f"{len(group):,}", size, "; ".join(remarks)


def _swatch(sort: Sort) -> str:
    shape, classes = MARKS[sort]
    return f'<g transform="translate(8 8)" class="{classes}">{shape}</g>'
