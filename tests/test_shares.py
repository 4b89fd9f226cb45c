from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from backupkit._shares import share_of
from backupkit.errors import ConfigurationError
from backupkit.model import Share

MONDAY = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "share"),
    [(None, None), ("2/7", Share(2, 7)), ("1/1", None), ("1000/1000", Share(1000, 1000)), ("100%", None)],
)
def test_a_share_is_one_of_equal_ones(text: str | None, share: Share | None) -> None:
    assert share_of(text, now=MONDAY) == share


@pytest.mark.parametrize(
    ("text", "of"),
    [("10%", 10), ("25%", 4), ("30%", 3), ("60%", None), ("0.5%", 200), ("14%", 6), ("1%", 100)],
)
def test_a_percentage_is_at_least_as_large_a_share(text: str, of: int | None) -> None:
    share = share_of(text, now=MONDAY)
    assert (share.of if share else None) == of


@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("text", ["10%", "14%", "7%", "5%", "33%", "2.5%"])
def test_who_verifies_a_percentage_each_day_or_each_week_has_verified_all_after_as_many_runs(
    text: str, days: int
) -> None:
    first = share_of(text, now=MONDAY)
    assert first is not None
    shares = {share_of(text, now=MONDAY + timedelta(days=days) * run) for run in range(first.of)}
    assert shares == {Share(number, first.of) for number in range(1, first.of + 1)}


def test_the_day_is_that_of_utc() -> None:
    late = datetime(2026, 5, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    assert share_of("10%", now=late) == share_of("10%", now=MONDAY)


@pytest.mark.parametrize(
    "text",
    ["", "0/7", "8/7", "1/0", "-1/7", "2/7 ", "²/7", "0%", "101%", "10", "%", "10 %", "1e1%", "nan%", 0.1],
)
def test_anything_else_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match='write "2/7" for the second of seven, or a percentage, "10%"'
    ):
        share_of(text, now=MONDAY)


def test_each_id_is_in_exactly_one_of_the_shares() -> None:
    ids = [f"{number * 7919:064x}"[::-1] for number in range(500)]
    for of in (2, 7, 300):
        shares = [Share(number, of) for number in range(1, of + 1)]
        assert all(sum(share.has(id) for share in shares) == 1 for id in ids)
