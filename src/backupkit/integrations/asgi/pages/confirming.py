"""Doing what a dry run has shown: only what was seen, by whom it was seen, and not long after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import Asked
from backupkit.integrations.asgi.pages.asking import ask
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work

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
    if visit.page.clock() - work.ended > LIMIT:
        return f"This preview is more than an hour old, and much may have changed: {again}"
    return None


def confirmed(visit: Visit, verb: Asked) -> Response:
    """Ask for what the dry run in the address has shown; its arguments are those of the dry run itself."""
    work = visit.work()
    if work.action.verb != verb or not work.action.dry_run:
        raise ConfigurationError(f"This operation is no preview of a {verb}: make one first.")
    if why := refusal(visit, work):
        raise ConfigurationError(why)
    typed = visit.form.get(TYPED)
    if not isinstance(typed, str) or typed.strip() != work.pipeline:
        return visit.go(visit.path("operations", work.id, typed="otherwise"))
    return ask(visit, replace(work.action, dry_run=False))
