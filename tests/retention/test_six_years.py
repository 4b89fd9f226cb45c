"""The documented schedule of laravel-backup (all daily at three, databases every six hours, cleaning at four)
with its values, for six years: what operations people rely on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from backupkit.model import Contents
from backupkit.retention.kinds import kind_of
from backupkit.retention.simulation import ScheduledRun, SimulatedBackup, Simulation, simulate
from tests.retention.conftest import POLICY, SIX_YEARS, six_years
from tests.retention.histories import DATABASES, FULL

LIMIT = 50 * 10**9


def series(simulation: Simulation, contents: frozenset[Contents]) -> list[SimulatedBackup]:
    return [one for one in simulation.backups if one.backup.contents == contents]


def kinds(simulation: Simulation, contents: frozenset[Contents]) -> Counter[str]:
    kept = [one for one in series(simulation, contents) if one.removed is None]
    return Counter(kind_of(one.reasons).label for one in kept)


def test_the_schedule_was_kept_to_for_six_years(roomy: Simulation) -> None:
    assert len(roomy.days) == SIX_YEARS
    assert len(series(roomy, FULL)) == SIX_YEARS
    assert len(series(roomy, DATABASES)) == 4 * SIX_YEARS - 3  # the last day ends at four


def test_databases_every_six_hours_never_push_out_a_daily_full_one(roomy: Simulation) -> None:
    assert [*six_years("300MB", None).backups] == series(roomy, FULL)


def test_the_tiers_hold_at_the_end_what_they_say(roomy: Simulation) -> None:
    # A tier that begins within a period holds a part of one more.
    newest = {"newest of its contents, which always stays": 1}
    assert kinds(roomy, FULL) == {
        **newest,
        "newer than 7 days": 7 - 1,
        "newest of a day": 30,
        "newest of a week": 12,
        "newest of a month": 12 + 1,
        "newest of a year": 5,
    }
    assert kinds(roomy, DATABASES) == {
        **newest,
        "newer than 7 days": 7 * 4 - 1,
        "newest of a day": 30 + 1,
        "newest of a week": 12 + 1,
        "newest of a month": 12,
        "newest of a year": 5,
    }


def test_at_the_end_there_are_the_days_that_were_promised(roomy: Simulation) -> None:
    def left(contents: frozenset[Contents]) -> list[datetime]:
        return [one.backup.time for one in reversed(series(roomy, contents)) if one.removed is None]

    older = [  # by weeks back to 1 September, by months for a year more, and then the years
        *["11-17", "11-10", "11-03", "10-27", "10-20", "10-13", "10-06", "09-29", "09-22", "09-15", "09-08"],
        *["09-01", "08-25", "07-28", "06-30", "05-26", "04-28", "03-31", "02-24", "01-27"],
        *["2029-12-30", "2029-11-25", "2029-10-28", "2029-09-30", "2029-08-26"],
        *["2028-12-31", "2027-12-26", "2026-12-27", "2025-12-28"],
    ]
    full, databases = left(FULL), left(DATABASES)
    last = datetime(2030, 12, 31, tzinfo=UTC)
    assert full[:38] == [last + timedelta(hours=3, days=-number) for number in range(38)]
    assert [f"{time:%Y-%m-%dT%H}".removeprefix("2030-") for time in full[38:]] == [
        f"{day}T03" for day in older
    ]
    # All of seven days, and the last of each day of thirty more, to 24 November at four.
    assert databases[:29] == [last - timedelta(hours=6 * number) for number in range(29)]
    assert databases[29:60] == [last - timedelta(days=8 + number, hours=-18) for number in range(31)]
    assert [f"{time:%Y-%m-%dT%H}".removeprefix("2030-") for time in databases[60:]] == [
        f"{day}T18" for day in older
    ]


def test_a_limit_that_is_not_reached_removes_nothing(roomy: Simulation) -> None:
    assert max(day.peak for day in roomy.days) < LIMIT
    assert not any("size limit" in one.reasons[0] for one in roomy.backups)


def test_the_size_limit_holds_after_each_cleaning(tight: Simulation) -> None:
    assert max(day.stored for day in tight.days) <= LIMIT
    assert min(day.stored for day in tight.days[365:]) > LIMIT - 2 * 10**9, "and no more goes than must"


def test_the_size_limit_removes_the_oldest_first_whatever_they_hold(tight: Simulation) -> None:
    newest = {series(tight, contents)[-1].backup for contents in (FULL, DATABASES)}
    times = [day.time for day in tight.days[100::40]]
    hit = set()
    for time in times:
        there = [one for one in tight.backups if one.backup.time <= time]
        over = [one for one in there if one.removed == time and "size limit" in one.reasons[0]]
        left = [
            one.backup.time
            for one in there
            if (one.removed is None or one.removed > time) and one.backup not in newest
        ]
        hit |= {one.backup.contents for one in over}
        assert not over or max(one.backup.time for one in over) < min(left)
    assert hit == {FULL, DATABASES}


@pytest.mark.parametrize("sizes", ["roomy", "tight"])
def test_the_newest_good_one_of_each_contents_is_there_on_every_day(
    sizes: str, request: pytest.FixtureRequest
) -> None:
    simulation: Simulation = request.getfixturevalue(sizes)
    for contents in (FULL, DATABASES):
        made = series(simulation, contents)
        assert made[-1].removed is None
        for one, next_ in pairwise(made):
            assert one.removed is None or next_.backup.time <= one.removed
        for day in simulation.days:
            (there,) = [one for one in day.series if one.contents == contents]
            assert there.count >= 1


def test_where_only_protected_ones_are_left_the_limit_gives_way() -> None:
    schedule = [
        ScheduledRun("03:00", size="60GB"),
        ScheduledRun("00:00", timedelta(hours=6), "databases", "10GB"),
    ]
    simulation = simulate(POLICY, schedule, 30)
    assert {(day.count, day.stored) for day in simulation.days} == {(2, 70 * 10**9)}
