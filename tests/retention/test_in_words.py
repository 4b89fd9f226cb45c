"""What policies keep, in words."""

from __future__ import annotations

import pytest

from backupkit import CountedRetention, KeepAll, KeepLast, KeepWithin, TieredRetention, all_of, any_of
from backupkit.protocols import RetentionPolicy
from backupkit.retention.in_words import in_words


class Own(KeepLast):
    pass


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (KeepAll(), "every backup"),
        (KeepLast(1), "the newest good one, and what is newer than it"),
        (KeepLast(30), "the newest 30 good ones, and what is newer than the oldest of them"),
        (
            KeepWithin(weeks=1, days=2, hours=1.5),
            "what was made within 1 week, 2 days and 1.5 hours before the newest good one",
        ),
        (
            TieredRetention(),
            "all for 7 days, then one a day for 16 days, then one a week for 8 weeks, then one a month for "
            "4 months, then one a year for 2 years",
        ),
        (
            TieredRetention(1, 0, 0, 0, 1, max_size="50GB", minimum=3),
            "all for 1 day, then one a year for 1 year; at most 50 GB of all together; always the "
            "newest 3 good ones",
        ),
        (TieredRetention(0, 0, 0, 0, 0), "the newest one"),
        (
            CountedRetention(last=3, daily=7, monthly=12, once=True),
            "the newest 3 good ones, and one for each of the last 7 days and 12 months that have any; "
            "each is counted once",
        ),
        (CountedRetention(hourly=2), "one for each of the last 2 hours that have any"),
        (any_of(KeepAll()), "every backup"),
        (
            any_of(KeepLast(1), all_of(KeepAll(), KeepWithin(days=9))),
            "what any of these keeps: (1) the newest good one, and what is newer than it; (2) [only what "
            "each of these keeps: (1) every backup; (2) what was made within 9 days before the newest good one]",
        ),
        (Own(3), None),
        (any_of(KeepAll(), Own(3)), None),
    ],
    ids=repr,
)
def test_a_policy_of_ours_is_said_in_words(policy: RetentionPolicy, words: str | None) -> None:
    assert in_words(policy) == words
