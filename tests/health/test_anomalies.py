"""SizeAnomaly: what it says of series that grow, are noisy, held anomalies before, or have changed for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.health import SizeAnomaly
from backupkit.model import Problem
from tests.health.states import DATABASES, backup, days, found, messages

KB = 1000
STEADY = [100 * KB + step for step in (3, -2, 1, 0, -3, 2, -1, 1, 2, -2)]


def alarms(sizes: list[int], **options: Any) -> bool:
    return bool(found(SizeAnomaly(**options), *days(sizes)))


def test_a_backup_of_half_the_usual_size_is_an_error_that_names_both() -> None:
    assert found(SizeAnomaly(), *days([*STEADY, 50 * KB])) == [
        Problem(
            message="The newest good backup of files and databases shrank to 50 kB, where the 10 before it have "
            "100 kB and mostly vary by 0 %: 2026-11-23T03-00-00Z of 2026-11-23T03:00:00Z. Look for what is missing "
            "from it before older ones are removed.",
            severity="error",
            check="SizeAnomaly",
            destination="/mnt/backup",
        )
    ]


def test_a_backup_of_twice_the_usual_size_is_one_too() -> None:
    [message] = messages(SizeAnomaly(), *days([*STEADY, 200 * KB]))
    assert "grew to 200 kB" in message
    assert message.endswith("Look for what was added to it, or no longer compresses.")


def test_it_can_be_a_warning() -> None:
    [problem] = found(SizeAnomaly(severity="warning"), *days([*STEADY, 50 * KB]))
    assert problem.severity == "warning"


@pytest.mark.parametrize(
    ("size", "alarm"), [(67 * KB, False), (66 * KB, True), (149 * KB, False), (150 * KB, True)]
)
def test_however_steady_a_series_is_less_than_the_factor_is_no_anomaly(size: int, alarm: bool) -> None:
    assert alarms([100 * KB] * 10 + [size]) is alarm


def test_nothing_is_said_before_there_is_enough_to_compare_with() -> None:
    assert not alarms([100 * KB] * 6 + [1])
    assert alarms([100 * KB] * 7 + [1])
    assert alarms([100 * KB] * 3 + [1], least=3)


def test_a_noisy_series_may_do_what_it_always_does() -> None:
    noisy = [100, 250, 90, 180, 60, 300, 120, 80, 210, 150, 70, 260, 110, 190]
    assert not alarms([size * KB for size in (*noisy, 350)])
    assert not alarms([size * KB for size in (*noisy, 50)])
    assert alarms([size * KB for size in (*noisy, 1)])


def test_a_small_backup_each_week_hides_nothing_of_the_others() -> None:
    week = [20 * KB, *[100 * KB] * 6]
    assert alarms([*week, *week, 50 * KB])


def test_a_new_size_is_told_until_half_of_what_is_compared_has_it() -> None:
    told = [alarms([100 * KB] * 14 + [50 * KB] * count) for count in range(1, 10)]
    assert told == [True] * 7 + [False] * 2


def test_of_a_whole_series_is_told_what_was_found_when_each_was_the_newest() -> None:
    sizes = [*STEADY, 50 * KB, 100 * KB, 200 * KB]
    told = [found is not None for found in SizeAnomaly().deviations_in(sizes)]
    assert told == [alarms(sizes[: count + 1]) for count in range(len(sizes))]
    assert told == [False] * 10 + [True, False, True]


def test_empty_backups_can_be_compared() -> None:
    assert alarms([100 * KB] * 10 + [0])
    assert not alarms([0] * 11)


def test_full_and_databases_only_backups_are_compared_among_themselves() -> None:
    history = [*days([100 * KB] * 10), *days([KB] * 10 + [100], DATABASES)]
    assert found(SizeAnomaly(), *history) == []
    [message] = messages(SizeAnomaly(contents="databases"), *history)
    assert message.startswith("The newest good backup of databases alone shrank to 100 B")


def test_backups_that_are_not_good_or_from_the_future_are_not_compared() -> None:
    lossy = [backup(timedelta(hours=hours), stored=1, complete=False) for hours in range(1, 20)]
    newest = backup(-timedelta(minutes=1), stored=1, damaged=True)
    future = backup(-timedelta(days=9), stored=1)
    assert found(SizeAnomaly(), *days(STEADY), *lossy, newest, future) == []
    assert len(found(SizeAnomaly(), *days([*STEADY, 50 * KB]), *lossy, newest, future)) == 1


_sizes = st.integers(1, 10**12)
_series = st.lists(_sizes, min_size=8, max_size=20)
# Sizes that differ by less than a tenth from some size.
_steady = st.tuples(st.integers(10**4, 10**10), st.lists(st.floats(0.9, 1.1), min_size=7, max_size=20)).map(
    lambda drawn: [round(drawn[0] * factor) for factor in drawn[1]]
)


@settings(max_examples=150)
@given(_series, st.integers(2, 10**6))
def test_the_unit_of_sizes_does_not_matter(sizes: list[int], factor: int) -> None:
    assert alarms([size * factor for size in sizes]) == alarms(sizes)


@settings(max_examples=150)
@given(_series.flatmap(lambda sizes: st.tuples(st.just(sizes), st.permutations(sizes[:-1]))))
def test_the_order_of_what_it_is_compared_with_does_not_matter(drawn: tuple[list[int], list[int]]) -> None:
    sizes, shuffled = drawn
    assert alarms([*shuffled, sizes[-1]], last=20) == alarms(sizes, last=20)


@settings(max_examples=150)
@given(st.integers(10**6, 10**9), st.floats(1, 1.2), st.integers(8, 40))
def test_steady_growth_is_never_an_anomaly(first: int, rate: float, count: int) -> None:
    grown = [round(first * rate**step) for step in range(count)]
    assert not alarms(grown)
    assert not alarms(grown[::-1])


@settings(max_examples=150)
@given(_steady, st.integers(0, 30), _sizes)
def test_one_outlier_in_the_history_neither_hides_another_nor_makes_one(
    steady: list[int], where: int, outlier: int
) -> None:
    assume(len(steady) >= 8)
    steady[where % (len(steady) - 1)] = outlier
    assert not alarms(steady)
    assert alarms([*steady[:-1], max(steady[-1] // 10, 1)])
    assert alarms([*steady[:-1], steady[-1] * 10])


@settings(max_examples=150)
@given(_steady)
def test_a_steady_series_never_alarms(steady: list[int]) -> None:
    assert not alarms(steady)


@pytest.mark.parametrize(
    "options",
    [
        {"contents": "all"},
        {"least": 2},
        {"last": 6},
        {"last": 14.0},
        {"factor": 1},
        {"factor": float("nan")},
        {"factor": float("inf")},
        {"factor": "2"},
        {"deviations": 0},
        {"severity": "fatal"},
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"SizeAnomaly\(.*\) is not possible: use"):
        SizeAnomaly(**options)
