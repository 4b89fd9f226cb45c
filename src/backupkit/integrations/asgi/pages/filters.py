"""What the lists of the page are asked for in their addresses, looked up before it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from starlette.exceptions import HTTPException

from backupkit.integrations.asgi.visit import Visit

_Word = TypeVar("_Word", bound=str)

ROWS = 50
"""So many stand on one page of a list."""


def pipeline_of(visit: Visit, said: Mapping[str, Any] | None = None) -> str | None:
    """The pipeline that a list is to be of, by the page's name; 404 if there is none of that name."""
    name = (visit.query if said is None else said).get("pipeline") or None
    if name is None:
        return None
    if not isinstance(name, str) or name not in visit.page.pipelines:
        raise HTTPException(404, "There is no such pipeline.")
    return name


def word_of(visit: Visit, name: str, words: Sequence[_Word]) -> _Word | None:
    """One of these words, or None; 400 for any other."""
    said = visit.query.get(name) or None
    found = next((one for one in words if one == said), None)
    if said is not None and found is None:
        raise HTTPException(400, f"{name} is one of {', '.join(words)}.")
    return found


def page_number(visit: Visit) -> int:
    """Which page of a list is asked for, counted from 1; the first for what is no number."""
    said = visit.query.get("page", "")
    return max(1, int(said)) if said.isascii() and said.isdigit() and len(said) < 9 else 1


def number_of(visit: Visit, name: str, default: int, *, least: int = 0, most: int = 1_000_000) -> int:
    """A number, no less and no more than that; 400 if it is none."""
    said = visit.query.get(name) or str(default)
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise HTTPException(400, f"{name} is a number.")
    return max(least, min(int(said), most))
