"""The history: every operation with its outcome, and each with its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, get_args

from starlette.exceptions import HTTPException
from starlette.responses import Response

from backupkit.errors import BackupKitError
from backupkit.history import DatabaseHistory, Recorded
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.pages.filters import ROWS, number_of, pipeline_of, word_of
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.standing.records import Found, Ledger, histories, part_of
from backupkit.integrations.asgi.visit import Visit
from backupkit.model import Operation, Outcome, Report

OPERATIONS: Sequence[Operation] = get_args(Operation)
OUTCOMES: Sequence[Outcome] = get_args(Outcome)

Line: TypeAlias = tuple[str, Recorded]
"""The page's name of the pipeline, and what a list says of its operation."""


def operations_of(visit: Visit, *, limit: int, skip: int) -> Found[Line]:
    """A part of the history that the address asks for, newest first."""
    operation = word_of(visit, "operation", OPERATIONS)
    outcome = word_of(visit, "outcome", OUTCOMES)

    def lines(ledger: Ledger[DatabaseHistory], limit: int, skip: int) -> Sequence[Line]:
        found = ledger.database.recorded([*ledger.names], operation, outcome=outcome, limit=limit, skip=skip)
        return [(ledger.names[one.name], one) for one in found]

    return part_of(
        histories(visit.page.pipelines, pipeline_of(visit)),
        rows=lines,
        count=lambda ledger: ledger.database.count([*ledger.names], operation, outcome=outcome),
        order=lambda line: line[1].started,
        limit=limit,
        skip=skip,
    )


def report_of(visit: Visit) -> tuple[str, Report]:
    """The report in the address, and the page's name of its pipeline; 404 if it is of none of this page's."""
    id_ = str(visit.request.path_params["report"])
    failure: BackupKitError | None = None
    if len(id_) == 64 and id_.isascii() and id_.isalnum():
        for ledger in histories(visit.page.pipelines):
            try:
                report = ledger.database.report(id_)
            except BackupKitError as error:
                failure = error
            else:
                if report is not None and report.name in ledger.names:
                    return ledger.names[report.name], report
    if failure is not None:
        raise failure
    raise HTTPException(404, "There is no such report; it may have been too old to be kept.")


def history(visit: Visit) -> Response:
    number = number_of(visit, "page", 1, least=1)
    only = pipeline_of(visit)
    return visit.html(
        "history.html",
        found=operations_of(visit, limit=ROWS, skip=(number - 1) * ROWS),
        number=number,
        rows=ROWS,
        operations=OPERATIONS,
        outcomes=OUTCOMES,
        unkept=_unkept(visit.page, only),
    )


def report(visit: Visit) -> Response:
    name, found = report_of(visit)
    return visit.html("recorded.html", name=name, report=found, id=visit.request.path_params["report"])


def _unkept(page: Page, only: str | None) -> Sequence[str]:
    """What there is to say of pipelines whose operations cannot be shown."""
    said = []
    for name, pipeline in page.pipelines.items():
        if only not in (None, name) or page.history_of(name) is not None:
            continue
        if pipeline.history is None:
            said.append(f"Of {name}, no history is kept.")
        else:
            said.append(
                f"The history of {name} is a {type(pipeline.history).__name__}, which cannot be read here."
            )
    return said


ROUTES = (
    Route("GET", "/history", "view", history),
    Route("GET", "/history/{report}", "view", report),
)
