"""All pictures of a pipeline, drawn once for what its destinations have told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from backupkit.errors import NotificationError
from backupkit.health import MaximumAge, SizeAnomaly
from backupkit.integrations.asgi.pictures.days import (
    DAYS,
    Day,
    Due,
    calendar,
    days_of,
    in_backups,
    in_reports,
    untold_by,
)
from backupkit.integrations.asgi.pictures.figure import Picture, figure
from backupkit.integrations.asgi.pictures.retention import retention
from backupkit.integrations.asgi.pictures.sizes import sizes
from backupkit.integrations.asgi.pictures.storage import storage
from backupkit.integrations.asgi.standing.looks import Look
from backupkit.model import Backup, Contents, Report, RetentionPlan
from backupkit.pipeline import BackupPipeline
from backupkit.scheduling import Schedule, Scheduled

if TYPE_CHECKING:
    from backupkit.integrations.asgi.page import Page

_MOST = 20_000  # reports: a run every five minutes
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    looks: Sequence[Look] = ()
    today: date | None = None
    figures: Sequence[str] = ()


class Drawn:
    """The figures of each pipeline, drawn when a destination was looked at again, or a day has begun."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def __call__(self, page: Page, name: str, looks: Sequence[Look]) -> Sequence[str]:
        kept = self._kept.setdefault(name, _Kept())
        today = page.clock().astimezone(page.zone).date()
        with kept.lock:
            if kept.today != today or not _same(kept.looks, looks):
                pictures = all_pictures(page, name, looks)
                kept.figures = [figure(one, f"picture-{number}") for number, one in enumerate(pictures, 1)]
                kept.looks, kept.today = tuple(looks), today
            return kept.figures


def _same(some: Sequence[Look], others: Sequence[Look]) -> bool:
    return len(some) == len(others) and all(
        one.location == other.location and one.overview is other.overview
        for one, other in zip(some, others, strict=True)
    )


def all_pictures(page: Page, name: str, looks: Sequence[Look]) -> Iterator[Picture]:
    """The calendar and the storage of all destinations, and then sizes and retention of each that has answered."""
    pipeline = page.pipelines[name]
    rule, its_name = rule_of(pipeline), str(pipeline.name)  # which need not be what the page calls it
    own = {
        look.location: [
            one for one in look.overview.backups if one.name == its_name and one.made_by != "other"
        ]
        for look in looks
        if look.overview
    }
    yield _calendar(page, name, [one for backups in own.values() for one in backups])
    yield storage(looks)
    for look in looks:
        if look.overview is not None and look.overview.summary.reachable:
            told, now = own[look.location], look.overview.time
            yield sizes(told, at=look.location, now=now, zone=page.zone, rule=rule)
            yield retention(look.overview.plan, at=look.location, now=now, zone=page.zone)


def _calendar(page: Page, name: str, backups: Sequence[Backup]) -> Picture:
    """From the history, if there is one that can be read, or else from the backups."""
    now, history, schedule = page.clock(), page.history_of(name), page.schedules.get(name)
    pipeline = page.pipelines[name]
    name = str(pipeline.name)
    begin = now - timedelta(days=DAYS + 1)
    reports: list[Report] = []
    since, untold = None, [*in_backups(backups)]
    source = "As no history is kept, this is what the backups tell: runs that left none are not seen."
    if history is not None:
        try:
            runs = [*history.reports(name, "run", since=begin, limit=_MOST)]
            drills = [*history.reports(name, "drill", since=begin, limit=_MOST)]
            older = history.count(name, "run", before=begin)
        except NotificationError:
            source = (
                "The history cannot be read; this is what the backups tell: runs that left none are not seen."
            )
        else:
            reports, since = [*runs, *drills], begin if older else None
            untold = [*untold_by(reports, (one for one in untold if begin <= one.time <= now))]
            more = ", and the backups that are of runs which it does not know" if untold else ""
            source = f"This is what the history tells{more}."
    days = days_of(
        [*in_reports(reports), *untold],
        now=now,
        zone=page.zone,
        due=due_unsaid(pipeline) if schedule is None else due_by(schedule, name),
        dues={} if schedule is None else dues_by(schedule, pipeline),
        since=since,
    )
    if untold:
        began = min((one.started for one in reports), default=now).astimezone(page.zone).date()
        days = _but_removed(days, pipeline, backups, now, before=began)
    return calendar(days, zone=page.zone, source=source)


def _but_removed(
    days: Sequence[Day], pipeline: BackupPipeline, backups: Sequence[Backup], now: datetime, *, before: date
) -> Sequence[Day]:
    """The same days; but of one whose backup would have been removed by now, it is not known that it is missing.

    That is so of those before the history began.
    """
    made = [one for one in {one.id: one for one in backups}.values() if one.contents]
    missing = {
        f"missing {number}": Backup(
            id=f"missing {number}",
            name=str(pipeline.name),
            time=day.due or datetime.combine(day.date, time(12), UTC),
            contents=day.lacks or pipeline.contents,
            location="",
            stored=0,
            complete=True,
        )
        for number, day in enumerate(days)
        if day.state == "missing" and day.date < before
    }
    plan = pipeline.retention.plan([*made, *missing.values()], now=now) if missing else RetentionPlan()
    gone = {one.backup.id for one in plan.remove}
    return [
        replace(day, state="succeeded" if day.runs else "unknown", due=None, lacks=frozenset())
        if f"missing {number}" in gone
        else day
        for number, day in enumerate(days)
    ]


def due_unsaid(pipeline: BackupPipeline) -> Due | None:
    """Without a schedule: once a day, which None means, if a check wants backups that often; or else never."""
    ages = (
        timedelta(days=one.days, hours=one.hours) for one in pipeline.checks if isinstance(one, MaximumAge)
    )
    return None if any(one < timedelta(days=2) for one in ages) else lambda start, end: None


def dues_by(schedule: Schedule, pipeline: BackupPipeline) -> Mapping[frozenset[Contents], Due]:
    """The same for each contents, if the runs of the schedule are of several."""
    jobs: dict[frozenset[Contents], list[Scheduled]] = {}
    for one in schedule.jobs:
        if one.verb == "run":
            jobs.setdefault(frozenset({one.only}) if one.only else pipeline.contents, []).append(one)
    several = jobs.items() if len(jobs) > 1 else ()
    return {held: due_by(replace(schedule, jobs=some), str(pipeline.name)) for held, some in several}


def due_by(schedule: Schedule, name: str) -> Due:
    jobs = [one for one in schedule.jobs if one.verb == "run"]

    def due(start: datetime, end: datetime) -> datetime | None:
        last = [schedule.due_until(name, one, end - _MICROSECOND).astimezone(UTC) for one in jobs]
        return max((one for one in last if one >= start), default=None)

    return due


def rule_of(pipeline: BackupPipeline) -> Callable[[frozenset[Contents]], SizeAnomaly]:
    """The pipeline's own rule for these contents, or else the usual one."""
    own = {
        pipeline.contents if one.contents is None else frozenset({one.contents}): one
        for one in reversed(pipeline.checks)
        if isinstance(one, SizeAnomaly)
    }
    return lambda contents: own.get(contents, SizeAnomaly())
