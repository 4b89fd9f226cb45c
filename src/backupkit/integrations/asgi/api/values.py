"""What the page knows, as what JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backupkit.integrations.actions import plain_action
from backupkit.integrations.asgi.standing.dues import Due
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.standings import Stands
from backupkit.integrations.work import Work
from backupkit.model import Backup, Kept, Removed
from backupkit.plain_data import plain


def pipeline_value(stands: Stands) -> Mapping[str, Any]:
    """How a pipeline stands, in sentences and at each destination, and what is due next."""
    standing = stands.standing
    return {
        "name": stands.name,
        "contents": plain(stands.pipeline.contents),
        "tone": standing.tone,
        "sentences": [one.text for one in standing.sentences],
        "recoverable": plain(standing.recoverable),
        "destinations": [_destination(one) for one in stands.looks],
        "due": [_due(one) for one in stands.dues],
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


def _due(due: Due) -> Mapping[str, Any]:
    job = due.job
    return {
        "time": plain(due.next),
        "overdue_since": plain(due.since),
        "verb": job.verb,
        "only": job.only,
        "to": job.to,
    }


def backup_value(backup: Backup, verdict: Kept | Removed | None) -> Mapping[str, Any]:
    """A backup, and what the next cleaning would do with it; None where that is not known."""
    match verdict:
        case Kept(reasons=reasons):
            clean: Mapping[str, Any] | None = {"keeps": True, "reasons": [*reasons]}
        case Removed(reason=reason):
            clean = {"keeps": False, "reasons": [reason]}
        case None:
            clean = None
    return {**plain(backup), "good": backup.good, "next_clean": clean}


def operation_value(work: Work) -> Mapping[str, Any]:
    """What was asked for, and how that stands."""
    return {**plain(work), "action": plain_action(work.action), "failed": work.failed}
