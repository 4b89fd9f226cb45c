"""Six years of laravel-backup's documented schedule, simulated once for all tests that look at them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backupkit.retention import TieredRetention
from backupkit.retention.simulation import ScheduledRun, Simulation, simulate

SIX_YEARS = 6 * 365 + 1  # with 2028
POLICY = TieredRetention(7, 30, 12, 12, 5, max_size="50GB")


def six_years(full: str, databases: str | None) -> Simulation:
    schedule = [ScheduledRun("03:00", size=full)]
    if databases is not None:
        schedule.append(ScheduledRun("00:00", timedelta(hours=6), "databases", databases))
    return simulate(POLICY, schedule, SIX_YEARS, clean_at="04:00")


@pytest.fixture(scope="session")
def roomy() -> Simulation:
    """With sizes that never reach the limit."""
    return six_years("300MB", "100MB")


@pytest.fixture(scope="session")
def tight() -> Simulation:
    """With sizes of which the tiers alone would keep 77 GB."""
    return six_years("1GB", "100MB")
