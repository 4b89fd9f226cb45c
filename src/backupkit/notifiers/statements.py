"""What there is to say of a notice: a subject, a sentence, facts, tables and problems, in one language.

Everything in a `Statement` can be shown as it is: control characters are written out, and lengths are limited.
The messages of problems are the library's own English sentences and stay so, in every language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from backupkit.model import (
    Backup,
    DestinationResult,
    DestinationSummary,
    Notice,
    Occasion,
    Problem,
    Report,
    Summary,
)
from backupkit.notifiers.languages import Words, shortened
from backupkit.printable import printable
from backupkit.sizes import format_size

Level: TypeAlias = Literal["success", "warning", "failure", "info"]
Pair: TypeAlias = tuple[str, str]

MOST_PROBLEMS = 20
MOST_ROWS = 50

_LONGEST_PROBLEM = 600
_LONGEST_NAME = 200
_LONGEST_PLACE = 80  # in a subject
_UNKNOWN = "–"

_LEVELS: Mapping[Occasion, Level] = {
    "run succeeded": "success",
    "run incomplete": "warning",
    "clean succeeded": "success",
    "verify succeeded": "success",
    "drill passed": "success",
    "healthy": "success",
    "summary": "info",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells below labels; `hidden` counts the rows that were too many."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Complaint:
    """A problem: how severe, in lines, and which path and destination its text does not name."""

    severity: str
    lines: tuple[str, ...]
    place: str

    def __str__(self) -> str:
        return f"{self.severity}: {' '.join(self.lines)}" + (f" ({self.place})" if self.place else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is said. `facts` are of the whole; the first table is that of the destinations."""

    subject: str
    lead: str
    level: Level
    time: str
    facts: tuple[Pair, ...]
    tables: tuple[Table, ...]
    problems: tuple[Complaint, ...]
    hidden: int


def statement_of(notice: Notice, words: Words) -> Statement:
    """All there is to say of a notice."""
    found = notice.problems
    tables = [_limited(table) for table in _tables(notice, words) if table.rows]
    return Statement(
        subject=_named(_subject(notice, words), notice),
        lead=_named(_lead(notice, words), notice),
        level=_level(notice),
        time=words.time(notice.time),
        facts=tuple((label, printable(value)) for label, value in _facts(notice, words)),
        tables=tuple(tables),
        problems=tuple(_complaint(problem, words) for problem in found[:MOST_PROBLEMS]),
        hidden=max(0, len(found) - MOST_PROBLEMS),
    )


def _named(text: str, notice: Notice) -> str:
    place = _UNKNOWN if notice.destination is None else notice.destination.location
    return text % {
        "name": shortened(printable(notice.name), _LONGEST_NAME),
        "place": shortened(printable(place), _LONGEST_PLACE),
    }


def _level(notice: Notice) -> Level:
    if notice.occasion == "summary" and notice.summary is not None:
        healthy = all(one.healthy for one in notice.summary.destinations)
        return "info" if healthy else "warning"
    return _LEVELS.get(notice.occasion, "failure")


def _subject(notice: Notice, words: Words) -> str:
    gettext = words.gettext
    match notice.occasion:
        case "run succeeded":
            return gettext("Backup of %(name)s succeeded")
        case "run incomplete":
            return gettext("Backup of %(name)s is incomplete")
        case "run failed":
            return gettext("Backup of %(name)s failed")
        case "clean succeeded":
            return gettext("Old backups of %(name)s were cleaned up")
        case "clean failed":
            return gettext("Cleaning up old backups of %(name)s failed")
        case "verify succeeded":
            return gettext("A backup of %(name)s was verified")
        case "verify failed":
            return gettext("Verifying a backup of %(name)s failed")
        case "drill passed":
            return gettext("Restore drill of %(name)s passed")
        case "drill failed":
            return gettext("Restore drill of %(name)s failed")
        case "healthy":
            return gettext("Backups of %(name)s are healthy again at %(place)s")
        case "unhealthy" if notice.reminder:
            return gettext("Reminder: backups of %(name)s are still unhealthy at %(place)s")
        case "unhealthy":
            return gettext("Backups of %(name)s are unhealthy at %(place)s")
        case "summary" if _level(notice) == "warning":
            return gettext("Backups of %(name)s: summary, with problems")
        case "summary":
            return gettext("Backups of %(name)s: summary")


def _lead(notice: Notice, words: Words) -> str:
    gettext = words.gettext
    match notice.occasion:
        case "run succeeded":
            return gettext("A backup of %(name)s was made, and nothing was lost.")
        case "run incomplete":
            return gettext(
                "A backup of %(name)s was made, but not all of it is everywhere: see the problems."
            )
        case "run failed":
            return gettext("No backup of %(name)s was made: see the problems.")
        case "clean succeeded":
            return gettext("What the policy no longer keeps was removed.")
        case "clean failed":
            return gettext("Not everything that should go could be removed: see the problems.")
        case "verify succeeded":
            return gettext("A backup was read back in full, and all of it is what was written.")
        case "verify failed":
            return gettext("A backup could not be read back in full: see the problems.")
        case "drill passed":
            return gettext("A backup was restored to scratch places and found to be right.")
        case "drill failed":
            return gettext("A rehearsed restore did not succeed: see the problems.")
        case "healthy":
            return gettext("It is over: every health check of these backups passes again.")
        case "unhealthy" if notice.reminder:
            return gettext("These backups are still not as they should be: see the problems.")
        case "unhealthy":
            return gettext("These backups are not as they should be: see the problems.")
        case "summary":
            ill = [one for one in notice.summary.destinations if not one.healthy] if notice.summary else []
            if not ill:
                return gettext("All is well with the backups of %(name)s.")
            return words.ngettext(
                "%(num)s destination is unhealthy: see the problems.",
                "%(num)s destinations are unhealthy: see the problems.",
                len(ill),
            )


def _facts(notice: Notice, words: Words) -> Iterator[Pair]:
    gettext = words.gettext
    report = notice.report
    if notice.destination is not None:
        yield gettext("Destination"), shortened(notice.destination.location, _LONGEST_NAME)
        if notice.since is not None:
            yield gettext("Unhealthy since"), words.time(notice.since)
            if (length := notice.time - notice.since) >= timedelta(minutes=1):
                yield gettext("Unhealthy for"), words.age(length)
        return
    if report is None:
        return
    backup = next((one.backup for one in report.destinations if one.backup is not None), None)
    if backup is not None:
        yield gettext("Backup"), backup.id
        yield gettext("Contents"), words.contents(backup.contents)
    if report.operation in ("run", "verify", "drill"):
        yield gettext("Entries"), words.number(report.entries)
        yield gettext("Read"), format_size(report.read)
    if report.operation == "clean":
        yield gettext("Freed"), format_size(sum(one.freed for one in report.destinations))
    if report.restore_took is not None:
        yield gettext("Restored in"), words.took(report.restore_took)
    yield gettext("Took"), words.took(report.took)


def _tables(notice: Notice, words: Words) -> Iterator[Table]:
    if notice.destination is None and notice.report is not None:
        yield _results(notice.report, notice.summary, words)
        yield _dumps(notice.report, words)
    elif notice.summary is not None:
        place = notice.destination.location if notice.destination is not None else None
        yield _series(
            [one for one in notice.summary.destinations if place in (None, one.location)],
            notice.summary.time,
            words,
            named=place is None,
        )


def _results(report: Report, summary: Summary | None, words: Words) -> Table:
    """How an operation ended at each destination and, if that is known, how the backups stand there now."""
    gettext = words.gettext
    cleaned = report.operation == "clean"
    columns = [gettext("Destination"), gettext("Outcome")]
    columns += [gettext("Freed"), gettext("Removed"), gettext("Kept"), gettext("Refused")] if cleaned else []
    columns += [] if cleaned else [gettext("Size")]
    columns += [gettext("Backups"), gettext("Newest"), gettext("Used storage")] if summary else []
    known = {one.location: one for one in summary.destinations} if summary else {}

    def cells(result: DestinationResult) -> Iterator[str]:
        yield result.location
        yield words.outcome(result.outcome)
        if cleaned:
            yield from _cleaned(result, words)
        else:
            yield _UNKNOWN if result.backup is None else format_size(result.backup.stored)
        if summary is not None:
            # One that did not answer has no series, which says nothing about how many there are.
            now = known.get(result.location)
            answered = now is not None and now.reachable
            yield words.number(now.count) if now and answered else _UNKNOWN
            yield _time(now.newest if now else None, words)
            yield format_size(now.stored) if now and answered else _UNKNOWN

    rows = tuple(tuple(cells(result)) for result in report.destinations)
    return Table(gettext("Destinations"), tuple(columns), rows)


def _cleaned(result: DestinationResult, words: Words) -> Iterator[str]:
    # "The backup … could not be deleted", or, as a warning, "was pinned while cleaning was under way".
    about = {
        problem.message.removeprefix("The backup ").partition(" ")[0]: problem.severity
        for problem in result.problems
    }
    planned = [about.get(one.backup.id) for one in result.plan.remove] if result.plan else []
    yield format_size(result.freed)
    if result.plan is None:
        yield from (_UNKNOWN, _UNKNOWN)
    else:
        yield words.number(planned.count(None))
        yield words.number(len(result.plan.keep) + planned.count("warning"))
    yield words.number(sum(problem.severity == "error" for problem in result.problems))


def _dumps(report: Report, words: Words) -> Table:
    gettext = words.gettext
    rows = tuple((one.path, one.database, words.took(one.took)) for one in report.dumps)
    return Table(gettext("Restored databases"), (gettext("Dump"), gettext("Database"), gettext("Took")), rows)


def _series(destinations: Sequence[DestinationSummary], now: datetime, words: Words, *, named: bool) -> Table:
    """What a listing shows, in numbers: for each destination, if they are named, and each kind of backup there."""
    gettext = words.gettext
    columns = (
        *((gettext("Destination"),) if named else ()),
        gettext("Contents"),
        gettext("Backups"),
        gettext("Newest good one"),
        gettext("Age"),
        gettext("Used storage"),
        gettext("Growth in a week"),
    )

    def rows() -> Iterator[tuple[str, ...]]:
        for one in destinations:
            # In one cell, because mails are narrow.
            health = gettext("healthy") if one.healthy else gettext("unhealthy")
            place = (f"{one.location} ({health})",) if named else ()
            if not one.series:
                none = words.number(0) if one.reachable else _UNKNOWN
                yield (*place, _UNKNOWN, none, *[_UNKNOWN] * 4)
            for series in one.series:
                newest = series.newest
                yield (
                    *place,
                    words.contents(series.contents),
                    words.number(series.count),
                    _time(newest, words),
                    _UNKNOWN if newest is None else words.age(now - newest.time),
                    format_size(series.stored),
                    words.growth(series.growth),
                )

    return Table(gettext("Destinations") if named else gettext("Backups"), columns, tuple(rows()))


def _time(backup: Backup | None, words: Words) -> str:
    return _UNKNOWN if backup is None else words.time(backup.time)


def _limited(table: Table) -> Table:
    rows = tuple(
        tuple(shortened(printable(cell), _LONGEST_NAME) for cell in row) for row in table.rows[:MOST_ROWS]
    )
    return Table(table.title, table.columns, rows, max(0, len(table.rows) - MOST_ROWS))


def _complaint(problem: Problem, words: Words) -> Complaint:
    severity = words.gettext("Error") if problem.severity == "error" else words.gettext("Warning")
    text = shortened(problem.message.strip(), _LONGEST_PROBLEM)
    unsaid = [
        place
        for place in (problem.path, problem.destination)
        if place and place not in problem.message and repr(place)[1:-1] not in problem.message
    ]
    place = shortened(printable(", ".join(unsaid)), _LONGEST_NAME)
    # What a program wrote to its standard error may take several lines.
    return Complaint(severity, tuple(printable(line) for line in text.split("\n")), place)
