"""Notices of every kind, as a pipeline makes them: what a notifier can be tested with.

`notice("run failed")` has all that belongs to its occasion; keyword arguments replace what it holds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backupkit.model import (
    Backup,
    Contents,
    DestinationResult,
    DestinationSummary,
    Kept,
    Notice,
    Occasion,
    Operation,
    Outcome,
    Problem,
    Removed,
    Report,
    RestoredDump,
    RetentionPlan,
    SeriesSummary,
    Summary,
)

NOW = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)
FULL: frozenset[Contents] = frozenset({"files", "databases"})


def backup(id: str = "2026-11-23T03-00-00.000000Z", **fields: object) -> Backup:
    """A good, full backup."""
    made = Backup(
        id=id,
        name="shop",
        time=datetime(2026, 11, 23, 3, tzinfo=UTC),
        contents=FULL,
        location="/mnt/backup",
        complete=True,
        stored=1_234_000_000,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def summary(*more: DestinationSummary, problems: tuple[Problem, ...] = ()) -> Summary:
    """One destination, healthy unless it has problems, and those given."""
    full = SeriesSummary(
        contents=FULL, count=6, stored=9_000_000_000, newest=backup(), oldest=backup(), growth=-5_000_000
    )
    databases = SeriesSummary(
        contents=frozenset({"databases"}), count=1, stored=2_000, newest=None, oldest=backup(), growth=None
    )
    here = DestinationSummary(
        location="/mnt/backup", healthy=not problems, series=(full, databases), problems=problems
    )
    return Summary(name="shop", time=NOW, destinations=(here, *more))


def problem(message: str = "The file 'orders.csv' could not be read.", **fields: object) -> Problem:
    """An error, unless another severity is given."""
    return replace(Problem(message=message), **fields)  # type: ignore[arg-type]


def report(
    operation: Operation = "run",
    outcome: Outcome = "succeeded",
    *,
    problems: tuple[Problem, ...] = (),
    destinations: tuple[DestinationResult, ...] | None = None,
    **fields: object,
) -> Report:
    """A report of one destination, unless others are given."""
    if destinations is None:
        destinations = (DestinationResult(location="/mnt/backup", outcome=outcome, backup=backup()),)
    made = Report(
        operation=operation,
        outcome=outcome,
        name="shop",
        started=NOW - timedelta(seconds=200),
        took=timedelta(seconds=200),
        entries=12_345,
        read=5_000_000_000,
        written=1_234_000_000,
        problems=problems,
        destinations=destinations,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def notice(occasion: Occasion = "run succeeded", **fields: object) -> Notice:
    """A notice of that occasion with all that belongs to it."""
    made = Notice(occasion=occasion, name="shop", time=NOW, summary=summary())
    trouble = (problem(),)
    match occasion:
        case "run succeeded":
            made = replace(made, report=report())
        case "run incomplete":
            made = replace(made, report=report(outcome="incomplete", problems=trouble))
        case "run failed":
            failed = DestinationResult(location="/mnt/backup", outcome="failed", problems=trouble)
            made = replace(made, report=report(outcome="failed", problems=trouble, destinations=(failed,)))
        case "clean succeeded" | "clean failed":
            made = replace(made, report=cleaned(refused=occasion == "clean failed"))
        case "verify succeeded":
            made = replace(made, report=report("verify"))
        case "verify failed":
            made = replace(made, report=report("verify", "failed", problems=trouble))
        case "drill passed" | "drill failed":
            passed = occasion == "drill passed"
            made = replace(
                made,
                report=report(
                    "drill",
                    "succeeded" if passed else "failed",
                    problems=() if passed else trouble,
                    restore_took=timedelta(seconds=75),
                    dumps=(
                        RestoredDump(
                            path="db-dumps/mysql-shop.sql",
                            database="mysql://db/drill",
                            took=timedelta(seconds=12.34),
                        ),
                    ),
                ),
            )
        case "healthy":
            result = DestinationResult(location="/mnt/backup", outcome="succeeded")
            made = replace(made, destination=result, since=NOW - timedelta(days=2, hours=3))
        case "unhealthy":
            none = (problem("There is no good backup of the databases alone.", check="MinimumCount"),)
            result = DestinationResult(location="/mnt/backup", outcome="failed", problems=none)
            made = replace(made, destination=result, since=NOW, summary=summary(problems=none))
    return replace(made, **fields)  # type: ignore[arg-type]


def cleaned(*, refused: bool) -> Report:
    """Of two backups that should go, one may be refused."""
    old, older = backup("2026-01-02T03-00-00.000000Z"), backup("2026-01-01T03-00-00.000000Z")
    trouble = (problem(f"The backup {older.id} could not be deleted: access denied."),) if refused else ()
    outcome: Outcome = "incomplete" if refused else "succeeded"
    result = DestinationResult(
        location="/mnt/backup",
        outcome=outcome,
        plan=RetentionPlan(
            keep=(Kept(backup(), ("newest",)),), remove=(Removed(old, "too old"), Removed(older, "too old"))
        ),
        freed=2_500_000_000,
        problems=trouble,
    )
    return report("clean", outcome, problems=trouble, destinations=(result,))
