from __future__ import annotations

from datetime import timedelta

import pytest

from backupkit.errors import ConfigurationError
from backupkit.health import Leftovers
from backupkit.model import Problem, StoredObject
from tests.health.states import NOW, found


def leftover(name: str, age: timedelta, size: int = 1000) -> StoredObject:
    return StoredObject(name=f"shop/.{name}.partial", size=size, modified=NOW - age)


def test_leftovers_are_one_warning_with_their_number_bytes_and_the_oldest() -> None:
    left = [
        leftover("a", timedelta(days=2)),
        leftover("b", timedelta(days=9)),
        leftover("c", timedelta(1), 1),
    ]
    assert found(Leftovers(), leftovers=left) == [
        Problem(
            message="2 unfinished objects, left by killed runs, are older than 1 day and occupy 2 kB: the oldest "
            "is shop/.b.partial of 2026-11-14T03:00:00Z. Clean, which deletes them, and look for what kills the "
            "runs.",
            severity="warning",
            check="Leftovers",
            destination="/mnt/backup",
        )
    ]


def test_a_single_leftover_is_named() -> None:
    [problem] = found(Leftovers(), leftovers=[leftover("a", timedelta(days=2))])
    assert problem.message.startswith(
        "1 unfinished object, left by a killed run, is older than 1 day and occupies 1 kB: shop/.a.partial of "
    )


def test_what_a_run_under_way_may_be_writing_is_none() -> None:
    assert found(Leftovers(), leftovers=[leftover("a", timedelta(hours=24))]) == []


def test_the_age_can_be_chosen() -> None:
    left = [leftover("a", timedelta(hours=3))]
    assert len(found(Leftovers(older_than=timedelta(hours=2)), leftovers=left)) == 1


@pytest.mark.parametrize("older_than", [timedelta(seconds=-1), 24, None])
def test_an_impossible_age_is_refused(older_than: timedelta) -> None:
    with pytest.raises(ConfigurationError, match="use a timedelta"):
        Leftovers(older_than=older_than)
