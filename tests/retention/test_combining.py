"""Several policies as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Kept, Pin, Removed, RetentionPlan
from backupkit.protocols import KeepsMinimum, RetentionPolicy
from backupkit.retention import (
    CountedRetention,
    KeepAll,
    KeepLast,
    KeepWithin,
    TieredRetention,
    all_of,
    any_of,
    limits_size,
    minimum_of,
)
from tests.retention.histories import DATABASES, NOW, backup, kept, reasons

HISTORY = [backup(f"2026-11-{day}") for day in (22, 21, 20, 19, 18)]


class Named:
    """Keeps the days it is given, in values of its own."""

    def __init__(self, *days: int) -> None:
        self.days = days

    def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
        copies = [replace(one) for one in backups]
        return RetentionPlan(
            keep=tuple(Kept(one, ("a fine day",)) for one in copies if one.time.day in self.days),
            remove=tuple(Removed(one, "no day") for one in copies if one.time.day not in self.days),
        )


def test_any_of_keeps_what_any_keeps_for_all_their_reasons() -> None:
    policy = any_of(KeepLast(2), KeepWithin(days=2), Named(21, 18))
    assert reasons(policy, HISTORY) == {
        "2026-11-22T00:00": "one of the 2 newest good, newest good backup of files and databases",
        "2026-11-21T00:00": "one of the 2 newest good, within 2 days of the newest good one, a fine day",
        "2026-11-20T00:00": "within 2 days of the newest good one",
        "2026-11-19T00:00": "older than the 2 newest good; more than 2 days older than the newest good one; no day",
        "2026-11-18T00:00": "a fine day",
    }


def test_all_of_keeps_only_what_all_keep() -> None:
    policy = all_of(KeepLast(4), Named(22, 20, 18), KeepWithin(days=3))
    assert reasons(policy, HISTORY) == {
        "2026-11-22T00:00": "one of the 4 newest good, a fine day, newest good backup of files and databases",
        "2026-11-21T00:00": "no day",
        "2026-11-20T00:00": "one of the 4 newest good, a fine day, within 3 days of the newest good one",
        "2026-11-19T00:00": "no day",
        "2026-11-18T00:00": "older than the 4 newest good; more than 3 days older than the newest good one",
    }


def test_all_of_keeps_the_highest_minimum_and_the_pinned_whoever_would_remove_them() -> None:
    history = [*HISTORY[:4], replace(HISTORY[4], pin=Pin(reason="audit"))]
    policy = all_of(KeepLast(5), Named(19), CountedRetention(last=1, minimum=2))
    assert kept(policy, history) == ["2026-11-22T00:00", "2026-11-21T00:00", "2026-11-18T00:00"]
    assert reasons(policy, history)["2026-11-18T00:00"] == (
        "pinned: audit, kept against the policy, which says: no day"
    )


@pytest.mark.parametrize("combine", [any_of, all_of])
def test_the_minimum_is_the_highest_of_the_members(combine: Callable[..., RetentionPolicy]) -> None:
    policy = combine(
        KeepAll(), KeepWithin(days=1, minimum=2), any_of(TieredRetention(minimum=4), KeepLast(9))
    )
    assert isinstance(policy, KeepsMinimum)
    assert (policy.minimum, minimum_of(policy)) == (4, 4)
    assert minimum_of(combine(KeepLast(9))) == 1


def test_the_contents_stay_series_of_their_own() -> None:
    history = [*HISTORY, *(backup(f"2026-11-23T{hour:02}:00", contents=DATABASES) for hour in range(9))]
    assert kept(all_of(KeepLast(2), KeepWithin(days=9)), history) == [
        "2026-11-23T08:00",
        "2026-11-23T07:00",
        "2026-11-22T00:00",
        "2026-11-21T00:00",
    ]


def test_all_of_asks_again_about_what_is_left_until_nothing_goes() -> None:
    # The first time KeepLast counts the 18th, and keeps what is newer; which is removed by the other.
    lossy = [backup(f"2026-11-{day}", complete=False) for day in (21, 19)]
    policy = all_of(KeepLast(2), Named(22, 21, 19))
    plan = policy.plan([HISTORY[0], *lossy, backup("2026-11-18")], now=NOW)
    assert [(one.backup.id, one.reason) for one in plan.remove] == [
        ("2026-11-19T00:00", "older than the 2 newest"),
        ("2026-11-18T00:00", "no day"),
    ]
    assert [one.backup.id for one in plan.keep] == ["2026-11-22T00:00", "2026-11-21T00:00"]


def test_what_a_size_limit_removes_stays_if_another_policy_keeps_it() -> None:
    small = TieredRetention(max_size=1)
    assert len(kept(any_of(small, KeepLast(3)), HISTORY)) == 3
    assert len(kept(all_of(small, KeepLast(3)), HISTORY)) == 1


def test_a_member_that_forgets_a_backup_is_refused() -> None:
    class Forgets:
        def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
            return KeepAll().plan(backups[1:], now=now)

    with pytest.raises(ConfigurationError, match="leaves out 2026-11-22T00:00, so nothing was removed"):
        any_of(KeepAll(), Forgets()).plan(HISTORY, now=NOW)


def test_a_size_limit_is_found_however_deep_it_stands() -> None:
    limited = TieredRetention(max_size="50GB")
    assert limits_size(any_of(KeepLast(3), all_of(KeepAll(), limited)))
    assert not limits_size(any_of(KeepLast(3), all_of(KeepAll(), TieredRetention())))


@pytest.mark.parametrize("combine", [any_of, all_of])
@pytest.mark.parametrize("members", [(KeepLast,), (KeepLast(3), None), ([KeepAll()],), ("KeepAll",)])
def test_what_is_no_policy_is_refused(combine: Callable[..., RetentionPolicy], members: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{combine.__name__}\(\) was given .*, which is no policy"):
        combine(*members)


@pytest.mark.parametrize("combine", [any_of, all_of])
def test_no_policy_at_all_is_refused(combine: Callable[..., RetentionPolicy]) -> None:
    with pytest.raises(ConfigurationError, match=rf"{combine.__name__}\(\) has no policy to ask"):
        combine()


def test_combined_policies_are_values_and_show_what_they_are_made_of() -> None:
    policy = any_of(KeepAll(), all_of(KeepLast(3)))
    assert repr(policy) == "any_of(KeepAll(), all_of(KeepLast(count=3)))"
    assert policy == any_of(KeepAll(), all_of(KeepLast(3)))
    assert policy != all_of(KeepAll(), all_of(KeepLast(3)))
