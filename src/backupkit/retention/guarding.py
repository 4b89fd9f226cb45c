"""What stands behind every policy: the pipeline acts on no plan that has not passed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, RetentionPlan
from backupkit.protocols import KeepsMinimum, RetentionPolicy
from backupkit.retention.series import by_contents, protected, sparing, verdicts_of


def guard(plan: RetentionPlan, *, now: datetime, minimum: int = 1) -> RetentionPlan:
    """The plan, but keeping the newest `minimum` good backups of each contents, and all that are pinned."""
    staying: dict[Backup, str] = {}
    for series in by_contents(verdict.backup for verdict in verdicts_of(plan)):
        staying |= protected(series, now, minimum)
    return sparing(plan, staying)


def minimum_of(policy: RetentionPolicy) -> int:
    """How many good backups of each contents the policy says must stay."""
    return max(1, policy.minimum) if isinstance(policy, KeepsMinimum) else 1


def checked(plan: RetentionPlan, backups: Iterable[Backup]) -> RetentionPlan:
    """The plan, if each of the backups stands in exactly one half of it, and nothing else does.

    ConfigurationError otherwise: a policy with a mistake must not delete anything.
    """
    given = Counter(backups)
    planned = Counter(verdict.backup for verdict in verdicts_of(plan))
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
