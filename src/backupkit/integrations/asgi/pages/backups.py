"""The table of all backups, of all pipelines and destinations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.integrations.asgi.pages.equivalents import list_equivalent
from backupkit.integrations.asgi.pages.filters import ROWS, page_number
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup, DestinationOverview, Kept, Removed

_SORTS: Mapping[str, tuple[Callable[[Backup], Any], bool]] = {
    "newest": (lambda one: one.time, True),
    "oldest": (lambda one: one.time, False),
    "largest": (lambda one: one.stored, True),
    "smallest": (lambda one: one.stored, False),
}
_STATES: Mapping[str, Callable[[Backup, datetime], bool]] = {
    "good": lambda one, _now: one.good,
    "incomplete": lambda one, _now: one.complete is False,
    "damaged": lambda one, _now: one.damaged,
    "unconfirmed": lambda one, _now: one.complete is None,
    "pinned": lambda one, now: one.pin is not None and one.pin.holds(now),
    "not verified": lambda one, _now: one.verified is None,
}
_GOES = "goes with the next clean"
STATES = (*_STATES, _GOES)
"""What can be asked for of their states."""

_ASKED = ("pipeline", "at", "contents", "state", "q", "sort", "page")

_Key: TypeAlias = tuple[str, str]
_Candidate: TypeAlias = tuple[str, Backup, DestinationOverview]


@dataclass(frozen=True, slots=True)
class Row:
    """A backup of one of the pipelines, and what the next clean would do with it, if that is known."""

    pipeline: str
    backup: Backup
    verdict: Kept | Removed | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of those that were looked for; `first` and `last` count from 1, as does the `page` of so many."""

    rows: Sequence[Row]
    count: int
    first: int
    last: int
    page: int
    pages: int


def show(visit: Visit) -> Response:
    """The table, or that part of the page alone which changes while somebody types."""
    asked = {name: visit.query.get(name, "") for name in _ASKED}
    chosen = asked["pipeline"]
    if chosen and chosen not in visit.page.pipelines:
        raise HTTPException(404, "There is no such pipeline.")
    looks = visit.page.looks.every([chosen] if chosen else None)
    if asked["sort"] not in _SORTS:
        asked["sort"] = "newest"
    found = _page_of(visit, matching(visit, looks, asked))

    def address(**changed: object) -> str:
        return visit.path("backups", **{**asked, "page": "", **changed})

    template = "backups_found.html" if visit.asks_for_part else "backups.html"
    return visit.html(
        template,
        found=found,
        asked=asked,
        address=address,
        looks=looks,
        lines=list_equivalent(chosen or None),
        locations=sorted({look.location for those in looks.values() for look in those}),
        states=STATES,
        sorts=[*_SORTS],
        several=len(visit.page.pipelines) > 1,
        each_pipeline=len(looks) > 1,
    )


def verdicts_on(backups: Collection[Backup], overview: DestinationOverview) -> Mapping[_Key, Kept | Removed]:
    """What the next clean would do with these backups, by name and id."""
    wanted = {_key(one) for one in backups}
    halves: tuple[Sequence[Kept | Removed], ...] = (overview.plan.keep, overview.plan.remove)
    return {_key(one.backup): one for half in halves for one in half if _key(one.backup) in wanted}


def matching(
    visit: Visit, looks: Mapping[str, Sequence[Look]], asked: Mapping[str, str]
) -> Sequence[_Candidate]:
    """The backups that are asked for, each with its pipeline and what is known of the destination, in order."""
    at, contents, words, state = asked["at"], asked["contents"], asked["q"].lower().split(), asked["state"]
    passes, now = _STATES.get(state), visit.page.clock()
    rows: list[_Candidate] = []
    for name, those in looks.items():
        for overview in (look.overview for look in those if look.overview):
            if at and overview.location != at:
                continue
            some: Sequence[Backup] = overview.backups
            if contents in ("files", "databases"):
                some = [one for one in some if contents in one.contents]
            if passes is not None:
                some = [one for one in some if passes(one, now)]
            if state == _GOES:
                going = {_key(one.backup) for one in overview.plan.remove}
                some = [one for one in some if _key(one) in going]
            if words:
                texts = _texts(visit, name, some, overview)
                some = [one for one in some if all(word in texts[_key(one)] for word in words)]
            rows += [(name, one, overview) for one in some]
    by, backwards = _SORTS[asked["sort"]]
    rows.sort(key=lambda row: by(row[1]), reverse=backwards)
    return rows


def _page_of(visit: Visit, rows: Sequence[_Candidate]) -> Found:
    pages = max(1, -(-len(rows) // ROWS))
    page = min(page_number(visit), pages)
    shown = rows[(page - 1) * ROWS : page * ROWS]
    verdicts = {
        id(overview): verdicts_on([one for _, one, there in shown if there is overview], overview)
        for overview in {id(row[2]): row[2] for row in shown}.values()
    }
    return Found(
        rows=[
            Row(
                name,
                visit.page.shelves.known(name, one),
                verdicts[id(overview)].get(_key(one)),
            )
            for name, one, overview in shown
        ],
        count=len(rows),
        first=(page - 1) * ROWS + 1 if shown else 0,
        last=(page - 1) * ROWS + len(shown),
        page=page,
        pages=pages,
    )


def _texts(
    visit: Visit, name: str, some: Sequence[Backup], overview: DestinationOverview
) -> Mapping[_Key, str]:
    """What a search looks through, of each of them."""
    whys = {_key(one.backup): " ".join(one.reasons) for one in overview.plan.keep}
    whys |= {_key(one.backup): one.reason for one in overview.plan.remove}
    texts = {}
    for backup in some:
        key, one = _key(backup), visit.page.shelves.known(name, backup)
        said = (
            one.id,
            *(one.tags or ()),
            one.host,
            one.location,
            one.pin.reason if one.pin else None,
            whys.get(key),
        )
        texts[key] = " ".join(filter(None, said)).lower()
    return texts


def _key(backup: Backup) -> _Key:
    return backup.name, backup.id


ROUTES: tuple[Route, ...] = (Route("GET", "/backups", "view", show),)
