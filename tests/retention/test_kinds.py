from __future__ import annotations

from datetime import timedelta

import pytest

from backupkit.model import Pin, Removed, RetentionPlan
from backupkit.protocols import RetentionPolicy
from backupkit.retention import CountedRetention, KeepLast, KeepWithin, TieredRetention, any_of, guard
from backupkit.retention.kinds import in_general, kind_of
from tests.retention.histories import NOW, backup


@pytest.mark.parametrize(
    ("reason", "label"),
    [
        ("newer than 7 days", "newer than 7 days"),
        ("within 7 days of the newest good one", "within 7 days of the newest good one"),
        ("newest of 2026-11-23 14h (hourly 2 of 24)", "newest of an hour"),
        ("newest good one of 2026-11-23 14h (hourly 1 of 24)", "newest of an hour"),
        ("newest of 2026-11-23", "newest of a day"),
        ("newest good one of 2026-11-23", "newest of a day"),
        ("newest of week 2026-W45", "newest of a week"),
        ("newest of 2026-11", "newest of a month"),
        ("newest of 2026-11 (monthly 1 of 12)", "newest of a month"),
        ("newest of 2026", "newest of a year"),
        ("newest of 2026 (yearly 2 of 5)", "newest of a year"),
        ("newest good backup of files and databases", "newest of its contents, which always stays"),
        ("newest backup of files", "newest of its contents, which always stays"),
        ("the oldest (yearly 4 of 5)", "the oldest"),
        ("dated in the future", "dated in the future"),
        (
            "one of the 3 newest good backups of files and databases",
            "newest of its contents, which always stays",
        ),
        ("fewer than 3 backups of files are good", "newest of its contents, which always stays"),
        ("pinned until 2026-11-23T00:00Z: the audit of 2025", "pinned"),
        ("one of the 30 newest good", "one of the 30 newest good"),
        ("because of 2026 reasons", "because of 2026 reasons"),
    ],
)
def test_a_reason_is_of_the_kind_that_it_says(reason: str, label: str) -> None:
    assert kind_of([reason, "newer than all else"]).label == label


def test_what_is_known_differs_in_rank_and_the_rest_has_none() -> None:
    known = ("newer than 7 days", "newest of 2026-11-23", "newest of 2026", "pinned: an audit")
    assert len({kind_of([reason]).rank for reason in known}) == len(known)
    assert kind_of(["every backup is kept"]).rank == 0
    assert kind_of([]).rank == 0


def test_of_several_reasons_the_one_that_holds_longest_counts() -> None:
    reasons = ["newest of 2026-11-23", "newest of 2026 (yearly 1 of 5)", "newest of 2026-11", "odd"]
    assert kind_of(reasons).label == "newest of a year"


def test_a_reason_in_general_leaves_out_its_period() -> None:
    assert in_general("not the newest of 2026-11-23") == "not the newest of a day"
    assert in_general("not the newest of week 2026-W45") == "not the newest of a week"
    assert in_general("not the newest of 2026-11-23 14h") == "not the newest of an hour"
    assert in_general("older than all tiers") == "older than all tiers"


ALWAYS = "newest of its contents, which always stays"
PERIODS = {"newest of a day", "newest of a week", "newest of a month", "newest of a year"}
HISTORY = [backup(NOW - timedelta(hours=9 * number), complete=number % 5 > 0) for number in range(4000)]


@pytest.mark.parametrize(
    ("policy", "labels"),
    [
        (TieredRetention(7, 30, 12, 12, 2, minimum=20), PERIODS | {"newer than 7 days", ALWAYS}),
        (
            CountedRetention(hourly=9, daily=9, weekly=9, monthly=9, yearly=9),
            PERIODS | {"newest of an hour", "the oldest", ALWAYS},
        ),
        (KeepLast(9), {"one of the 9 newest good", "newer than one of the 9 newest good"}),
        (
            KeepWithin(days=9),
            {"within 9 days of the newest good one", "newer than the newest good one", ALWAYS},
        ),
        (
            any_of(KeepLast(1), KeepWithin(days=99)),
            {"within 99 days of the newest good one", "newer than the newest good", ALWAYS},
        ),
    ],
    ids=["tiers", "counts", "last", "within", "any of"],
)
def test_what_the_policies_say_is_of_few_kinds(policy: RetentionPolicy, labels: set[str]) -> None:
    said = [kept.reasons for kept in policy.plan(HISTORY, now=NOW).keep]
    assert {kind_of(reasons).label for reasons in said} == labels


def test_what_the_guard_saved_is_of_the_kind_that_saved_it_whatever_the_policy_said() -> None:
    history = [
        backup("2026-11-22"),
        backup("2026-01-01", pin=Pin(reason="newest of 2026", until=NOW + timedelta(1))),
    ]
    plan = guard(RetentionPlan(remove=tuple(Removed(one, "newest of 2026") for one in history)), now=NOW)
    assert [kind_of(kept.reasons).label for kept in plan.keep] == [ALWAYS, "pinned"]
