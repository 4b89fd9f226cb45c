"""A picture of what stays and why, as SVG: static, in one piece, for light and dark pages and for screen readers.

The axis is that of age, and the older the denser: the last days take as much room as the years before them, so that
each tier of a policy can be read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backupkit.model import Backup, Contents, RetentionPlan, named
from backupkit.retention.charts import charts
from backupkit.retention.drawing import KINDS, bar, day_of, line, n, safe, style, text, tooltip
from backupkit.retention.kinds import OTHER, Kind, in_general, kind_of
from backupkit.retention.simulation import SimulatedBackup, SimulatedDay, Simulation
from backupkit.sizes import format_size

_NAME = "backupkit-retention"
WIDTH, LEFT, RIGHT = 1000, 76, 968
_DAY = timedelta(days=1)
_LANE, _MARKS, _GONE = 104, 50, 8  # pixels: a lane, the tallest mark, those of the removed below the line
HEIGHTS = (32, 20, 23, 26, 32, 38, 44, 50, 50)  # by rank: rarer ones are taller, as on a ruler
_BUCKET = 4  # pixels that removed backups share a mark in
_AGES = (
    *((0, "now"), (1 / 4, "6 hours"), (1, "1 day"), (3, "3 days"), (7, "1 week"), (14, "2 weeks")),
    *((30.4, "1 month"), (91.3, "3 months"), (182.6, "6 months"), (365.25, "1 year"), (730.5, "2 years")),
    *((1826.25, "5 years"), (3652.5, "10 years"), (7305, "20 years"), (18262.5, "50 years")),
    *((36525, "100 years"), (73050, "200 years"), (182625, "500 years")),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """From an age to a place between `left` and `right`: logarithmic beyond a day, and even before."""

    end: datetime
    oldest: float  # days
    left: float
    right: float

    @classmethod
    def over(cls, backups: Iterable[Backup], end: datetime, *, left: float, right: float) -> Axis:
        """The one that has room for all of these."""
        oldest = max(((end - one.time) / _DAY for one in backups), default=0)
        return cls(end, max(oldest, 1.0), left, right)

    def at(self, age: float) -> float:
        return self.right - (self.right - self.left) * math.log1p(max(age, 0)) / math.log1p(self.oldest)

    def of(self, backup: Backup) -> float:
        return self.at((self.end - backup.time) / _DAY)

    def ticks(self, *, apart: float, first: float, inside: float) -> Iterator[tuple[float, float, str]]:
        """The ages that there is room to name: place, age in days, words.

        They are `apart`, beginning at what "now" takes up at the right, and end `inside` the left edge.
        """
        _, *ages = _AGES
        yield self.at(0), *_AGES[0]
        before = self.at(0) - first
        for age, words in ages:
            x = self.at(age)
            if age <= self.oldest and before - x >= apart and x - self.left >= inside:
                before = x
                yield x, age, words


def plot_retention(simulation: Simulation) -> str:
    """An SVG picture of what a simulation kept at its end and why, and what was stored on each day."""
    days = len(simulation.days)
    peak = max(day.peak for day in simulation.days)
    told = (
        f"Simulated: {_many(days, 'day')} with a cleaning each. The most that was stored, "
        f"right before a cleaning: {format_size(peak)}."
    )
    return _picture(simulation.backups, simulation.days, simulation.end, told, gone="removed")


def plot_plan(plan: RetentionPlan, *, now: datetime) -> str:
    """The same picture of a plan for backups that exist, as `clean(dry_run=True)` makes it."""
    backups = [
        *(SimulatedBackup(backup=one.backup, removed=None, reasons=one.reasons) for one in plan.keep),
        *(SimulatedBackup(backup=one.backup, removed=now, reasons=(one.reason,)) for one in plan.remove),
    ]
    return _picture(backups, (), now, "A plan: nothing was removed yet.", gone="to be removed")


def _picture(
    backups: Sequence[SimulatedBackup],
    days: Sequence[SimulatedDay],
    end: datetime,
    told: str,
    *,
    gone: str,
) -> str:
    backups = sorted(backups, key=lambda one: (one.backup.time.astimezone(UTC), one.backup.id))
    lanes: dict[frozenset[Contents], list[SimulatedBackup]] = {}
    for one in sorted(backups, key=lambda one: (-len(one.backup.contents), *sorted(one.backup.contents))):
        lanes.setdefault(one.backup.contents, []).append(one)
    kept = [one for one in backups if one.removed is None]
    counts = Counter(kind_of(one.reasons) for one in kept)
    colours = colours_of(counts)
    axis = Axis.over((one.backup for one in backups), end, left=LEFT + 8, right=RIGHT - 8)

    summary = (
        f"On {day_of(end)}, {len(kept):,} of {_many(len(backups), 'backup')} stay: "
        f"{format_size(sum(one.backup.stored for one in kept))}."
    )
    spoken = " ".join(f"{_short(kind.label)}: {counts[kind]:,}." for kind in colours)
    entries = [(colour, f"{_short(kind.label)} ({counts[kind]:,})") for kind, colour in colours.items()]
    if len(kept) < len(backups):
        entries.append(("gone", f"{gone} ({len(backups) - len(kept):,})"))
    legend, top = _legend(entries)
    body = [
        text(LEFT, 40, "What stays, and why", "h1 text"),
        text(LEFT, 62, summary),
        text(LEFT, 80, told, "soft"),
    ]
    body += legend
    for number, (contents, members) in enumerate(lanes.items()):
        body += _lane(contents, members, axis, colours, top + _LANE * number, gone=gone)
    bottom = top + _LANE * len(lanes)
    body += _ages(axis, bottom)
    chart, height = charts(days, bottom + 64, LEFT, RIGHT) if len(days) > 1 else ([], bottom + 44)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {n(height)}" width="{WIDTH}" '
            f'height="{n(height)}" class="{_NAME}" role="graphics-document document" '
            'aria-roledescription="timeline">',
            "<title>What a retention policy keeps, and why</title>",
            f"<desc>{safe(summary)} {safe(told)} {safe(spoken)}</desc>",
            f"<style>{style(_NAME)}</style>",
            bar(0.5, 0.5, WIDTH - 1, height - 1, "page", round_=10) + "/>",
            *body,
            *chart,
            "</svg>\n",
        ]
    )


def colours_of(counts: Mapping[Kind, int]) -> dict[Kind, str]:
    """A class for each kind, in the order of the legend; others get those that are not in use."""
    ordered = sorted(counts, key=lambda kind: (kind.rank or len(KINDS), kind.label))
    first = {kind.rank: kind for kind in reversed(ordered) if kind.rank}
    free = iter([number for number in range(1, len(KINDS)) if number not in first])
    return {kind: f"k{kind.rank if first.get(kind.rank) == kind else next(free, OTHER)}" for kind in ordered}


def _legend(entries: Sequence[tuple[str, str]]) -> tuple[list[str], float]:
    """What the colours say, in as many rows as it takes, and where the next thing begins."""
    drawn: list[str] = []
    x, y = float(LEFT), 112.0
    for classes, words in entries:
        width = 22 + 6.9 * len(words)
        if x > LEFT and x + width > RIGHT:
            x, y = float(LEFT), y + 20
        drawn += [bar(x, y - 9, 10, 10, classes, round_=2) + "/>", text(x + 16, y, words)]
        x += width + 14
    return [f'<g aria-hidden="true">{"".join(drawn)}</g>'], y + 26


def _ticks(axis: Axis) -> Iterator[tuple[float, float, str]]:
    return axis.ticks(apart=76, first=32, inside=12)


def _ages(axis: Axis, y: float) -> Iterator[str]:
    """The axis: ages, and the days that they mean."""
    yield text(16, y + 6, "age", "soft")
    yield text(16, y + 21, "made", "small soft")
    for x, age, words in _ticks(axis):
        place, side = (RIGHT, "end") if age == 0 else (x, "mid")
        yield text(place, y + 6, words, f"{side} text")
        yield text(place, y + 21, day_of(axis.end - timedelta(days=age)), f"{side} small soft")


def _lane(
    contents: frozenset[Contents],
    members: Sequence[SimulatedBackup],
    axis: Axis,
    colours: Mapping[Kind, str],
    top: float,
    *,
    gone: str,
) -> Iterator[str]:
    kept = [one for one in members if one.removed is None]
    occupied = format_size(sum(one.backup.stored for one in kept))
    name = named(contents)
    told = f"{len(kept):,} of {len(members):,} stay, {occupied}"
    base = top + 22 + _MARKS
    yield text(LEFT, top + 10, name[0].upper() + name[1:], "h2 text")
    yield text(RIGHT, top + 10, told, "end soft")
    for x, _, _ in _ticks(axis):
        yield line(x, base - _MARKS, x, base + 12, "rule")
    yield line(LEFT, base, RIGHT, base, "base")
    yield '<g aria-hidden="true">'
    yield from _removed([one for one in members if one.removed is not None], axis, base + 3, gone)
    yield "</g>"
    yield f'<g role="list" aria-label="{safe(f"{name}: {told}")}">'
    places = [axis.of(one.backup) for one in kept]
    for number, (one, x) in enumerate(zip(kept, places, strict=True)):
        near = places[max(number - 1, 0) : number] + places[number + 1 : number + 2]
        width = min(7.0, max(1.6, 0.7 * min((abs(x - other) for other in near), default=7.0)))
        kind = kind_of(one.reasons)
        height = HEIGHTS[kind.rank]
        tip = tooltip([one.backup.id, format_size(one.backup.stored), *one.reasons])
        mark = bar(x - width / 2, base - height, width, height, colours[kind], round_=min(width / 3, 1.5))
        yield f'{mark} role="listitem">{tip}</rect>'
    yield "</g>"


def _removed(members: Sequence[SimulatedBackup], axis: Axis, y: float, gone: str) -> Iterator[str]:
    """One faint mark for all that lie within a few pixels."""
    buckets: dict[int, list[SimulatedBackup]] = {}
    for one in members:
        buckets.setdefault(int(axis.of(one.backup) // _BUCKET), []).append(one)
    for place, together in buckets.items():
        first, last = together[0], together[-1]
        if first is last:
            said = [f"{first.backup.id}: {gone}, {'; '.join(first.reasons)}"]
        else:
            reasons = Counter(in_general(one.reasons[0]) for one in together)
            since, until = (day_of(one.backup.time.astimezone(axis.end.tzinfo)) for one in (first, last))
            said = [f"{len(together)} {gone}, made {since} to {until}"]
            said += [f"{count} × {reason}" for reason, count in reasons.most_common(3)]
        yield f"{bar(place * _BUCKET, y, _BUCKET - 0.8, _GONE, 'gone')}>{tooltip(said)}</rect>"


def _short(label: str) -> str:
    return label if len(label) <= 60 else f"{label[:59]}…"


def _many(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
