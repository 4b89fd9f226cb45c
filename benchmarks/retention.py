"""How long each policy takes for a hundred thousand backups, beside what nobody can do without.

The first column is the policy alone, the second what `clean` adds to it (`checked` and `guard`). Each is divided by
the time for KeepAll, which only puts the backups in order and gives each a reason.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from backupkit import (
    Backup,
    CountedRetention,
    KeepAll,
    KeepLast,
    KeepWithin,
    TieredRetention,
    all_of,
    any_of,
)
from backupkit.model import Contents
from backupkit.protocols import RetentionPolicy
from backupkit.retention import checked, guard, minimum_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIERS = TieredRetention(7, 30, 12, 12, 5, max_size="50GB")
COUNTS = CountedRetention(last=10, hourly=24, daily=30, weekly=12, monthly=12, yearly=5)
POLICIES: dict[str, RetentionPolicy] = {
    "KeepLast": KeepLast(1000),
    "KeepWithin": KeepWithin(days=365),
    "TieredRetention": TIERS,
    "TieredRetention, in a zone": TieredRetention(7, 30, 12, 12, 5, time_zone="Europe/Berlin"),
    "CountedRetention": COUNTS,
    "CountedRetention, in a zone": CountedRetention(hourly=24, daily=30, yearly=5, time_zone="Europe/Berlin"),
    "any_of both": any_of(TIERS, COUNTS),
    "all_of both": all_of(TIERS, COUNTS),
}


def history(count: int) -> list[Backup]:
    """Backups of six years, in random order: most are of the databases, some incomplete."""
    chance = random.Random(1)
    databases: frozenset[Contents] = frozenset({"databases"})
    full: frozenset[Contents] = frozenset({"files", "databases"})
    made = []
    for number in range(count):
        when = NOW - timedelta(seconds=chance.randrange(6 * 366 * 86400), microseconds=number)
        made.append(
            Backup(
                id=f"{when:%Y-%m-%dT%H-%M-%S.%fZ}",
                name="shop",
                time=when,
                contents=full if chance.random() < 0.2 else databases,
                location="file:///mnt/backup",
                complete=chance.random() < 0.97,
                stored=chance.randrange(10**7),
            )
        )
    return made


def seconds(function: Callable[[], object], rounds: int) -> float:
    """The median of several calls."""
    taken = []
    for _ in range(rounds):
        gc.collect()
        begun = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def measure(name: str, policy: RetentionPolicy, backups: Sequence[Backup], base: float, rounds: int) -> None:
    plan = policy.plan(backups, now=NOW)
    alone = seconds(lambda: policy.plan(backups, now=NOW), rounds)
    behind = seconds(
        lambda: guard(checked(plan, backups), now=NOW, minimum=minimum_of(policy)),
        rounds,
    )
    print(f"{name:30} {alone / base:9.2f} {behind / base:9.2f} {len(plan.keep):9}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", action="store_true", help="also what KeepAll takes on this machine")
    options = parser.parse_args()
    backups = history(options.count)
    base = seconds(lambda: KeepAll().plan(backups, now=NOW), options.rounds)
    note = f", which took {base:.3f} s" if options.seconds else ""
    print(f"{options.count} backups in random order; in multiples of KeepAll{note}\n")
    print(f"{'':30} {'plan':>9} {'+ guards':>9} {'kept':>9}")
    for name, policy in POLICIES.items():
        measure(name, policy, backups, base, options.rounds)


if __name__ == "__main__":
    main()
