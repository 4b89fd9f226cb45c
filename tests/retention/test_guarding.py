"""What stands behind every policy, those of third parties included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
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
    checked,
    guard,
    minimum_of,
)
from backupkit.testing.retention import backups, moments
from tests.retention.histories import DATABASES, NOW, backup

ONE, TWO = backup("2026-11-23"), backup("2026-11-22")


def removing(*history: Backup) -> RetentionPlan:
    return RetentionPlan(remove=tuple(Removed(one, "on a whim") for one in history))


def told(plan: RetentionPlan) -> dict[str, str]:
    return {one.backup.id: "; ".join(one.reasons) for one in plan.keep}


def test_the_guard_keeps_the_newest_good_backup_of_each_contents_and_says_so() -> None:
    full, older = backup("2026-11-23"), backup("2026-11-22")
    incomplete, databases = (
        backup("2026-11-24", complete=False),
        backup("2026-11-21", contents=DATABASES, complete=False),
    )
    plan = RetentionPlan(
        keep=(Kept(incomplete, ("why not",)),),
        remove=tuple(Removed(one, "on a whim") for one in (full, older, databases)),
    )
    against = "kept against the policy, which says: on a whim"
    assert guard(plan, now=NOW) == RetentionPlan(
        keep=(
            Kept(incomplete, ("why not",)),
            Kept(full, ("newest good backup of files and databases", against)),
            Kept(databases, ("newest backup of databases", against)),
        ),
        remove=(Removed(older, "on a whim"),),
    )


def test_the_guard_keeps_what_is_pinned_as_long_as_the_pin_holds() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    history = [
        backup("2026-11-23"),
        backup("2026-11-05", pin=Pin(reason="before the migration")),
        backup("2026-11-04", pin=Pin(reason="audit", until=noon.replace(hour=13))),
        backup("2026-11-03", pin=Pin(reason="audit", until=noon)),
        backup("2026-11-02"),
    ]
    plan = guard(removing(*history), now=noon)
    assert told(plan) == {
        "2026-11-23T00:00": "newest good backup of files and databases; "
        "kept against the policy, which says: on a whim",
        "2026-11-05T00:00": "pinned: before the migration; kept against the policy, which says: on a whim",
        "2026-11-04T00:00": "pinned until 2026-11-23T13:00Z: audit; "
        "kept against the policy, which says: on a whim",
    }
    assert [one.backup.id for one in plan.remove] == ["2026-11-03T00:00", "2026-11-02T00:00"]


def test_the_guard_keeps_as_many_good_ones_as_the_minimum_says_and_others_if_there_are_too_few() -> None:
    history = [
        backup("2026-11-23", complete=False),
        backup("2026-11-22"),
        backup("2026-11-21", damaged=True),
        backup("2026-11-20"),
        backup("2026-11-19"),
        backup("2026-11-18T06:00", contents=DATABASES, complete=False),
        backup("2026-11-18", contents=DATABASES),
        backup("2026-11-17", contents=DATABASES, complete=None),
    ]
    plan = guard(removing(*history), now=NOW, minimum=2)
    assert {id_: reasons.partition("; ")[0] for id_, reasons in told(plan).items()} == {
        "2026-11-22T00:00": "newest good backup of files and databases",
        "2026-11-20T00:00": "one of the 2 newest good backups of files and databases",
        "2026-11-18T06:00": "fewer than 2 backups of databases are good",
        "2026-11-18T00:00": "newest good backup of databases",
    }


def test_the_guard_lets_no_backup_dated_in_the_future_stand_in_for_the_newest_good_one() -> None:
    history = [backup("2036-01-01"), backup("2026-11-22"), backup("2026-11-21")]
    assert [*told(guard(removing(*history), now=NOW))] == ["2036-01-01T00:00", "2026-11-22T00:00"]


def test_the_guard_leaves_a_plan_that_keeps_them_as_it_is() -> None:
    plan = RetentionPlan(
        keep=(Kept(backup("2026-11-23"), ("good",)),), remove=(Removed(backup("2026-11-22"), "old"),)
    )
    assert guard(plan, now=NOW) is plan


@given(moments(), st.data())
def test_the_guard_has_nothing_to_do_behind_a_built_in_policy(now: datetime, data: st.DataObject) -> None:
    history = data.draw(backups(now))
    policies: Sequence[RetentionPolicy] = (
        KeepAll(),
        KeepLast(1),
        KeepWithin(hours=1, minimum=3),
        TieredRetention(0, 0, 0, 0, 0, max_size=0, minimum=2),
        CountedRetention(last=1, minimum=2),
        any_of(KeepLast(1), KeepWithin(hours=1, minimum=2)),
        all_of(KeepLast(1), KeepWithin(hours=1, minimum=2)),
    )
    for policy in policies:
        plan = policy.plan(history, now=now)
        assert guard(plan, now=now, minimum=minimum_of(policy)) is checked(plan, history)


def test_a_policy_without_a_minimum_has_one_of_one() -> None:
    class Theirs:
        minimum = 0

        def plan(self, backups: Sequence[Backup], *, now: datetime) -> RetentionPlan:
            raise NotImplementedError

    assert [minimum_of(one) for one in (KeepLast(5), TieredRetention(minimum=4), Theirs())] == [1, 4, 1]


@pytest.mark.parametrize(
    ("plan", "mistake"),
    [
        (RetentionPlan(keep=(Kept(ONE, ("new",)),)), "leaves out 2026-11-22T00:00"),
        (
            RetentionPlan(keep=(Kept(ONE, ("new",)), Kept(TWO, ("new",))), remove=(Removed(TWO, "old"),)),
            "names 2026-11-22T00:00 more than once",
        ),
        (
            RetentionPlan(keep=(Kept(ONE, ("new",)), Kept(ONE, ("new",)))),
            "leaves out 2026-11-22T00:00",
        ),
        (
            RetentionPlan(
                keep=(Kept(ONE, ("new",)), Kept(TWO, ("new",))),
                remove=(Removed(backup("1999-01-01"), "old"),),
            ),
            "names 1999-01-01T00:00 which it was not given",
        ),
        (
            RetentionPlan(keep=(Kept(ONE, ("new",)), Kept(replace(TWO, complete=False), ("new",)))),
            "leaves out 2026-11-22T00:00",
        ),
    ],
)
def test_a_plan_that_does_not_name_each_backup_exactly_once_is_refused(
    plan: RetentionPlan, mistake: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{mistake}, so nothing was removed"):
        checked(plan, [ONE, TWO])


@pytest.mark.parametrize("two", [TWO, replace(TWO)], ids=["the same", "an equal one"])
def test_a_plan_that_names_each_backup_exactly_once_passes(two: Backup) -> None:
    plan = RetentionPlan(keep=(Kept(ONE, ("new",)),), remove=(Removed(two, "old"),))
    assert checked(plan, [TWO, ONE]) is plan


def test_whether_a_plan_is_refused_does_not_hang_on_which_of_two_equal_backups_it_names() -> None:
    chance = Random(1)
    for _ in range(300):
        given = [chance.choice((ONE, TWO, replace(ONE))) for _ in range(chance.randrange(4))]
        planned = [chance.choice((ONE, TWO, replace(ONE))) for _ in range(chance.randrange(4))]
        plan = removing(*planned)
        if sorted(one.id for one in given) == sorted(one.id for one in planned):
            assert checked(plan, given) is plan
        else:
            with pytest.raises(ConfigurationError):
                checked(plan, given)
