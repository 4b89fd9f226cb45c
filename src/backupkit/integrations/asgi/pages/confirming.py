"""Doing what a dry run has shown: only what was seen, by whom it was seen, and not long after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import Asked
from backupkit.integrations.asgi.pages.asking import submit
from backupkit.integrations.asgi.pages.works import work_of
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work, id_after

LIMIT = timedelta(hours=1)
"""For so long what a dry run has shown is good enough to be acted on."""

TYPED = "confirm"
"""The field into which the name of the pipeline is typed."""


def refusal(visit: Visit, work: Work) -> str | None:
    """Why what this dry run has shown cannot be done now by this visitor; None if it can."""
    again = "make a new one."
    if not work.is_over:
        return "This preview has not ended yet: wait for it."
    if work.who != visit.visitor.who:
        return f"This preview was made by somebody else: {again}"
    if work.failed or work.report is None or work.ended is None:
        return "This preview found what keeps it from being done: mend that, or choose otherwise."
    if abs(visit.page.clock() - work.ended) > LIMIT:  # a clock that was set back makes nothing younger
        return f"This preview is more than an hour old, and much may have changed: {again}"
    return None


def carried_out(visit: Visit, work: Work) -> str | None:
    """The address of the work that does, or did, what this dry run has shown."""
    id = id_after(work.id)
    return visit.path("operations", id) if visit.page.queue.get(id) is not None else None


def confirmed(visit: Visit, verb: Asked) -> Response:
    """Ask for what the dry run in the address has shown; its arguments are those of the dry run itself.

    What one has shown is done once: whoever presses the button twice, or loads that page again, is led to the same.
    """
    work = work_of(visit)
    if work.action.verb != verb or not work.action.dry_run:
        raise ConfigurationError(f"This operation is no preview of a {verb}: make one first.")
    if (address := carried_out(visit, work)) is not None:
        return visit.go(address)
    if why := refusal(visit, work):
        raise ConfigurationError(why)
    typed = visit.form.get(TYPED)
    if not isinstance(typed, str) or typed.strip() != work.pipeline:
        return visit.go(visit.path("operations", work.id, typed="otherwise"))
    action = replace(work.action, dry_run=False)
    return visit.go(visit.path("operations", submit(visit, action, after=work.id)))
