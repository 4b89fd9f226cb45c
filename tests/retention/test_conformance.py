"""What holds for every policy, by the public conformance class; and that the class notices who breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import cast

import pytest

from backupkit.model import Backup, Kept, Pin, Removed, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention import (
    CountedRetention,
    KeepAll,
    KeepLast,
    KeepWithin,
    TieredRetention,
    all_of,
    any_of,
    guard,
)
from backupkit.testing.retention import RetentionPolicyTests
from tests.retention.histories import NOW, backup, zone


class TestKeepAll(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return KeepAll()


class TestKeepLast(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return KeepLast(3)


class TestKeepWithin(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return KeepWithin(days=2, hours=3, minimum=2)


class TestTieredRetention(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention()


class TestTieredRetentionWithASizeLimit(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention(keep_all_days=2, max_size="5TB", minimum=3)


class TestTieredRetentionOfNothing(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return TieredRetention(0, 0, 0, 0, 0, max_size=0)


class TestTieredRetentionElsewhere(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        zone("Asia/Seoul")
        return TieredRetention(1, 3, 2, 12, 5, time_zone="Asia/Seoul")


class TestCountedRetention(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return CountedRetention(last=2, hourly=3, daily=4, weekly=3, monthly=4, yearly=2, minimum=2)


class TestCountedRetentionOnce(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return CountedRetention(hourly=2, daily=3, weekly=2, monthly=3, yearly=2, once=True)


class TestAnyOf(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return any_of(
            KeepWithin(days=2), CountedRetention(weekly=3, minimum=2), TieredRetention(max_size="2TB")
        )


class TestAllOf(RetentionPolicyTests):
    def make_policy(self) -> RetentionPolicy:
        return all_of(
            CountedRetention(daily=9, monthly=9), any_of(KeepLast(9), TieredRetention(2, minimum=2))
        )


class ForgetsTheOldest:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return KeepAll().plan(sorted(backups, key=lambda one: one.time)[1:], now=now)


class GivesNoReason:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(keep=tuple(Kept(one, ()) for one in backups))


class RemovesAll:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return RetentionPlan(remove=tuple(Removed(one, "on a whim") for one in backups))


class SaysOneMoreThanItKeeps:
    minimum = 2

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return KeepLast(1).plan(backups, now=now)


class OverlooksPins:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        plan = KeepLast(1).plan([replace(one, pin=None) for one in backups], now=now)
        known = {one.id: one for one in backups}
        return RetentionPlan(
            keep=tuple(Kept(known[one.backup.id], one.reasons) for one in plan.keep),
            remove=tuple(Removed(known[one.backup.id], one.reason) for one in plan.remove),
        )


class TrustsTheOrder:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        kept = tuple(Kept(one, (f"number {number}",)) for number, one in enumerate(backups))
        return RetentionPlan(keep=kept)


class KeepsHalf:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        return KeepLast(max(1, len(backups) // 2)).plan(backups, now=now)


class KeepsAtMostThree:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        few = KeepAll() if len(backups) <= 3 else KeepLast(1)
        return few.plan(backups, now=now)


class Empties:
    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        plan = KeepAll().plan(backups, now=now)
        cast("list[Backup]", backups).clear()
        return plan


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        (ForgetsTheOldest(), "test_every_backup_stands_in_exactly_one_half"),
        (GivesNoReason(), "test_every_backup_has_a_reason"),
        (RemovesAll(), "test_the_newest_good_backups_of_each_contents_stay"),
        (SaysOneMoreThanItKeeps(), "test_the_newest_good_backups_of_each_contents_stay"),
        (OverlooksPins(), "test_pinned_backups_stay"),
        (KeepsAtMostThree(), "test_one_more_backup_removes_no_newer_good_one"),
        (TrustsTheOrder(), "test_the_order_of_the_input_does_not_matter"),
        (KeepsHalf(), "test_planning_again_after_removal_removes_nothing"),
        (Empties(), "test_the_input_is_left_as_it_was"),
    ],
)
def test_a_policy_that_breaks_a_rule_is_caught(policy: RetentionPolicy, rule: str) -> None:
    class Tests(RetentionPolicyTests):
        def make_policy(self) -> RetentionPolicy:
            return policy

    pins = {20: Pin(reason="year end")}
    history = [backup(f"2026-11-{day}", pin=pins.get(day)) for day in (23, 22, 21, 20)]
    chance = [Random(1)] if rule.endswith(("does_not_matter", "newer_good_one")) else []
    # The body alone, with one history: what is shown is that it notices, not that Hypothesis finds histories.
    body = getattr(Tests, rule).hypothesis.inner_test
    with pytest.raises(AssertionError):
        body(Tests(), (history, NOW), *chance)


def test_behind_the_guard_any_policy_keeps_what_must_stay() -> None:
    class Guarded(RetentionPolicyTests):
        def make_policy(self) -> RetentionPolicy:
            return RemovesAll()

        def plan(self, backups: Sequence[Backup], now: datetime) -> RetentionPlan:
            return guard(super().plan(backups, now), now=now)

    Guarded().test_the_newest_good_backups_of_each_contents_stay()
    Guarded().test_pinned_backups_stay()
