"""The page for programs: the same in JSON, with the same abilities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.integrations.actions import SCRATCH, Asked, action_from
from backupkit.integrations.asgi.access.abilities import Ability
from backupkit.integrations.asgi.access.guard import FIELD
from backupkit.integrations.asgi.api.values import backup_value, operation_value, pipeline_value
from backupkit.integrations.asgi.pages import asking
from backupkit.integrations.asgi.pages.asking import submit
from backupkit.integrations.asgi.pages.backups import STATES, matching, verdicts_on
from backupkit.integrations.asgi.pages.filters import ROWS, number_of, pipeline_of, word_of
from backupkit.integrations.asgi.pages.notifications import mark, notifications_of
from backupkit.integrations.asgi.pages.reports import operations_of, report_of
from backupkit.integrations.asgi.pages.works import known, work_of
from backupkit.integrations.asgi.routes import Handler, Route
from backupkit.integrations.asgi.standing.standings import stand
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Backup, DestinationOverview
from backupkit.plain_data import plain, storable

_MOST = 500  # rows of one answer

VERBS: Mapping[Asked, Ability] = {
    "run": "run",
    "verify": "run",
    "drill": "run",
    "monitor": "run",
    "pin": "run",
    "restore": "restore",
    "clean": "delete",
    "delete": "delete",
    "unpin": "delete",
}
"""What it takes to ask for each."""


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value of plain data, as JSON in ASCII."""
    return Response(json.dumps(storable(value)), status, headers, "application/json")


def visitor(visit: Visit) -> Response:
    """Who asks, what they may do, and what a browser's script sends back in a header when it asks for something."""
    return answer(
        {
            "who": visit.visitor.who,
            "abilities": sorted(visit.visitor.abilities),
            "csrf_token": visit.token,
        }
    )


def pipelines(visit: Visit) -> Response:
    return answer({"pipelines": [pipeline_value(one) for one in stand(visit.page).values()]})


def pipeline(visit: Visit) -> Response:
    _ = visit.pipeline
    return answer(pipeline_value(stand(visit.page, [visit.name])[visit.name]))


def backups(visit: Visit) -> Response:
    """Those of a pipeline at all its destinations, newest first."""
    _ = visit.pipeline
    limit, skip = _window(visit)
    word_of(visit, "contents", ("files", "databases"))
    word_of(visit, "state", STATES)
    asked = {name: visit.query.get(name, "") for name in ("at", "contents", "state", "q")}
    looks = visit.page.looks.at(visit.name)
    found = matching(visit, {visit.name: looks}, {**asked, "sort": "newest"})
    return answer(
        {
            "backups": _values(visit, [(one, there) for _, one, there in found[skip : skip + limit]]),
            "count": len(found),
            "errors": [f"{look.location}: {look.error}" for look in looks if look.error],
        }
    )


def backup(visit: Visit) -> Response:
    _ = visit.pipeline
    found = visit.backup()
    there = (one.overview for one in visit.page.looks.at(visit.name) if one.location == found.location)
    return answer(_values(visit, [(found, next(there, None))])[0])


def _values(
    visit: Visit, found: Sequence[tuple[Backup, DestinationOverview | None]]
) -> Sequence[Mapping[str, Any]]:
    """Backups, and what is known of the destination of each."""
    places = {id(there): there for _, there in found if there is not None}
    verdicts = {place: verdicts_on([one for one, _ in found], there) for place, there in places.items()}
    return [
        backup_value(
            visit.page.shelves.known(visit.name, one), verdicts.get(id(there), {}).get((one.name, one.id))
        )
        for one, there in found
    ]


def asks_for(verb: Asked) -> Handler:
    """What has this done with the pipeline in the address, and says by which id it is followed."""

    def ask(visit: Visit) -> Response:
        pipeline, said = visit.pipeline, _said(visit)
        if said.pop("verb", verb) != verb:
            raise HTTPException(400, f"This address is for {verb}, and the JSON says something else.")
        action = action_from({**said, "verb": verb})
        if action.at not in (None, *(one.location for one in pipeline.destinations)):
            raise HTTPException(
                404, f"There is no destination {action.at!r}: give its location, as this page has it."
            )
        if action.place not in (SCRATCH, *visit.page.places):
            there = ", ".join([SCRATCH, *visit.page.places])
            raise HTTPException(
                404, f"There is no place called {action.place!r} to restore to: one of {there}."
            )
        id_ = submit(visit, action)
        return answer({"operation": id_}, 202, {"Location": visit.path("api", "operations", id_)})

    return ask


def operations(visit: Visit) -> Response:
    """What is under way, and what has ended lately."""
    only = pipeline_of(visit)
    return answer({"operations": [operation_value(one) for one in known(visit, only)]})


def operation(visit: Visit) -> Response:
    return answer(operation_value(work_of(visit)))


def cancel(visit: Visit) -> Response:
    work = work_of(visit)
    asking.cancel(visit, work)
    return answer({"operation": work.id}, 202)


def history(visit: Visit) -> Response:
    limit, skip = _window(visit)
    found = operations_of(visit, limit=limit, skip=skip)
    rows = [{**plain(one), "pipeline": name} for name, one in found.rows]
    return answer({"reports": rows, "count": found.count, "errors": [*found.errors]})


def report(visit: Visit) -> Response:
    name, found = report_of(visit)
    return answer({**plain(found), "pipeline": name})


def notifications(visit: Visit) -> Response:
    limit, skip = _window(visit)
    found = notifications_of(visit, limit=limit, skip=skip)
    rows = [{**plain(one.notification), "id": one.id, "pipeline": one.pipeline} for one in found.rows]
    return answer({"notifications": rows, "count": found.count, "errors": [*found.errors]})


def read(visit: Visit) -> Response:
    _ = _said(visit)
    return answer({"marked": mark(visit)})


def audit(visit: Visit) -> Response:
    limit, skip = _window(visit)
    asked = (visit.query.get("pipeline") or None, visit.query.get("who") or None)
    lines = visit.page.audit.noted(*asked, limit=limit, skip=skip)
    return answer({"lines": [plain(one) for one in lines], "count": visit.page.audit.count_noted(*asked)})


def _window(visit: Visit) -> tuple[int, int]:
    return number_of(visit, "limit", ROWS, least=1, most=_MOST), number_of(visit, "skip", 0)


def _said(visit: Visit) -> dict[str, Any]:
    """What the JSON of the request says; 415 for anything else."""
    kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if visit.form and kind != "application/json":
        raise HTTPException(415, "Send JSON.")
    return {name: value for name, value in visit.form.items() if name != FIELD}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/api/visitor", "view", visitor),
    Route("GET", "/api/pipelines", "view", pipelines),
    Route("GET", "/api/pipelines/{pipeline}", "view", pipeline),
    Route("GET", "/api/pipelines/{pipeline}/backups", "view", backups),
    Route("GET", "/api/pipelines/{pipeline}/backups/{backup}", "view", backup),
    *(
        Route("POST", f"/api/pipelines/{{pipeline}}/{verb}", ability, asks_for(verb))
        for verb, ability in VERBS.items()
    ),
    Route("GET", "/api/operations", "view", operations),
    Route("GET", "/api/operations/{operation}", "view", operation),
    Route("POST", "/api/operations/{operation}/cancel", "run", cancel),
    Route("GET", "/api/history", "view", history),
    Route("GET", "/api/history/{report}", "view", report),
    Route("GET", "/api/notifications", "view", notifications),
    Route("POST", "/api/notifications/read", "view", read),
    Route("GET", "/api/audit", "administer", audit),
)
