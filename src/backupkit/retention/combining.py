"""Several policies as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import cast

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Kept, Removed, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention.guarding import checked, guard, minimum_of
from backupkit.retention.series import newest_first
from backupkit.retention.tiered import TieredRetention


@dataclass(frozen=True, slots=True, repr=False)
class Combined:
    """What `any_of` and `all_of` make. Its minimum is the highest of its policies'."""

    policies: tuple[RetentionPolicy, ...]
    every: bool

    def __repr__(self) -> str:
        return f"{'all' if self.every else 'any'}_of({', '.join(map(repr, self.policies))})"

    @property
    def minimum(self) -> int:
        return max(map(minimum_of, self.policies))

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        ordered = left = tuple(newest_first(backups))
        gone: dict[int, Removed] = {}  # by identity
        while True:
            plan = guard(self._plan(left, now), now=now, minimum=self.minimum)
            if not (self.every and plan.remove):
                break
            # What one policy removes may be what another one counted by: ask them again about the rest.
            gone |= {id(removed.backup): removed for removed in plan.remove}
            left = tuple(kept.backup for kept in plan.keep)
        if not gone:
            return plan
        return RetentionPlan(
            keep=plan.keep, remove=tuple(gone[id(backup)] for backup in ordered if id(backup) in gone)
        )

    def _plan(self, ordered: Sequence[Backup], now: datetime) -> RetentionPlan:
        verdicts_of = [_verdicts(policy.plan(ordered, now=now), ordered) for policy in self.policies]
        needed = len(self.policies) if self.every else 1
        keep: list[Kept] = []
        remove: list[Removed] = []
        for backup, verdicts in zip(ordered, zip(*verdicts_of, strict=True), strict=True):
            against = [verdict.reason for verdict in verdicts if isinstance(verdict, Removed)]
            if len(verdicts) - len(against) >= needed:
                reasons = [verdict.reasons for verdict in verdicts if isinstance(verdict, Kept)]
                keep.append(Kept(backup, tuple(dict.fromkeys(chain.from_iterable(reasons)))))
            else:
                remove.append(Removed(backup, "; ".join(dict.fromkeys(against))))
        return RetentionPlan(keep=tuple(keep), remove=tuple(remove))


def any_of(*policies: RetentionPolicy) -> Combined:
    """Keep a backup if any of the policies keeps it, for all their reasons.

    A `max_size` among them holds for its own policy only: what another one keeps stays, and counts.
    """
    return Combined(_checked(policies, "any_of"), every=False)


def all_of(*policies: RetentionPolicy) -> Combined:
    """Keep a backup only if all of the policies keep it; but always the pinned and their highest minimum.

    They are asked again about what is left until nothing more goes, so that cleaning twice is no more than once.
    """
    return Combined(_checked(policies, "all_of"), every=True)


def limits_size(policy: RetentionPolicy) -> bool:
    """Whether the policy, or one that it is made of, removes backups to keep to a size."""
    if isinstance(policy, Combined):
        return any(map(limits_size, policy.policies))
    return isinstance(policy, TieredRetention) and policy.max_size is not None


def _checked(policies: tuple[RetentionPolicy, ...], name: str) -> tuple[RetentionPolicy, ...]:
    example = f"{name}(KeepLast(30), KeepWithin(days=90))"
    if not policies:
        raise ConfigurationError(f"{name}() has no policy to ask: name at least one, as in {example}.")
    for policy in policies:
        if isinstance(policy, type) or not callable(getattr(policy, "plan", None)):
            raise ConfigurationError(f"{name}() was given {policy!r}, which is no policy: write {example}.")
    return policies


def _verdicts(plan: RetentionPlan, backups: Sequence[Backup]) -> list[Kept | Removed]:
    """What a plan says of each of the backups, in their order, if it says one thing of each; as `checked` does."""
    verdicts: tuple[Kept | Removed, ...] = (*plan.keep, *plan.remove)
    by_identity = {id(verdict.backup): verdict for verdict in verdicts}
    found = [by_identity.get(id(backup)) for backup in backups]
    if len(by_identity) == len(verdicts) == len(backups) and all(found):
        return cast("list[Kept | Removed]", found)
    checked(plan, backups)  # a policy may give back others that equal them
    by_value = {verdict.backup: verdict for verdict in verdicts}
    return [by_value[backup] for backup in backups]
