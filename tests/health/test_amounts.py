from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.health import MaximumStorage, MinimumCount, MinimumSize
from backupkit.model import Problem
from tests.health.states import DATABASES, backup, days, found, messages


def test_the_storage_of_all_backups_together_is_limited() -> None:
    full, databases = backup(timedelta(0), stored=40 * 10**9), backup(timedelta(1), stored=10 * 10**9 + 1)
    assert found(MaximumStorage("50GB"), full, databases) == [
        Problem(
            message="The backups occupy 50 GB, 1 B more than the 50 GB allowed. "
            "Clean, keep fewer, or allow more.",
            severity="error",
            check="MaximumStorage",
            destination="/mnt/backup",
        )
    ]


def test_storage_of_exactly_the_limit_is_allowed() -> None:
    assert found(MaximumStorage(1000), backup(timedelta(0), stored=1000)) == []


def test_an_impossible_storage_limit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'lots' is not a size"):
        MaximumStorage("lots")


# MinimumCount


def test_as_many_good_backups_as_wanted_are_no_problem() -> None:
    assert found(MinimumCount(3), *days([1, 1, 1])) == []


def test_fewer_good_backups_than_wanted_are_counted() -> None:
    assert found(MinimumCount(3), *days([1, 1])) == [
        Problem(
            message="There are 2 good backups of files and databases, fewer than the 3 wanted. Check that runs "
            "succeed, that the retention policy keeps as many, and that nobody else deletes.",
            severity="error",
            check="MinimumCount",
            destination="/mnt/backup",
        )
    ]


def test_backups_that_are_not_good_are_counted_by_themselves() -> None:
    lossy = [backup(timedelta(hours=1), complete=False), backup(timedelta(hours=2), damaged=True)]
    [message] = messages(MinimumCount(2), *days([1]), *lossy)
    assert message.startswith(
        "There is 1 good backup of files and databases, and 2 incomplete, unconfirmed or damaged, fewer"
    )


def test_a_full_backup_counts_for_the_databases_and_not_the_other_way() -> None:
    history = [*days([1]), *days([1, 1], DATABASES)]
    assert found(MinimumCount(3, contents="databases"), *history) == []
    assert "is 1 good backup of files and databases" in messages(MinimumCount(2), *history)[0]


# MinimumSize


def test_the_newest_good_backup_must_have_the_minimum_size() -> None:
    assert found(MinimumSize("1kB"), *days([1, 1000])) == []
    assert found(MinimumSize("1kB"), *days([1000, 999])) == [
        Problem(
            message="The newest good backup of files and databases occupies 999 B, less than the 1 kB wanted: "
            "2026-11-23T03-00-00Z of 2026-11-23T03:00:00Z. Look for what is missing from it.",
            severity="error",
            check="MinimumSize",
            destination="/mnt/backup",
        )
    ]


def test_a_large_backup_that_is_not_good_or_from_the_future_does_not_hide_a_small_one() -> None:
    others = [
        backup(-timedelta(days=1), stored=5000),
        backup(timedelta(0), stored=5000, complete=False),
    ]
    assert len(found(MinimumSize("1kB"), *others, backup(timedelta(hours=1), stored=1))) == 1


def test_the_size_of_a_full_backup_says_nothing_about_one_of_the_databases_alone() -> None:
    history = [*days([5000]), *days([10, 10], DATABASES)]
    assert found(MinimumSize("1kB"), *history) == []
    [message] = messages(MinimumSize("1kB", contents="databases"), *history)
    assert message.startswith("The newest good backup of databases alone occupies 10 B")


def test_where_there_is_no_good_backup_none_is_large_enough() -> None:
    [message] = messages(MinimumSize("1kB"), backup(timedelta(0), stored=5000, damaged=True))
    assert message.startswith(
        "There is no good backup of files and databases that could have the 1 kB wanted."
    )


@pytest.mark.parametrize(
    ("check", "settings"),
    [
        (MinimumCount, {"count": 0}),
        (MinimumCount, {"count": True}),
        (MinimumCount, {"count": 1.5}),
        (MinimumCount, {"count": 1, "contents": "everything"}),
        (MinimumSize, {"size": 0}),
        (MinimumSize, {"size": "much"}),
        (MinimumSize, {"size": 1, "contents": "everything"}),
    ],
)
def test_an_impossible_minimum_is_refused(check: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="use "):
        check(**settings)
