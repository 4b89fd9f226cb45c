from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.health import ProvenWithin, VerifiedWithin
from backupkit.model import Problem
from tests.health.states import DATABASES, backup, found, messages

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_backup_verified_in_time_is_enough() -> None:
    assert found(VerifiedWithin(7), backup(HOUR), backup(3 * DAY, verified=2 * DAY)) == []
    assert found(VerifiedWithin(7), backup(8 * DAY, verified=7 * DAY)) == []


def test_a_verification_too_long_ago_is_told_with_when_it_was() -> None:
    assert found(VerifiedWithin(7), backup(HOUR), backup(30 * DAY, verified=7 * DAY + HOUR)) == [
        Problem(
            message="No backup of files and databases was verified and found whole in the last 7 days; the last "
            "time was 2026-11-16T02:00:00Z. Run verify.",
            severity="error",
            check="VerifiedWithin",
            destination="/mnt/backup",
        )
    ]


def test_that_none_was_ever_verified_is_said_so() -> None:
    [message] = messages(VerifiedWithin(7), backup(HOUR))
    assert "in the last 7 days, or ever. Run verify." in message


def test_damage_that_the_newest_verification_found_is_told() -> None:
    history = [backup(HOUR), backup(DAY, damaged=True), backup(3 * DAY, verified=2 * DAY)]
    assert messages(VerifiedWithin(7), *history) == [
        "The newest backup of files and databases that was verified is damaged: 2026-11-22T03-00-00Z of "
        "2026-11-22T03:00:00Z. Make a new one, verify that, and look at the disk."
    ]


def test_damage_and_that_no_other_was_verified_are_both_told() -> None:
    assert len(found(VerifiedWithin(7), backup(DAY, damaged=True))) == 2


def test_damage_is_told_no_more_once_a_newer_backup_was_verified() -> None:
    assert found(VerifiedWithin(7), backup(HOUR, verified=HOUR), backup(DAY, damaged=True)) == []


def test_a_verification_dated_in_the_future_does_not_count() -> None:
    assert len(found(VerifiedWithin(7), backup(DAY, verified=-365 * DAY))) == 1


def test_a_verified_backup_of_the_databases_does_not_stand_in_for_a_full_one() -> None:
    history = [backup(HOUR, verified=HOUR, contents=DATABASES), backup(DAY)]
    assert len(found(VerifiedWithin(7), *history)) == 1
    assert found(VerifiedWithin(7, contents="databases"), *history) == []


def test_a_backup_proven_in_time_is_enough() -> None:
    assert found(ProvenWithin(30), backup(HOUR), backup(3 * DAY, proven=2 * DAY)) == []


def test_a_drill_too_long_ago_is_told() -> None:
    [problem] = found(ProvenWithin(30), backup(HOUR, verified=HOUR), backup(40 * DAY, proven=31 * DAY))
    assert (problem.check, problem.severity) == ("ProvenWithin", "error")
    assert problem.message == (
        "No backup of files and databases was proven by a drill in the last 30 days; the last time was "
        "2026-10-23T03:00:00Z. Run drill."
    )


def test_that_the_newest_drill_failed_is_told_until_a_newer_backup_passes_one() -> None:
    failed, passed = backup(2 * DAY, refuted=True), backup(3 * DAY, proven=3 * DAY)
    [message] = messages(ProvenWithin(30), failed, passed)
    assert "that had a drill failed it: 2026-11-21T03-00-00Z" in message
    assert found(ProvenWithin(30), backup(HOUR, proven=HOUR), failed, passed) == []


@pytest.mark.parametrize("check", [VerifiedWithin, ProvenWithin])
@pytest.mark.parametrize(
    "settings", [{"days": 0}, {"days": -1}, {"days": "7"}, {"days": 7, "contents": "all"}]
)
def test_impossible_settings_are_refused(check: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible: use"):
        check(**settings)
