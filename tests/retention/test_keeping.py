"""The simple policies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from backupkit.errors import ConfigurationError
from backupkit.model import Pin
from backupkit.retention import KeepAll, KeepLast, KeepWithin
from tests.retention.histories import DATABASES, FILES, NOW, backup, kept, reasons, zone


def test_keep_all_keeps_the_oldest_and_the_damaged() -> None:
    assert kept(KeepAll(), [backup("1999-01-01"), backup("2026-11-20", damaged=True)]) == [
        "2026-11-20T00:00",
        "1999-01-01T00:00",
    ]


def test_keep_last_keeps_the_newest_good_ones_and_whatever_is_newer_than_the_oldest_of_them() -> None:
    history = [
        backup("2026-11-22", complete=False),
        backup("2026-11-21"),
        backup("2026-11-20", complete=None),
        backup("2026-11-19"),
        backup("2026-11-18", complete=False),
        backup("2026-11-17"),
    ]
    assert reasons(KeepLast(2), history) == {
        "2026-11-22T00:00": "newer than one of the 2 newest good",
        "2026-11-21T00:00": "one of the 2 newest good",
        "2026-11-20T00:00": "newer than one of the 2 newest good",
        "2026-11-19T00:00": "one of the 2 newest good",
        "2026-11-18T00:00": "older than the 2 newest good",
        "2026-11-17T00:00": "older than the 2 newest good",
    }


def test_keep_last_of_a_series_without_a_good_backup_keeps_its_newest() -> None:
    history = [backup("2026-11-22", complete=False), backup("2026-11-21", damaged=True)]
    assert reasons(KeepLast(1), history) == {
        "2026-11-22T00:00": "the newest",
        "2026-11-21T00:00": "older than the newest",
    }


def test_where_there_are_fewer_good_ones_the_newest_others_make_up_for_them() -> None:
    history = [
        backup("2026-11-22"),
        backup("2026-11-21", complete=None),
        backup("2026-11-20", complete=False),
        backup("2026-11-19", complete=None),
    ]
    assert reasons(KeepLast(3), history) == {
        "2026-11-22T00:00": "one of the 3 newest good",
        "2026-11-21T00:00": "fewer than 3 are good",
        "2026-11-20T00:00": "fewer than 3 are good",
        "2026-11-19T00:00": "older than the 3 newest",
    }


def test_keep_last_counts_each_contents_by_itself() -> None:
    history = [
        backup("2026-11-22T18:00", contents=DATABASES),
        backup("2026-11-22T12:00", contents=DATABASES),
        backup("2026-11-22T03:00"),
        backup("2026-11-21T03:00"),
        backup("2026-11-15T03:00", contents=FILES),
    ]
    assert kept(KeepLast(1), history) == ["2026-11-22T18:00", "2026-11-22T03:00", "2026-11-15T03:00"]


def test_keep_last_does_not_let_a_wrong_clock_push_out_the_real_newest_backup() -> None:
    history = [backup("2036-01-01"), backup("2026-11-22"), backup("2026-11-21")]
    assert reasons(KeepLast(1), history) == {
        "2036-01-01T00:00": "dated in the future",
        "2026-11-22T00:00": "the newest good",
        "2026-11-21T00:00": "older than the newest good",
    }


def test_of_two_backups_of_the_same_time_the_greater_id_is_the_newer() -> None:
    history = [backup("2026-11-22", id="b"), backup("2026-11-22", id="c"), backup("2026-11-22", id="a")]
    assert kept(KeepLast(2), history) == ["c", "b"]


def test_both_passes_of_a_repeated_hour_are_ordered_as_they_happened() -> None:
    berlin = zone("Europe/Berlin")
    first = backup(datetime(2026, 10, 25, 2, 40, tzinfo=berlin, fold=0))
    second = backup(datetime(2026, 10, 25, 2, 20, tzinfo=berlin, fold=1))
    assert kept(KeepLast(1), [first, second]) == [second.id]


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "3", None])
def test_keep_last_of_nothing_is_refused(count: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"KeepLast\(count=.*\) is not possible: use a whole number"):
        KeepLast(count)


def test_what_is_pinned_stays_and_is_counted_where_it_stands() -> None:
    pin = Pin(reason="before the migration", until=NOW + timedelta(days=1))
    history = [backup("2026-11-22"), backup("2026-11-21", pin=pin), backup("2026-11-20", pin=pin)]
    told = "pinned until 2026-11-24T12:00Z: before the migration"
    assert reasons(KeepLast(2), history) == {
        "2026-11-22T00:00": "one of the 2 newest good",
        "2026-11-21T00:00": f"{told}, one of the 2 newest good",
        "2026-11-20T00:00": told,
    }
    assert kept(KeepLast(2), history, NOW + timedelta(days=1)) == ["2026-11-22T00:00", "2026-11-21T00:00"]


# ---- KeepWithin


def test_keep_within_is_measured_from_the_newest_good_backup_of_its_contents() -> None:
    history = [
        backup("2026-11-12", complete=False),
        backup("2026-11-10"),
        backup("2026-11-09T22:00"),
        backup("2026-11-09T21:59"),
        backup("2026-10-02", contents=DATABASES),
        backup("2026-10-01", contents=DATABASES),
    ]
    assert reasons(KeepWithin(hours=2), history) == {
        "2026-11-12T00:00": "newer than the newest good one",
        "2026-11-10T00:00": "newest good backup of files and databases",
        "2026-11-09T22:00": "within 2 hours of the newest good one",
        "2026-11-09T21:59": "more than 2 hours older than the newest good one",
        "2026-10-02T00:00": "newest good backup of databases",
        "2026-10-01T00:00": "more than 2 hours older than the newest good one",
    }


def test_cleaning_on_while_no_run_happens_does_not_empty_the_store() -> None:
    history = [backup(f"2026-11-{day}") for day in (22, 21, 20, 19, 18)]
    policy = KeepWithin(days=2)
    for days in (0, 30, 3000):
        assert len(kept(policy, history, NOW + timedelta(days=days))) == 3


def test_keep_within_is_not_measured_from_a_backup_dated_in_the_future() -> None:
    history = [backup("2036-01-01"), backup("2026-11-22"), backup("2026-11-21"), backup("2026-11-15")]
    assert reasons(KeepWithin(weeks=0.5), history) == {
        "2036-01-01T00:00": "dated in the future, newest good backup of files and databases",
        "2026-11-22T00:00": "newest good backup of files and databases",
        "2026-11-21T00:00": "within 0.5 weeks of the newest good one",
        "2026-11-15T00:00": "more than 0.5 weeks older than the newest good one",
    }


def test_keep_within_is_measured_from_the_newest_if_none_is_good_and_keeps_the_minimum() -> None:
    history = [backup(f"2026-11-{day}", complete=False) for day in (22, 21, 20, 12)]
    assert reasons(KeepWithin(days=1, hours=1, minimum=3), history) == {
        "2026-11-22T00:00": "newest backup of files and databases",
        "2026-11-21T00:00": "within 1 day and 1 hour of the newest, "
        "fewer than 3 backups of files and databases are good",
        "2026-11-20T00:00": "fewer than 3 backups of files and databases are good",
        "2026-11-12T00:00": "more than 1 day and 1 hour older than the newest",
    }


def test_keep_within_may_reach_back_before_the_calendar() -> None:
    assert len(kept(KeepWithin(days=365_000), [backup("0900-01-01"), backup("0100-01-01")])) == 2


@pytest.mark.parametrize(
    "span",
    [{}, {"days": 0}, {"days": -1, "weeks": 1}, {"hours": "7"}, {"days": float("nan")}, {"weeks": 10**9}],
)
def test_an_impossible_span_is_refused(span: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"KeepWithin\(days=.*\) is not possible: use numbers"):
        KeepWithin(**span)


def test_a_minimum_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"KeepWithin\(minimum=0\) is not possible"):
        KeepWithin(days=1, minimum=0)
