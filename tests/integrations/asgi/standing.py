"""What is known of a pipeline, made up, so that it can be told what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backupkit import Backup, Problem, Report, RetentionPlan
from backupkit.integrations.asgi.standing.dues import Due
from backupkit.integrations.asgi.standing.facts import Facts
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.integrations.asgi.standing.past import Past
from backupkit.integrations.asgi.standing.sentences import standing
from backupkit.integrations.asgi.standing.telling import telling
from backupkit.model import Contents, DestinationOverview, DestinationResult
from backupkit.summaries import summarised

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
FULL: frozenset[Contents] = frozenset({"files", "databases"})
FILES: frozenset[Contents] = frozenset({"files"})
DUMPS: frozenset[Contents] = frozenset({"databases"})


def at(day: int, hour: int = 3) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def backup(time: datetime, contents: frozenset[Contents] = FULL, **fields: Any) -> Backup:
    usual: dict[str, Any] = {
        "id": f"{time.isoformat()}-{len(contents)}",
        "location": "memory:a",
        "complete": True,
        "stored": 100,
    }
    return Backup(name="shop", time=time, contents=contents, **(usual | fields))


def told(*backups: Backup, location: str = "memory:a", problems: tuple[Problem, ...] = ()) -> Look:
    """What a destination that answers says."""
    ordered = tuple(sorted(backups, key=lambda one: one.time, reverse=True))
    summary = summarised(location, ordered, now=NOW, problems=problems)
    return Look(
        location,
        DestinationOverview(
            location=location, time=NOW, backups=ordered, summary=summary, plan=RetentionPlan()
        ),
        telling=telling(ordered, "shop", NOW),
    )


def report(
    operation: Any, started: datetime, outcome: Any = "succeeded", *of: Backup, **fields: Any
) -> Report:
    results = tuple(DestinationResult(location=one.location, outcome=outcome, backup=one) for one in of)
    usual: dict[str, Any] = {"took": timedelta(minutes=1), "destinations": results}
    return Report(operation=operation, outcome=outcome, name="shop", started=started, **(usual | fields))


def past(**fields: Any) -> Past:
    return Past(time=NOW, **({"kept": True} | fields))


def facts(
    *looks: Look,
    contents: frozenset[Contents] = FULL,
    past: Past | None = None,
    dues: tuple[Due, ...] = (),
    past_error: str | None = None,
) -> Facts:
    return Facts(
        name="shop",
        contents=contents,
        looks=looks,
        past=past if past is not None or past_error else Past(time=NOW, kept=True),
        past_error=past_error,
        dues=dues,
        now=NOW,
        zone=UTC,
    )


def said(*looks: Look, **known: Any) -> list[str]:
    return [one.text for one in standing(facts(*looks, **known)).sentences]
