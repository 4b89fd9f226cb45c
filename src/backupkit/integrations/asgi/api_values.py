"""What the page knows, as what JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from backupkit.integrations.actions import plain_action
from backupkit.integrations.asgi.looks import Look
from backupkit.integrations.asgi.page import Page
from backupkit.integrations.asgi.work import Work
from backupkit.model import Backup, DestinationOverview
from backupkit.plain_data import plain

Verdicts: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]


def pipeline_value(page: Page, name: str) -> Mapping[str, Any]:
    """How a pipeline stands at each destination, as far as that is known, and what is due next."""
    return {
        "name": name,
        "contents": plain(page.pipelines[name].contents),
        "destinations": [_destination(one) for one in page.looks.at(name)],
        "due": _due(page, name),
    }


def _destination(look: Look) -> Mapping[str, Any]:
    overview = look.overview
    known: Mapping[str, Any] = {}
    if overview is not None:
        summary = overview.summary
        known = {
            **plain(summary),
            "time": plain(overview.time),
            "count": summary.count,
            "stored": summary.stored,
            "newest": plain(summary.newest),
        }
    return {**known, "location": look.location, "looking": look.looking, "error": look.error}


def _due(page: Page, name: str) -> Sequence[Mapping[str, Any]]:
    schedule, own = page.schedules.get(name), str(page.pipelines[name].name)
    if schedule is None:
        return []
    due = [(schedule.due_after(own, one, page.clock()), one.job) for one in schedule.jobs]
    return [
        {"time": plain(time), "verb": job.verb, "only": job.only, "to": job.to}
        for time, job in sorted(due, key=lambda one: one[0])
    ]


def backup_value(backup: Backup, verdicts: Verdicts) -> Mapping[str, Any]:
    """A backup, and what the next cleaning would do with it; None where that is not known."""
    verdict = verdicts.get((backup.name, backup.id))
    return {**plain(backup), "good": backup.good, "next_clean": verdict}


def verdicts_of(overview: DestinationOverview) -> Verdicts:
    """What the next cleaning would do with each backup of a destination."""
    keeps = {
        (one.backup.name, one.backup.id): {"keeps": True, "reasons": [*one.reasons]}
        for one in overview.plan.keep
    }
    removes = {
        (one.backup.name, one.backup.id): {"keeps": False, "reasons": [one.reason]}
        for one in overview.plan.remove
    }
    return {**keeps, **removes}


def operation_value(work: Work) -> Mapping[str, Any]:
    """What was asked for, and how that stands."""
    return {**plain(work), "action": plain_action(work.action), "failed": work.failed}
