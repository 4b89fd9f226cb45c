"""Cleaning: what the policy would remove and why is shown first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response

from backupkit.errors import ConfigurationError
from backupkit.integrations.actions import Action
from backupkit.integrations.asgi.pages.asking import ask
from backupkit.integrations.asgi.pages.confirming import carried_out, confirmed, refusal
from backupkit.integrations.asgi.routes import Route
from backupkit.integrations.asgi.visit import Visit
from backupkit.integrations.work import Work
from backupkit.model import DestinationResult, Kept, Problem, Removed, StoredObject

_SHOWN = 500
_PERIODS = (
    (r"\d{4}-\d\d-\d\d \d\dh", "an hour"),
    (r"\d{4}-\d\d-\d\d", "a day"),
    (r"week \d{4}-W\d\d", "a week"),
    (r"\d{4}-\d\d", "a month"),
    (r"\d{4}", "a year"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInWords:
    """What would go at one destination and what stays, the first of each, and why the kept ones do, with counts."""

    location: str
    problems: Sequence[Problem]
    removed: Sequence[Removed]
    removing: int
    kept: Sequence[Kept]
    keeping: int
    reasons: Sequence[tuple[str, int]]
    swept: Sequence[StoredObject]
    sweeping: int
    freed: int
    rewritten: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPlan:
    """What the dry run of a cleaning has shown. `refusal` is why it cannot be done from here.

    `carried_out` leads to where that was done already.
    """

    destinations: Sequence[PlanInWords]
    removing: int
    sweeping: int
    freed: int
    problems: Sequence[Problem]
    refusal: str | None
    carried_out: str | None
    action: Action

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be done."""
        return not (self.removing or self.sweeping or self.freed)


def plan(visit: Visit) -> Response:
    """Have the plan made, at one destination or at all."""
    at = visit.form.get("at") or None
    known = [one.location for one in visit.pipeline.destinations]
    if at is not None and at not in known:
        raise ConfigurationError("This pipeline has no such destination: open its page again.")
    return ask(visit, Action(verb="clean", at=at, dry_run=True))


def carry_out(visit: Visit) -> Response:
    """Clean where a plan was shown."""
    return confirmed(visit, "clean")


def clean_plan(visit: Visit, work: Work) -> CleanPlan:
    """What the page of an operation shows of the dry run of a cleaning that has ended."""
    results = () if work.report is None else work.report.destinations
    destinations = [_in_words(one) for one in results]
    told = {problem for one in destinations for problem in one.problems}
    return CleanPlan(
        destinations=destinations,
        removing=sum(one.removing for one in destinations),
        sweeping=sum(one.sweeping for one in destinations),
        freed=sum(one.freed for one in destinations),
        problems=[one for one in (work.report.problems if work.report else ()) if one not in told],
        refusal=refusal(visit, work),
        carried_out=carried_out(visit, work),
        action=replace(work.action, dry_run=False),
    )


def _in_words(result: DestinationResult) -> PlanInWords:
    keep = () if result.plan is None else result.plan.keep
    remove = () if result.plan is None else result.plan.remove
    reasons = Counter(_kind_of(reason) for kept in keep for reason in kept.reasons[:1])
    return PlanInWords(
        location=result.location,
        problems=result.problems,
        removed=remove[:_SHOWN],
        removing=len(remove),
        kept=keep[:_SHOWN],
        keeping=len(keep),
        reasons=reasons.most_common(20),
        swept=result.swept[:_SHOWN],
        sweeping=len(result.swept),
        freed=result.freed,
        rewritten=0 if result.pruned is None else result.pruned.repacked,
    )


def _kind_of(reason: str) -> str:
    """The reason without what differs from backup to backup: "newest of a day" for that of each."""
    if reason.startswith("pinned"):
        return "pinned"
    reason = reason.partition(" (")[0]
    for period, kind in _PERIODS:
        reason, found = re.subn(rf"(?<= of ){period}$", kind, reason)
        if found:
            break
    return reason


ROUTES: tuple[Route, ...] = (
    Route("POST", "/pipelines/{pipeline}/clean", "delete", plan),
    Route("POST", "/operations/{operation}/clean", "delete", carry_out),
)
