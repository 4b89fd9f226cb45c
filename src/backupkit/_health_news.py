"""What is new about the health of a destination, given what people have been told of it before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from backupkit.model import Notice, Problem, Report

# Whoever checks once a day checks some seconds earlier now and then, and the reminder must not wait another day.
_REMINDER = timedelta(hours=23)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """That a destination is unhealthy: since when, by which checks, and when people were told last.

    `owed` are the notifiers that could not be reached then. Without checks it is over, and they do not know.
    """

    since: datetime
    time: datetime
    checks: frozenset[str]
    owed: frozenset[str] = frozenset()

    def written(self) -> str | None:
        """A text to remember; None if all is well and everybody knows."""
        if not self.checks and not self.owed:
            return None
        fields = {
            "since": self.since.isoformat(),
            "told": self.time.isoformat(),
            "checks": sorted(self.checks),
            "owed": sorted(self.owed),
        }
        return json.dumps(fields)

    @classmethod
    def read(cls, text: str | None) -> Told | None:
        """What `written` gave; None for anything else, as it is better to tell twice than never."""
        try:
            fields = json.loads(text or "null")
            since = datetime.fromisoformat(fields["since"]).astimezone(UTC)
            time = datetime.fromisoformat(fields["told"]).astimezone(UTC)
            checks, owed = (frozenset(map(str, fields.get(name, ()))) for name in ("checks", "owed"))
            return cls(since=since, time=time, checks=checks, owed=owed)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class HealthNews:
    """A notice, and what people know of the destination at `location` once they have heard it.

    `to` are the notifiers that still have to hear it; None for all.
    """

    notice: Notice
    location: str
    told: Told
    to: frozenset[str] | None = None


def health_news(report: Report, before: Mapping[str, Told | None]) -> Iterator[HealthNews]:
    """What to tell of a monitor's report. `before` is what people know already, by location.

    Unhealthy is told when it begins, when a check fails that did not when it was told last, a day later, and
    when it ends; and each of these again to those who could not be reached.
    """
    for result in report.destinations:
        location, told = result.location, before.get(result.location)
        notice = Notice(
            occasion="unhealthy",
            name=report.name,
            time=report.started + report.took,
            report=report,
            destination=result,
            since=told.since if told is not None and told.checks else report.started,
        )
        failing = _failing(result.problems)
        if not failing:
            if told is not None:
                over = replace(told, time=report.started, checks=frozenset(), owed=frozenset())
                ended = replace(notice, occasion="healthy", since=told.since)
                yield HealthNews(ended, location, over, None if told.checks else told.owed)
            continue
        known = told is not None and failing <= told.checks
        # A clock that was set back must not silence it, so a time to come is a time long gone.
        if known and told is not None and abs(report.started - told.time) < _REMINDER:
            if told.owed:
                yield HealthNews(notice, location, told, told.owed)
            continue
        now = Told(since=notice.since or report.started, time=report.started, checks=failing)
        yield HealthNews(replace(notice, reminder=known), location, now)


def _failing(problems: Iterable[Problem]) -> frozenset[str]:
    """The checks that fail: "MaximumAge" and, where it has found two things or is there twice, "MaximumAge 2"."""
    names = [one.check or "" for one in problems if one.severity == "error"]
    found = [(name, names[:place].count(name) + 1) for place, name in enumerate(names)]
    return frozenset(name if count == 1 else f"{name} {count}" for name, count in found)
