"""What the backups take at each destination: a bar for each contents, with its numbers beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backupkit.integrations.asgi.pictures.figure import Picture, cut, many
from backupkit.integrations.asgi.pictures.fluid import box, percent, words
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.model import DestinationSummary, SeriesSummary, named
from backupkit.retention.drawing import tooltip
from backupkit.sizes import format_size

_NARROW = 34  # characters of a heading on a phone
_SHOWN = 12  # destinations that are drawn
_TITLE = "Storage by destination"


def storage(looks: Sequence[Look]) -> Picture:
    """What is stored where; all bars are of one scale."""
    known = [look.overview.summary for look in looks if look.overview and look.overview.summary.reachable]
    silent = len(looks) - len(known)
    unheard = f" Not known yet: {many(silent, 'destination')}." if silent else ""
    if not any(summary.count for summary in known):
        told = f"Nothing is stored yet.{unheard}" if known else unheard.strip()
        return Picture(title=_TITLE, told=told, shape="half")
    most = max((series.stored for summary in known for series in summary.series), default=0)
    drawing: list[str] = []
    y = 0.0
    for summary in known[:_SHOWN]:
        drawing.append(words("0", y + 13, cut(summary.location, _NARROW), "h2 text"))
        y += 20
        for series in summary.series:
            drawing += _bar(series, max(most, 1), y)
            y += 34
        y += 10
    total = sum(summary.stored for summary in known)
    places = many(len(known), "destination")
    hidden = f" The picture shows {_SHOWN} of them." if len(known) > _SHOWN else ""
    return Picture(
        title=_TITLE,
        told=f"{format_size(total)} at {places}.{hidden}{unheard}",
        heard=" ".join(_heard(summary) for summary in known[:_SHOWN]),
        drawing="\n".join(drawing),
        height=y,
        columns=("Destination", "Contents", "Backups", "Stored"),
        rows=[row for look in looks for row in _rows(look)],
        numbers=(2, 3),
        shape="half",
    )


def _bar(series: SeriesSummary, most: int, y: float) -> Iterator[str]:
    yield words("0", y + 11, named(series.contents), "soft")
    yield words("100%", y + 11, format_size(series.stored), "end text", f" in {many(series.count, 'backup')}")
    yield box("0", y + 16, "100%", 10, "track", round_=5)
    tip = tooltip([f"{named(series.contents)}: {format_size(series.stored)}", many(series.count, "backup")])
    yield box("0", y + 16, percent(100 * series.stored / most), 10, "k1", tip, round_=5)


def _heard(summary: DestinationSummary) -> str:
    said = [
        f"{named(series.contents)} {format_size(series.stored)} in {many(series.count, 'backup')}"
        for series in summary.series
    ]
    return f"{cut(summary.location)}: {'; '.join(said) or 'nothing'}."


def _rows(look: Look) -> Iterator[Sequence[str]]:
    summary = look.overview.summary if look.overview else None
    place = cut(look.location)
    if summary is None or not summary.reachable:
        yield place, "has not answered", "", ""
        return
    for series in summary.series:
        yield place, named(series.contents), f"{series.count:,}", format_size(series.stored)
    if len(summary.series) != 1:
        yield place, "all", f"{summary.count:,}", format_size(summary.stored)
