"""How the backups at a destination stand, in a few numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backupkit.model import Backup, Contents, Problem, SeriesSummary
from backupkit.summaries import summarised
from backupkit.testing.retention import backups

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FULL: frozenset[Contents] = frozenset({"files", "databases"})
DATABASES: frozenset[Contents] = frozenset({"databases"})
FILES: frozenset[Contents] = frozenset({"files"})


def backup(days: float, stored: int, **more: Any) -> Backup:
    time = NOW - timedelta(days=days)
    settings: dict[str, Any] = {"contents": FULL, "complete": True, **more}
    return Backup(
        id=f"{time:%Y-%m-%dT%H-%M-%SZ}", name="shop", time=time, location="here", stored=stored, **settings
    )


def series(*backups: Backup) -> SeriesSummary:
    [only] = summarised("here", backups, now=NOW).series
    return only


def test_the_backups_are_counted_and_their_bytes_added_up() -> None:
    newest, middle, oldest = backup(1, 30), backup(2, 20), backup(3, 10)
    assert series(middle, newest, oldest) == SeriesSummary(
        contents=FULL, count=3, stored=60, newest=newest, oldest=oldest, growth=None
    )


def test_the_newest_is_the_newest_good_one_and_all_are_counted() -> None:
    good = backup(3, 10)
    found = series(backup(1, 1, complete=False), backup(2, 1, damaged=True), good)
    assert (found.newest, found.count, found.stored) == (good, 3, 12)
    assert series(backup(1, 1, complete=None)).newest is None


def test_a_backup_dated_in_the_future_is_counted_and_is_not_the_newest() -> None:
    good = backup(1, 10)
    found = series(backup(-30, 500), good)
    assert (found.newest, found.count) == (good, 2)
    assert series(ahead := backup(-1 / 24 / 60, 10)).newest == ahead, "clocks differ by a minute"


def test_the_growth_is_against_what_was_the_newest_good_one_a_week_ago() -> None:
    history = [backup(0, 150), backup(6.9, 400), backup(7, 5, complete=False), backup(8, 100), backup(9, 1)]
    assert series(*history).growth == 50
    assert series(backup(0, 70), backup(7, 100)).growth == -30


def test_a_series_younger_than_a_week_has_no_growth_and_one_that_stands_still_has_none_either() -> None:
    assert series(backup(0, 150), backup(6.9, 100)).growth is None
    assert series(backup(30, 150)).growth == 0
    assert series(backup(0, 150, complete=False), backup(8, 5, complete=False)).growth is None


def test_each_contents_is_a_series_and_full_backups_come_first() -> None:
    history = [backup(0, 1, contents=FILES), backup(1, 1, contents=DATABASES), backup(2, 1), backup(3, 1)]
    found = summarised("here", history, now=NOW)
    assert [(one.contents, one.count) for one in found.series] == [(FULL, 2), (DATABASES, 1), (FILES, 1)]
    assert (found.count, found.stored) == (4, 4)
    assert found.newest == history[0]


def test_a_place_without_backups_has_no_series() -> None:
    found = summarised("here", (), now=NOW)
    assert (found.series, found.count, found.stored, found.newest, found.healthy) == ((), 0, 0, None, True)


def test_only_an_error_makes_a_destination_unhealthy_and_all_problems_are_told() -> None:
    warning, error = Problem(message="soon", severity="warning"), Problem(message="now")
    assert summarised("here", (), now=NOW, problems=[warning]).healthy
    found = summarised("here", (), now=NOW, problems=[warning, error])
    assert (found.healthy, found.problems) == (False, (warning, error))


def test_a_place_that_did_not_answer_is_told_from_an_empty_one() -> None:
    silent = Problem(message="The cable was cut.", check="Reachable")
    stale = Problem(message="There is no backup.", check="MaximumAge")
    assert not summarised("here", (), now=NOW, problems=[silent]).reachable
    assert summarised("here", (), now=NOW, problems=[stale]).reachable


@given(backups(NOW), st.randoms(use_true_random=False))
def test_every_backup_is_in_one_series_whatever_the_order(history: list[Backup], random: Any) -> None:
    found = summarised("memory:", history, now=NOW)
    assert found == summarised("memory:", random.sample(history, len(history)), now=NOW)
    assert found.count == len(history)
    assert found.stored == sum(one.stored for one in history)
    assert all(one.newest is None or (one.newest.good and one.newest in history) for one in found.series)
