"""What stands behind every policy: the pipeline acts on no plan that has not passed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Kept, Removed, RetentionPlan
from backupkit.protocols import KeepsMinimum, RetentionPolicy
from backupkit.retention.series import order, protected


def guard(plan: RetentionPlan, *, now: datetime, minimum: int = 1) -> RetentionPlan:
    """The plan, but keeping the newest `minimum` good backups of each contents, and all that are pinned.

    What it saves has a reason that says so, and what the policy said.
    """
    if not plan.remove:
        return plan
    staying: dict[int, list[str]] = {}
    for backup, reason in protected(_backups(plan), now, minimum):
        staying.setdefault(id(backup), []).append(reason)
    saved = [
        Kept(going.backup, (*reasons, f"kept against the policy, which says: {going.reason}"))
        for going in plan.remove
        if (reasons := staying.get(id(going.backup)))
    ]
    if not saved:
        return plan
    return RetentionPlan(
        keep=tuple(sorted((*plan.keep, *saved), key=lambda kept: order(kept.backup), reverse=True)),
        remove=tuple(going for going in plan.remove if id(going.backup) not in staying),
    )


def must_stay(backup: Backup, backups: Iterable[Backup], *, now: datetime) -> str | None:
    """Why nothing may remove this one of the backups; None if it may go."""
    return next((reason for one, reason in protected(backups, now, 1) if one is backup), None)


def minimum_of(policy: RetentionPolicy) -> int:
    """How many good backups of each contents the policy says must stay."""
    return max(1, policy.minimum) if isinstance(policy, KeepsMinimum) else 1


def checked(plan: RetentionPlan, backups: Iterable[Backup]) -> RetentionPlan:
    """The plan, if each of the backups stands in exactly one half of it, and nothing else does.

    ConfigurationError otherwise: a policy with a mistake must not delete anything.
    """
    backups, in_plan = list(backups), _backups(plan)
    same = set(map(id, backups))
    if len(same) == len(backups) == len(in_plan) and same == set(map(id, in_plan)):
        return plan  # the very same ones: nobody needs to compare all that is known of them
    given, planned = Counter(backups), Counter(in_plan)
    if planned != given:
        if missing := given - planned:
            mistake = f"leaves out {next(iter(missing)).id}"
        else:
            surplus = next(iter(planned - given))
            mistake = f"names {surplus.id} " + (
                "more than once" if surplus in given else "which it was not given"
            )
        raise ConfigurationError(
            f"The retention policy's plan {mistake}, so nothing was removed: "
            "correct the policy to put each backup it is given, unchanged, into either keep or remove."
        )
    return plan


def _backups(plan: RetentionPlan) -> list[Backup]:
    verdicts: tuple[Kept | Removed, ...] = (*plan.keep, *plan.remove)
    return [verdict.backup for verdict in verdicts]
