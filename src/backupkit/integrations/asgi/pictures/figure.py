"""`Picture` and its HTML: a drawing, what it says in words, and the same as a table.

Nothing in it has a style of its own, which a strict Content-Security-Policy forbids: static/pictures.css has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backupkit.printable import printable
from backupkit.retention.drawing import n, safe

SCALE = 52
"""Pixels left of what is plotted, at negative places: static/pictures.css keeps them free."""

_LONGEST = 200  # characters that others chose: an id, a location, a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn, and what is said of it; without a `drawing` there is nothing to see yet, and `told` says so.

    `told` stands above it for everybody, `heard` is for those who do not see it. `legend` has a mark, 16 pixels
    wide and high, with its words. Of `numbers`, columns of the table, the text ends at the right. What is `scaled`
    has words left of what is plotted.
    """

    title: str
    told: str
    heard: str = ""
    drawing: str = ""
    height: float = 0
    legend: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numbers: Sequence[int] = ()
    shape: str = "wide"
    scaled: bool = False


def figure(picture: Picture, id_: str) -> str:
    """The picture as a `<figure>`, in which any text is escaped. `id_` is its own in the page."""
    return "\n".join(_parts(picture, id_))


def _parts(picture: Picture, id_: str) -> Iterator[str]:
    yield f'<figure class="{picture.shape}" id="{id_}" aria-labelledby="{id_}-heading">'
    heading = f'<h3 id="{id_}-heading">{safe(picture.title)}</h3>'
    yield f"<figcaption>{heading}<p>{safe(picture.told)}</p></figcaption>"
    if picture.drawing:
        classes = "picture scaled" if picture.scaled else "picture"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{classes}" width="100%" '
            f'height="{n(picture.height)}" role="img" aria-labelledby="{id_}-title" aria-describedby="{id_}-desc">'
        )
        yield f'<title id="{id_}-title">{safe(picture.title)}</title>'
        yield f'<desc id="{id_}-desc">{safe(picture.heard)}</desc>'
        # What each mark says when it is pointed at stands in the table, too, for who would hear hundreds of them.
        yield f'<g aria-hidden="true">{picture.drawing}</g>'
        yield "</svg>"
    if picture.legend:
        yield '<ul class="legend">'
        for mark, words in picture.legend:
            shown = f'<svg class="picture" width="16" height="16" aria-hidden="true">{mark}</svg>'
            yield f"<li>{shown}{safe(words)}</li>"
        yield "</ul>"
    if picture.rows:
        yield from _table(picture, id_)
    yield "</figure>"


def _table(picture: Picture, id_: str) -> Iterator[str]:
    yield '<details class="small"><summary>The same as a table</summary>'
    yield f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{id_}-table">'
    yield f'<table><caption id="{id_}-table">{safe(picture.title)}</caption>'
    yield "<thead><tr>" + "".join(_cells(picture, "th", picture.columns, ' scope="col"')) + "</tr></thead>"
    yield "<tbody>"
    for row in picture.rows:
        yield "<tr>" + "".join(_cells(picture, "td", row)) + "</tr>"
    yield "</tbody></table></div></details>"


def _cells(picture: Picture, tag: str, words: Sequence[str], scope: str = "") -> Iterator[str]:
    for column, one in enumerate(words):
        number = ' class="number"' if column in picture.numbers else ""
        yield f"<{tag}{scope}{number}>{safe(one)}</{tag}>"


def cut(words: str, longest: int = _LONGEST) -> str:
    """A text of somebody else's, printable, with its middle left out where it is too long: its end tells most."""
    words = words if len(words) <= 4 * longest else words[: 2 * longest] + words[-2 * longest :]
    words = printable(words)
    if len(words) <= longest:
        return words
    end = longest // 2
    return f"{words[: longest - end - 1]}…{words[-end:]}"


def many(count: int, one: str) -> str:
    """ "1 backup", "1,200 backups"."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"
