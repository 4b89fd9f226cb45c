"""The simple policies: keep all, or the newest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backupkit.model import Backup, Kept, Removed, RetentionPlan
from backupkit.retention.series import by_contents, order, plan_of, require_whole


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Remove nothing."""

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return plan_of(Kept(backup, ("every backup is kept",)) for backup in backups)


@dataclass(frozen=True, slots=True)
class KeepLast:
    """Keep the newest `count` good backups of each contents, and whatever is newer than the oldest of them.

    Incomplete, unconfirmed and damaged ones are not counted, unless there is nothing better. Nor are those
    dated in the future, which a wrong clock made: they stay, and push nothing out.
    """

    count: int

    def __post_init__(self) -> None:
        require_whole(self, "count", least=1)

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        verdicts: list[Kept | Removed] = []
        for series in by_contents(backups):
            past = [backup for backup in series if backup.time <= now]
            good = [backup for backup in past if backup.good]
            counted = (good or past)[: self.count]
            those = f"the {'' if self.count == 1 else f'{self.count} '}newest{' good' if good else ''}"
            one_of = those if self.count == 1 else f"one of {those}"
            for backup in series:
                if backup.time > now:
                    verdicts.append(Kept(backup, ("dated in the future",)))
                elif order(backup) < order(counted[-1]):
                    verdicts.append(Removed(backup, f"older than {those}"))
                elif good and not backup.good:
                    verdicts.append(Kept(backup, (f"newer than {one_of}",)))
                else:
                    verdicts.append(Kept(backup, (one_of,)))
        return plan_of(verdicts)
