from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.health import FutureDated, MaximumAge
from backupkit.model import Problem
from tests.health.states import DATABASES, backup, found, messages


def test_a_good_backup_newer_than_the_maximum_age_is_no_problem() -> None:
    assert found(MaximumAge(days=1), backup(timedelta(hours=23, minutes=59))) == []


def test_a_backup_of_exactly_the_maximum_age_is_too_old() -> None:
    assert len(found(MaximumAge(days=1), backup(timedelta(days=1)))) == 1


def test_days_and_hours_add_up() -> None:
    assert found(MaximumAge(days=1, hours=6), backup(timedelta(hours=29))) == []
    assert len(found(MaximumAge(days=1, hours=6), backup(timedelta(hours=30)))) == 1


def test_a_backup_that_is_too_old_is_named_with_its_age_and_an_unambiguous_time() -> None:
    assert found(MaximumAge(days=1), backup(timedelta(days=2, hours=10))) == [
        Problem(
            message="The newest good backup of files and databases is 2 days 10 hours old, older than the "
            "1 day allowed: 2026-11-20T17-00-00Z of 2026-11-20T17:00:00Z. "
            "Check that runs are started and succeed.",
            severity="error",
            check="MaximumAge",
            destination="/mnt/backup",
        )
    ]


def test_no_backup_at_all_is_said_so() -> None:
    assert messages(MaximumAge(days=1)) == [
        "There is no good backup of files and databases. Check that runs are started and succeed."
    ]


@pytest.mark.parametrize("lost", [{"complete": False}, {"complete": None}, {"damaged": True}])
def test_a_backup_that_is_not_good_does_not_count(lost: dict[str, Any]) -> None:
    assert messages(MaximumAge(days=1), backup(timedelta(hours=1), **lost)) == [
        "There is no good backup of files and databases, only 1 incomplete, unconfirmed or damaged. "
        "Check that runs are started and succeed."
    ]


def test_runs_that_did_not_succeed_since_are_mentioned() -> None:
    [message] = messages(
        MaximumAge(hours=6),
        backup(timedelta(hours=1), complete=False),
        backup(timedelta(hours=4), complete=False),
        backup(timedelta(hours=7)),
        backup(timedelta(hours=9), complete=False),
    )
    assert "7 hours old, older than the 6 hours allowed" in message
    assert "; since then 2 incomplete, unconfirmed or damaged" in message


def test_newer_backups_of_the_databases_alone_do_not_stand_in_for_a_full_one() -> None:
    history = [backup(timedelta(hours=1), contents=DATABASES), backup(timedelta(days=2))]
    assert len(found(MaximumAge(days=1), *history)) == 1
    assert found(MaximumAge(days=1, contents="databases"), *history) == []
    assert "backup of files is 2 days old" in messages(MaximumAge(days=1, contents="files"), *history)[0]


def test_a_full_backup_counts_for_the_databases_in_it() -> None:
    assert found(MaximumAge(days=1, contents="databases"), backup(timedelta(hours=1))) == []


def test_a_backup_dated_in_the_future_does_not_hide_that_no_run_happens() -> None:
    [message] = messages(MaximumAge(days=1), backup(-timedelta(days=365)), backup(timedelta(days=3)))
    assert "is 3 days old" in message


def test_a_backup_dated_in_the_future_is_no_backup_of_now() -> None:
    assert messages(MaximumAge(days=1), backup(-timedelta(days=365))) == [
        "There is no good backup of files and databases. Check that runs are started and succeed."
    ]


def test_a_clock_that_is_ten_minutes_ahead_is_tolerated() -> None:
    ahead, too_far = backup(-timedelta(minutes=10)), backup(-timedelta(minutes=10, microseconds=1))
    assert (found(MaximumAge(days=1), ahead), found(FutureDated(), ahead)) == ([], [])
    assert (len(found(MaximumAge(days=1), too_far)), len(found(FutureDated(), too_far))) == (1, 1)


def test_backups_dated_in_the_future_are_one_warning() -> None:
    history = [
        backup(-timedelta(days=365), contents=DATABASES),
        backup(-timedelta(days=2), complete=False),
        backup(timedelta(hours=1)),
    ]
    assert found(FutureDated(), *history) == [
        Problem(
            message="2 backups are dated in the future, the last 2027-11-23T03-00-00Z of 2027-11-23T03:00:00Z, "
            "while it is now 2026-11-23T03:00:00Z. Correct the clock of the machine that made it, and name a "
            "backup when you restore: latest means this one.",
            severity="warning",
            check="FutureDated",
            destination="/mnt/backup",
        )
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"days": 0},
        {"days": -1, "hours": 48},
        {"hours": float("nan")},
        {"days": float("inf")},
        {"days": "1"},
        {"days": 1, "contents": "everything"},
    ],
)
def test_an_impossible_age_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"MaximumAge\(.*\) is not possible: use"):
        MaximumAge(**settings)


def test_the_largest_possible_age_works() -> None:
    assert found(MaximumAge(days=999_999_999), backup(timedelta(days=3))) == []
