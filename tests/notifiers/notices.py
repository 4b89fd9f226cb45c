"""Notices that several files of tests send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from backupkit.model import Backup, DestinationResult, Kept, Notice, Problem, Report, RetentionPlan

START = datetime(2026, 11, 23, 3, tzinfo=UTC)

LOST = Notice(
    occasion="run incomplete",
    name="shop",
    time=START + timedelta(seconds=90),
    report=Report(
        operation="run",
        outcome="incomplete",
        name="shop",
        started=START,
        took=timedelta(seconds=90),
        entries=12,
        read=4_000_000,
        written=1_000_000,
        problems=(
            Problem(message="It grew.", severity="warning", path="app/log"),
            Problem(message="It could not be read.", path="app/caf\udce9"),
        ),
    ),
)

UNHEALTHY = Notice(
    occasion="unhealthy",
    name="shop",
    time=START,
    destination=DestinationResult(
        location="/mnt/caf\udce9",
        outcome="failed",
        problems=(Problem(message="The newest backup is two days old.", check="MaximumAge"),),
    ),
    since=START - timedelta(days=1),
    reminder=True,
)


@cache
def cleaned(count: int) -> Report:
    """A report of cleaning that kept so many backups."""
    kept = tuple(
        Kept(
            Backup(
                id=f"{number:06}",
                name="shop",
                time=START + timedelta(hours=number),
                contents=frozenset({"files", "databases"}),
                location="/mnt/backup",
                complete=True,
                stored=1_000_000 + number,
            ),
            ("newer than 7 days", "the newest of its day"),
        )
        for number in range(count)
    )
    result = DestinationResult(
        location="/mnt/backup", outcome="succeeded", plan=RetentionPlan(keep=kept), freed=5
    )
    return Report(
        operation="clean",
        outcome="succeeded",
        name="shop",
        started=START,
        took=timedelta(seconds=3),
        destinations=(result,),
    )
