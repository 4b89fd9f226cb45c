"""Restoring as steps: which backup, what of it, where to, what that would change, and a typed confirmation.

What was chosen so far stands in the address, so that every step can be gone back to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlencode

from starlette.responses import Response

from backupkit._finding import newest_first
from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import REPLACED, SCRATCH, Action
from backupkit.integrations.asgi.pages.asking import ask
from backupkit.integrations.asgi.pages.confirming import carried_out, confirmed, refusal
from backupkit.integrations.asgi.pages.places import PlaceInWords, host_of, places_in_words
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work
from backupkit.model import Backup, Contents, Problem
from backupkit.patterns import path_of, pattern_of
from backupkit.printable import printable

STEPS = ("what", "where", "preview")
_WHAT: tuple[str, ...] = ("all", "databases", "files", "paths")
_NEWEST = 30
_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the address says of a restore: "all", "databases", "files" or "paths", and the rest."""

    what: str = "all"
    paths: tuple[str, ...] = ()
    place: str = SCRATCH
    overwrite: bool = False

    @property
    def only(self) -> Contents | None:
        return "databases" if self.what == "databases" else "files" if self.what == "files" else None

    def action(self, backup: Backup) -> Action:
        """The dry run that shows what it would change."""
        if self.what == "paths" and not self.paths:
            raise ConfigurationError("No path is chosen: choose one, or restore everything.")
        return Action(
            verb="restore",
            backup=backup.id,
            at=backup.location,
            only=self.only,
            include=tuple(map(pattern_of, self.paths)) if self.what == "paths" else (),
            place=self.place,
            overwrite=self.overwrite and self.place != SCRATCH,
            dry_run=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the dry run of a restore has shown, in words; of long lists the first.

    `refusal` is why it cannot be done from here, and `carried_out` leads to where it was; `otherwise` leads to the
    same with what is there replaced.
    """

    sentence: str
    becoming: str
    what: Sequence[str]
    errors: Sequence[Problem]
    warnings: Sequence[Problem]
    hidden: int
    replaced: Sequence[str]
    replacing: int
    refusal: str | None
    carried_out: str | None
    action: Action
    otherwise: str | None
    choosing: str


def which(visit: Visit) -> Response:
    """The newest backups, of which one is to be restored."""
    pipeline, looks = visit.pipeline, visit.page.looks.at(visit.name)
    found = newest_first(one for look in looks if look.overview for one in look.overview.backups)
    chosen = _choice(visit)
    return visit.html(
        "restore_which.html",
        pipeline=pipeline,
        looks=looks,
        rows=[(one, _address(visit, visit.name, one, chosen, "what")) for one in found[:_NEWEST]],
        more=max(0, len(found) - _NEWEST),
    )


def steps(visit: Visit) -> Response:
    """The step that the address says, with what was chosen before."""
    backup, choice = visit.backup(), _choice(visit)
    step = visit.query.get("step", "")
    step = step if step in STEPS else "what"
    return visit.html(
        "restore.html",
        backup=backup,
        copies=[*_copies(visit, backup)],
        choice=choice,
        step=step,
        links=[(one, _address(visit, visit.name, backup, choice, one)) for one in STEPS],
        again=_list_address(visit, choice),
        places=places_in_words(visit.page.places, host_of(visit.page.queue)),
        place=_place(visit, choice) if step == "preview" else None,
        action=choice.action(backup) if step == "preview" else None,
    )


def preview(visit: Visit) -> Response:
    """Have it found out what the restore would change."""
    backup, choice = visit.backup(), _choice(visit)
    _place(visit, choice)
    return ask(visit, choice.action(backup))


def carry_out(visit: Visit) -> Response:
    """Do what a preview has shown."""
    return confirmed(visit, "restore")


def restore_preview(visit: Visit, work: Work) -> Preview:
    """What the page of an operation shows of the dry run of a restore that has ended."""
    action, report = work.action, work.report
    host = host_of(visit.page.queue)
    place = next((one for one in places_in_words(visit.page.places, host) if one.name == action.place), None)
    problems = () if report is None else report.problems
    choice = _choice_of(action)
    errors = [one for one in problems if one.severity == "error"][:_SHOWN]
    replaced = [one.path for one in problems if one.check == REPLACED and one.path is not None]
    warnings = [one for one in problems if one.severity != "error" and one.check != REPLACED][:_SHOWN]
    backup = (action.backup or "latest", action.at)
    return Preview(
        sentence=_sentence(visit, work, place, host),
        becoming="" if place is None else place.becoming(overwrite=action.overwrite),
        what=_shown_paths(action),
        errors=errors,
        warnings=warnings,
        replaced=[*map(printable, replaced[:_SHOWN])],
        replacing=len(replaced),
        hidden=len(problems) - len(errors) - len(warnings) - len(replaced),
        refusal=refusal(visit, work),
        carried_out=carried_out(visit, work),
        action=replace(action, dry_run=False),
        otherwise=None
        if place is None or place.replacing is None or action.overwrite
        else _address(visit, work.pipeline, backup, replace(choice, overwrite=True), "preview"),
        choosing=_address(visit, work.pipeline, backup, choice, "what"),
    )


def _place(visit: Visit, choice: Choice) -> PlaceInWords:
    """The place that was chosen; ConfigurationError if what was chosen cannot go there."""
    places = places_in_words(visit.page.places, host_of(visit.page.queue))
    place = next((one for one in places if one.name == choice.place), None)
    if place is None:
        raise ConfigurationError("There is no such place to restore to: go back and choose one.")
    if choice.only == "files" and not place.takes_files:
        raise ConfigurationError("This place takes databases only: go back and choose another one for files.")
    return place


def _sentence(visit: Visit, work: Work, place: PlaceInWords | None, host: str) -> str:
    """Such as "Writes 1,204 entries, 3.2 GB, to a new folder below /tmp on shop-1."."""
    report = work.report
    if place is None:
        return f"There is no place called {work.action.place} any more."
    if report is None or work.failed:
        return "As it is now, nothing would be restored."
    where = place.where
    if work.action.place == SCRATCH and work.folder is not None:
        where = f"a new folder below {printable(work.folder)} on {host}"
    size = visit.page.templates.filters["size"](report.written)
    if place.takes_files:
        return (
            f"Writes {report.entries:,} {'entry' if report.entries == 1 else 'entries'}, {size}, to {where}."
        )
    return f"Loads {report.entries:,} {'dump' if report.entries == 1 else 'dumps'}, {size}, into {where}."


def _shown_paths(action: Action) -> list[str]:
    return [printable(path_of(pattern)) for pattern in action.include]


def _choice(visit: Visit) -> Choice:
    """What the address says, and the form; what a form cannot hold as it is stands there percent-encoded."""
    said = [*visit.pairs]
    for name, value in visit.form.items():
        said += [
            (name, one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)
        ]
    paths: dict[str, None] = {}
    for name, value in said:
        path = unquote(value, errors="surrogateescape") if name == "kept" else value
        if name in ("path", "kept") and (path := path.strip("/")):
            paths[path] = None
    last = dict(said)
    what = last.get("what") or ("paths" if paths else "all")
    if what not in _WHAT:
        raise ConfigurationError("That is no part of a backup: choose everything, databases, files or paths.")
    return Choice(
        what=what,
        paths=tuple(paths),
        place=last.get("place") or SCRATCH,
        overwrite=last.get("overwrite") == "yes",
    )


def _choice_of(action: Action) -> Choice:
    return Choice(
        what="paths" if action.include else action.only or "all",
        paths=tuple(map(path_of, action.include)),
        place=action.place,
        overwrite=action.overwrite,
    )


def _copies(visit: Visit, backup: Backup) -> Iterator[Backup]:
    """The same backup, at each destination that has it."""
    for look in visit.page.looks.at(visit.name):
        for one in look.overview.backups if look.overview else ():
            if (one.name, one.id) == (backup.name, backup.id):
                yield one


def _address(
    visit: Visit, name: str, backup: Backup | tuple[str, str | None], choice: Choice, step: str
) -> str:
    """A step with all that was chosen."""
    id_, at = (backup.id, backup.location) if isinstance(backup, Backup) else backup
    said = [("at", at)] if at is not None else []
    address = visit.path("pipelines", name, "backups", id_, "restore")
    return f"{address}?{_said([*said, *_pairs(choice), ('step', step)])}"


def _list_address(visit: Visit, choice: Choice) -> str:
    return f"{visit.path('pipelines', visit.name, 'restore')}?{_said(_pairs(choice))}"


def _pairs(choice: Choice) -> Iterator[tuple[str, str]]:
    yield "what", choice.what
    for path in choice.paths:
        yield "path", path
    yield "place", choice.place
    if choice.overwrite:
        yield "overwrite", "yes"


def _said(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return urlencode([*pairs], errors="surrogateescape")


ROUTES: tuple[Route, ...] = (
    Route("GET", "/pipelines/{pipeline}/restore", "restore", which),
    Route("GET", "/pipelines/{pipeline}/backups/{backup}/restore", "restore", steps),
    Route("POST", "/pipelines/{pipeline}/backups/{backup}/restore/preview", "restore", preview),
    Route("POST", "/operations/{operation}/restore", "restore", carry_out),
)
