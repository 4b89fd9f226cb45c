"""What is there at one destination on an axis of ages: what stays and why, and what the next clean would remove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from backupkit.integrations.asgi.pictures.figure import Picture, cut, many
from backupkit.integrations.asgi.pictures.fluid import box, level, minute_of, percent, upright, words
from backupkit.model import Backup, Contents, RetentionPlan, named
from backupkit.retention.drawing import bar, day_of, tooltip
from backupkit.retention.kinds import Kind, in_general, kind_of
from backupkit.retention.picture import HEIGHTS, Axis, colours_of
from backupkit.sizes import format_size

_LANE, _TALLEST, _GONE = 104, 50, 10  # pixels: a lane, the tallest mark, those below the line
_MARKS = 220  # of all lanes together: more could not be told apart, and would make a large page
_WIDTHS = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5)  # percent that those share a mark in which lie together
_DESK, _PHONE, _FIRST = (
    11.0,
    24.0,
    1.4,
)  # percent: what is written at an age takes up that much there, and "now" more
_THICK = 0.7  # percent: the thickest mark
_KINDS, _REASONS = 12, 30  # in the legend; in the table


@dataclass(frozen=True, slots=True)
class Decided:
    """A backup of a plan, and of what kind the reason is. `kind` is None for one that would go."""

    backup: Backup
    reasons: Sequence[str]
    kind: Kind | None


def retention(plan: RetentionPlan, *, at: str, now: datetime, zone: tzinfo) -> Picture:
    """What the next clean at this destination would do."""
    title = f"What stays, and why, at {cut(at)}"
    decided = [
        *(Decided(one.backup, one.reasons, kind_of(one.reasons)) for one in plan.keep),
        *(Decided(one.backup, (one.reason,), None) for one in plan.remove),
    ]
    if not decided:
        return Picture(title=title, told="There is nothing yet that could be removed.")
    decided.sort(key=lambda one: (one.backup.time.astimezone(UTC), one.backup.id))
    counts = Counter(one.kind for one in decided if one.kind)
    colours = colours_of(counts)
    axis = Axis.over((one.backup for one in decided), now, left=2, right=98)
    lanes: dict[frozenset[Contents], list[Decided]] = {}
    for one in sorted(decided, key=lambda one: (-len(one.backup.contents), sorted(one.backup.contents))):
        lanes.setdefault(one.backup.contents, []).append(one)
    width = _shared_width([*lanes.values()], axis)
    drawing: list[str] = []
    for number, (contents, members) in enumerate(lanes.items()):
        drawing += _lane(contents, members, axis, colours, _LANE * number, width, zone)
    bottom = _LANE * len(lanes)
    drawing += _ages(axis, bottom, zone)
    told = _told(decided, zone)
    legend = [
        (_swatch(colour), f"{cut(kind.label, 60)} ({counts[kind]:,})")
        for kind, colour in [*colours.items()][:_KINDS]
    ]
    if plan.remove:
        legend.append((_swatch("leaves"), f"would be removed ({len(plan.remove):,})"))
    return Picture(
        title=title,
        told=told,
        heard=" ".join(
            [told, *(f"{cut(kind.label, 60)}: {counts[kind]:,}." for kind in [*colours][:_KINDS])]
        ),
        drawing="\n".join(drawing),
        height=bottom + 34,
        legend=legend,
        columns=("Contents", "Next clean", "Why", "Backups", "Stored", "Made"),
        rows=[*_rows(lanes, zone)],
        numbers=(3, 4),
    )


def _told(decided: Sequence[Decided], zone: tzinfo) -> str:
    stays = [one.backup for one in decided if one.kind]
    goes = [one.backup for one in decided if not one.kind]
    said = f"{len(stays):,} of {many(len(decided), 'backup')} stay: {format_size(_stored(stays))}."
    if not goes:
        return f"{said} The next clean would remove nothing."
    oldest = day_of(goes[0].time.astimezone(zone))
    freed = format_size(_stored(goes))
    return f"{said} The next clean would remove {len(goes):,}, of {freed}; the oldest is of {oldest}."


def _stored(backups: Sequence[Backup]) -> int:
    return sum(one.stored for one in backups)


def _shared_width(lanes: Sequence[Sequence[Decided]], axis: Axis) -> float:
    """The width in which backups share a mark: none where there is room for each."""
    if sum(map(len, lanes)) <= _MARKS:
        return 0
    for width in _WIDTHS:
        if sum(len(_together(members, axis, width)) for members in lanes) <= _MARKS:
            return width
    return _WIDTHS[-1]


def _together(members: Sequence[Decided], axis: Axis, width: float) -> list[list[Decided]]:
    if not width:
        return [[one] for one in members]
    groups: dict[tuple[int, bool], list[Decided]] = {}
    for one in members:
        groups.setdefault((int(axis.of(one.backup) // width), one.kind is None), []).append(one)
    return [*groups.values()]


def _lane(
    contents: frozenset[Contents],
    members: Sequence[Decided],
    axis: Axis,
    colours: Mapping[Kind, str],
    top: float,
    width: float,
    zone: tzinfo,
) -> Iterator[str]:
    stays = [one.backup for one in members if one.kind]
    name = named(contents)
    base = top + 26 + _TALLEST
    yield words("0", top + 12, name[0].upper() + name[1:], "h2 text")
    said = f"{len(stays):,} of {len(members):,} stay"
    yield words("100%", top + 12, said, "end soft", f", {format_size(_stored(stays))}")
    for x, _, _, room in _ticks(axis):
        yield upright(percent(x), top + 26, base + 14, f"rule{room}")
    yield level(base, "base")
    groups = _together(members, axis, width)
    places = [axis.of(group[-1].backup) if not width else _middle(group, axis, width) for group in groups]
    for group, x, thick in zip(groups, places, _thickness(groups, places, width), strict=True):
        tip = tooltip(_said(group, zone))
        tallest = max(group, key=lambda one: one.kind.rank if one.kind else 0)
        left, across = percent(x - thick / 2), percent(thick)
        if tallest.kind is None:
            yield box(left, base + 4, across, _GONE, "leaves", tip)
        else:
            height = HEIGHTS[tallest.kind.rank]
            yield box(left, base - height, across, height, colours[tallest.kind], tip)


def _middle(group: Sequence[Decided], axis: Axis, width: float) -> float:
    return (int(axis.of(group[0].backup) // width) + 0.5) * width


def _thickness(groups: Sequence[Sequence[Decided]], places: Sequence[float], width: float) -> Iterator[float]:
    """Marks leave a gap between them wherever they can."""
    if width:
        yield from (min(0.75 * width, _THICK) for _ in groups)
        return
    for number, (group, x) in enumerate(zip(groups, places, strict=True)):
        same = [
            abs(places[other] - x)
            for other in (number - 1, number + 1)
            if 0 <= other < len(groups) and (groups[other][0].kind is None) == (group[0].kind is None)
        ]
        yield min(_THICK, max(0.2, 0.7 * min(same, default=_THICK)))


def _said(group: Sequence[Decided], zone: tzinfo) -> list[str]:
    first, last = group[0], group[-1]
    does = "stays" if first.kind else "would be removed"
    if first is last:
        made = f"{minute_of(first.backup.time, zone)}, {format_size(first.backup.stored)}"
        return [made, f"{does}: {cut('; '.join(first.reasons))}"]
    since, until = (day_of(one.backup.time.astimezone(zone)) for one in (first, last))
    reasons = Counter(one.kind.label if one.kind else in_general(one.reasons[0]) for one in group)
    does = "stay" if first.kind else "would be removed"
    said = [f"{len(group):,} {does}, made {since} to {until}"]
    return said + [f"{count:,} × {cut(reason, 80)}" for reason, count in reasons.most_common(3)]


def _ticks(axis: Axis) -> Iterator[tuple[float, float, str, str]]:
    """Ages to name: place, age in days, words, and a class for those that there is no room for on a phone."""
    before = axis.right + _PHONE
    for x, age, said in axis.ticks(apart=_DESK, first=(_FIRST - 1) * _DESK, inside=_DESK / 2):
        fits = age == 0 or (before - x >= _PHONE and x >= _PHONE / 2)
        if fits:
            before = x if age else x - (_FIRST - 1) * _PHONE
        yield x, age, said, "" if fits else " roomy"


def _ages(axis: Axis, y: float, zone: tzinfo) -> Iterator[str]:
    """The axis: ages, and the days that they mean."""
    for x, age, said, room in _ticks(axis):
        place, side = ("100%", "end") if age == 0 else (percent(x), "mid")
        yield words(place, y + 12, said, f"{side} text{room}")
        day = axis.end.astimezone(zone) - timedelta(days=age)
        yield words(place, y + 27, day_of(day), f"{side} small soft{room}")


def _rows(lanes: Mapping[frozenset[Contents], Sequence[Decided]], zone: tzinfo) -> Iterator[Sequence[str]]:
    """A row for each reason, in general: how many, what they take, and of which days."""
    for contents, members in lanes.items():
        groups: dict[tuple[bool, str], list[Backup]] = {}
        for one in members:
            why = one.kind.label if one.kind else in_general(one.reasons[0])
            groups.setdefault((one.kind is None, why), []).append(one.backup)
        for (goes, why), backups in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1])))[
            :_REASONS
        ]:
            since, until = (day_of(backups[end].time.astimezone(zone)) for end in (0, -1))
            made = since if since == until else f"{since} to {until}"
            does = "removes" if goes else "keeps"
            yield named(contents), does, cut(why), f"{len(backups):,}", format_size(_stored(backups)), made


def _swatch(classes: str) -> str:
    return bar(2, 2, 12, 12, classes, round_=2) + "/>"
