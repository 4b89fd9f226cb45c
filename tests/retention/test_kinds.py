from __future__ import annotations

import pytest

from backupkit.retention.kinds import in_general, kind_of


@pytest.mark.parametrize(
    ("reason", "label"),
    [
        ("newer than 7 days", "newer than 7 days"),
        ("within 7 days of the newest good one", "within 7 days of the newest good one"),
        ("newest of 2026-11-23T14", "newest of an hour"),
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
        ("one of the 3 newest backups that always stay", "newest of its contents, which always stays"),
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
