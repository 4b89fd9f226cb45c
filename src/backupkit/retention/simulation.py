"""Years of backups and cleanings in a moment: what a policy would keep, and why, before it is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Contents
from backupkit.protocols import RetentionPolicy
from backupkit.retention.guarding import checked, guard, minimum_of
from backupkit.sizes import parse_size
from backupkit.zones import zone_named

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_FULL: frozenset[Contents] = frozenset({"files", "databases"})


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a scheduler starts again and again, and how large its backups are.

    `at` is a time of day such as "03:00", on the wall clock of the simulation's time zone. `every` is whole days,
    or whole hours up to 24; with hours, `at` is one of the times: 03:00 and six hours are 03:00, 09:00, 15:00
    and 21:00. `only` is what `BackupPipeline.run` takes. `size` is bytes, or a text such as "500MB".
    """

    at: str = "03:00"
    every: timedelta = _DAY
    only: Contents | None = None
    size: int | str = "500MB"

    def __post_init__(self) -> None:
        _time_of_day(self.at, "ScheduledRun(at=…)")
        whole_hours = isinstance(self.every, timedelta) and self.every >= _HOUR and not self.every % _HOUR
        if not whole_hours or (self.every > _DAY and self.every % _DAY):
            raise ConfigurationError(
                f"ScheduledRun(every={self.every!r}) is not possible: use whole days, or whole hours up to 24."
            )
        if self.only not in (None, "files", "databases"):
            raise ConfigurationError(
                f'ScheduledRun(only={self.only!r}) is not possible: use "databases", "files", or None for both.'
            )
        object.__setattr__(self, "size", parse_size(self.size))

    @property
    def contents(self) -> frozenset[Contents]:
        return _FULL if self.only is None else frozenset({self.only})


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBackup:
    """What became of a backup: when it was removed and why, or every reason why it stays at the end."""

    backup: Backup
    removed: datetime | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSeries:
    """How many backups of the same contents there are, and the bytes they occupy."""

    contents: frozenset[Contents]
    count: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDay:
    """What there is after a day's cleaning, which was at `time`; `peak` are the bytes stored right before it."""

    time: datetime
    count: int
    stored: int
    peak: int
    series: tuple[SimulatedSeries, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Every backup that was made, oldest first, and every day, the last of which is the end."""

    backups: tuple[SimulatedBackup, ...]
    days: tuple[SimulatedDay, ...]

    @property
    def end(self) -> datetime:
        """When the last cleaning was."""
        return self.days[-1].time

    @property
    def kept(self) -> tuple[SimulatedBackup, ...]:
        """What is there at the end, oldest first."""
        return tuple(one for one in self.backups if one.removed is None)


def simulate(
    policy: RetentionPolicy,
    schedule: ScheduledRun | Iterable[ScheduledRun],
    days: int,
    *,
    start: date = date(2025, 1, 1),
    clean_at: str = "04:00",
    time_zone: str = "UTC",
) -> Simulation:
    """Make backups on a schedule for so many days and clean every day, exactly as a pipeline does; no I/O.

    The first day is `start`, and the end is the cleaning of the last one; a run at the minute of a cleaning comes
    before it. All times are those of the wall clock in `time_zone`: one that a change to summer time leaves out
    is an hour later, and one that occurs twice is the first. All backups are good, and none is pinned.

    ConfigurationError for times, days or a time zone that cannot be, and for a policy with a mistake.
    """
    runs = (schedule,) if isinstance(schedule, ScheduledRun) else tuple(schedule)
    if not runs:
        raise ConfigurationError("There is nothing to simulate: give one ScheduledRun or more.")
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise ConfigurationError(
            f"simulate(days={days!r}) is not possible: use a whole number of days, 1 or more."
        )
    cleaned = _time_of_day(clean_at, "simulate(clean_at=…)")
    zone = zone_named(time_zone)
    first = datetime.combine(start, cleaned)
    try:
        end = _instant(first + (days - 1) * _DAY, zone)
        made = _made(runs, start, end, zone)
        cleanings = [_instant(first + day * _DAY, zone) for day in range(days)]
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(
            f"{days} days from {start} go beyond the calendar of the years 1 to 9999: simulate fewer."
        ) from error
    return _lived(policy, made, cleanings, zone)


def _lived(
    policy: RetentionPolicy, made: Sequence[Backup], cleanings: Sequence[datetime], zone: tzinfo
) -> Simulation:
    minimum = minimum_of(policy)
    every_contents = sorted({backup.contents for backup in made}, key=lambda one: (-len(one), *one))
    there: list[Backup] = []
    removed: dict[str, tuple[datetime, str]] = {}
    reasons: dict[str, tuple[str, ...]] = {}
    days: list[SimulatedDay] = []
    coming = 0
    for now in cleanings:
        while coming < len(made) and made[coming].time <= now:
            there.append(made[coming])
            coming += 1
        given = tuple(there)  # which a policy cannot change
        plan = guard(checked(policy.plan(given, now=now), given), now=now, minimum=minimum)
        for gone in plan.remove:
            removed[gone.backup.id] = (now.astimezone(zone), gone.reason)
        peak = sum(backup.stored for backup in there)
        there = [kept.backup for kept in plan.keep]
        reasons = {kept.backup.id: kept.reasons for kept in plan.keep}
        series = tuple(_series(contents, there) for contents in every_contents)
        days.append(
            SimulatedDay(
                time=now.astimezone(zone),
                count=len(there),
                stored=sum(one.stored for one in series),
                peak=peak,
                series=series,
            )
        )
    return Simulation(backups=tuple(_fates(made, removed, reasons)), days=tuple(days))


def _fates(
    made: Iterable[Backup], removed: dict[str, tuple[datetime, str]], reasons: dict[str, tuple[str, ...]]
) -> Iterator[SimulatedBackup]:
    for backup in made:
        if backup.id in reasons:
            yield SimulatedBackup(backup=backup, removed=None, reasons=reasons[backup.id])
        else:
            when, why = removed[backup.id]
            yield SimulatedBackup(backup=backup, removed=when, reasons=(why,))


def _series(contents: frozenset[Contents], backups: Iterable[Backup]) -> SimulatedSeries:
    sizes = [backup.stored for backup in backups if backup.contents == contents]
    return SimulatedSeries(contents=contents, count=len(sizes), stored=sum(sizes))


def _made(runs: Iterable[ScheduledRun], start: date, end: datetime, zone: tzinfo) -> list[Backup]:
    """The backups of all runs up to the end, oldest first."""
    # A time that is taken is moved on by microseconds, as the repository does it.
    taken: set[tuple[datetime, frozenset[Contents]]] = set()
    made: list[Backup] = []
    for run in runs:
        for moment in _moments(run, start, end, zone):
            while (moment, run.contents) in taken:
                moment += timedelta(microseconds=1)
            taken.add((moment, run.contents))
            made.append(
                Backup(
                    id=f"{moment:%Y-%m-%dT%H-%M-%S.%fZ}" + ("" if run.only is None else f"-{run.only}"),
                    name="simulated",
                    time=moment,
                    contents=run.contents,
                    location="simulation",
                    complete=True,
                    stored=parse_size(run.size),
                )
            )
    return sorted(made, key=lambda backup: (backup.time, backup.id))


def _moments(run: ScheduledRun, start: date, end: datetime, zone: tzinfo) -> Iterator[datetime]:
    midnight = datetime.combine(start, time())
    wall = datetime.combine(start, _time_of_day(run.at, "at"))
    wall -= (wall - midnight) // run.every * run.every  # with hours, there are times before `at` as well
    before: datetime | None = None
    while (moment := _instant(wall, zone)) <= end:
        if before is None or moment > before:  # 02:00 and 03:00 are one moment where the clock skips an hour
            yield moment
        before = moment
        wall += run.every


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _time_of_day(text: str, where: str) -> time:
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ConfigurationError(f'{where} is {text!r}, which is no time of day: use one such as "03:00".')
    return time.fromisoformat(text)
