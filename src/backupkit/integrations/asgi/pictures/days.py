"""A calendar of what happened on each of the last days, and of what should have."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from types import MappingProxyType
from typing import Literal, TypeAlias

from backupkit.integrations.asgi.pictures.figure import Picture, many
from backupkit.integrations.asgi.pictures.fluid import box, mark, percent, words
from backupkit.integrations.asgi.standing.facts import meant_by
from backupkit.model import Backup, Contents, Outcome, Report, named
from backupkit.retention.drawing import day_of, tooltip

State: TypeAlias = Literal["failed", "incomplete", "missing", "succeeded", "nothing", "unknown"]
Held: TypeAlias = Literal["passed", "failed"]
Due: TypeAlias = Callable[[datetime, datetime], "datetime | None"]
"""The last moment at which a run was due, from one time and before another; None if none was."""

NO_DUES: Mapping[frozenset[Contents], Due] = MappingProxyType({})
DAYS = 60
_DAY, _LATE = timedelta(days=1), timedelta(hours=1)  # so late a run may begin, and still be that of its day
_COLUMN, _ROW, _HEAD = 100 / 7, 40, 20
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TITLE = f"The last {DAYS} days"
_STATES: Mapping[State, str] = {
    "failed": "with a failed run",
    "incomplete": "with an incomplete run",
    "missing": "on which a run was missing",
    "succeeded": "on which all runs succeeded",
}
# A tick, an exclamation mark, a cross, and an empty ring: what they say can be told without any colour.
_SHAPES: Mapping[State, str] = {
    "succeeded": '<path d="M-6 0L-2 4L6 -5"/>',
    "incomplete": '<path d="M0 -7V1M0 5V6"/>',
    "failed": '<path d="M-5 -5L5 5M5 -5L-5 5"/>',
    "missing": '<circle r="5"/>',
    "nothing": "",
    "unknown": "",
}
_DRILL = '<circle r="7.5"/><text y="4" class="mid small">D</text>'
_DRILLS: Mapping[Held, str] = {"passed": _DRILL, "failed": f'{_DRILL}<path d="M-8 8L8 -8"/>'}


@dataclass(frozen=True, slots=True)
class Happened:
    """A run or a drill: when it began and how it ended, and what a run was to back up, if that is known."""

    operation: Literal["run", "drill"]
    time: datetime
    outcome: Outcome
    contents: frozenset[Contents] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day: how many runs and drills ended how. `state` is the worst of the runs.

    Of a run that is missing, there is when it was `due`, and what it should have held if others were made.
    """

    date: date
    state: State
    runs: Mapping[Outcome, int]
    drills: Mapping[Outcome, int]
    due: datetime | None = None
    lacks: frozenset[Contents] = frozenset()

    @property
    def drill(self) -> Held | None:
        if not self.drills:
            return None
        return "passed" if self.drills.keys() == {"succeeded"} else "failed"


def in_reports(reports: Iterable[Report]) -> Iterator[Happened]:
    """What a history tells."""
    for one in reports:
        if one.operation in ("run", "drill") and not one.dry_run:
            operation: Literal["run", "drill"] = "run" if one.operation == "run" else "drill"
            yield Happened(operation, one.started, one.outcome, meant_by(one))


def in_backups(backups: Iterable[Backup]) -> Iterator[Happened]:
    """What the backups tell: nothing of runs that left none, and of drills the last that each has passed."""
    for one in {one.id: one for one in backups}.values():
        yield Happened("run", one.time, "succeeded" if one.complete else "incomplete", one.contents)
    for proven in {one.proven for one in backups if one.proven}:
        yield Happened("drill", proven, "succeeded")


def untold_by(reports: Iterable[Report], happened: Iterable[Happened]) -> Iterator[Happened]:
    """What happened of which none of these reports tells: the history is younger, or one of several."""
    told = [(one.operation, one.started, one.started + one.took) for one in reports]
    runs = {started for operation, started, _ in told if operation == "run"}
    drills = [(began, ended) for operation, began, ended in told if operation == "drill"]
    for one in happened:
        if one.operation == "run" and one.time in runs:
            continue
        if one.operation == "drill" and any(began <= one.time <= ended for began, ended in drills):
            continue
        yield one


def days_of(
    happened: Iterable[Happened],
    *,
    now: datetime,
    zone: tzinfo,
    due: Due | None = None,
    dues: Mapping[frozenset[Contents], Due] = NO_DUES,
    since: datetime | None = None,
    count: int = DAYS,
) -> Sequence[Day]:
    """The last days up to now, oldest first.

    A run is missing on a day that is over, on which one was due and none began by an hour after; without a
    schedule, on which none began. So is one of those `dues`, by what they hold, on a day on which only others were
    made. Nothing is known before `since`, or else before the first run.
    """
    known = sorted(happened, key=lambda one: one.time)
    today = now.astimezone(zone).date()
    runs: dict[date, Counter[Outcome]] = {}
    drills: dict[date, Counter[Outcome]] = {}
    for one in known:
        kept = runs if one.operation == "run" else drills
        kept.setdefault(one.time.astimezone(zone).date(), Counter())[one.outcome] += 1
    times = [one.time for one in known if one.operation == "run"]
    since = since or (times[0] if times else now)
    days = []
    for back in reversed(range(count)):
        day = today - back * _DAY
        start, end = _midnight(day, zone), _midnight(day + _DAY, zone)
        state, late, lacks = _worst(runs.get(day, {})), None, frozenset[Contents]()
        if state == "nothing" and end <= since:
            state = "unknown"
        elif state == "nothing" and day < today and since < start:
            late = due(start, end) if due else start
            if late is not None and not (due and any(late <= one <= late + _LATE for one in times)):
                state = "missing"
        elif state == "succeeded" and day < today and since < start:
            found = _lacking(dues, known, start, end)
            if found is not None:
                state, (lacks, late) = "missing", found
        days.append(
            Day(day, state, runs.get(day, {}), drills.get(day, {}), late if due or lacks else None, lacks)
        )
    return days


def _lacking(
    dues: Mapping[frozenset[Contents], Due], known: Sequence[Happened], start: datetime, end: datetime
) -> tuple[frozenset[Contents], datetime] | None:
    """What a run should have held that was due on a day, and when it was, if none that did began on that day."""
    times = [one.time for one in known]
    for contents, due in dues.items():
        late = due(start, end)
        if late is None:
            continue
        begun = known[bisect_left(times, start) : bisect_right(times, max(end, late + _LATE))]
        if not any(
            one.operation == "run" and (not one.contents or one.contents >= contents) for one in begun
        ):
            return contents, late
    return None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _worst(runs: Mapping[Outcome, int]) -> State:
    worst: Sequence[Outcome] = ("failed", "incomplete", "succeeded")
    return next((outcome for outcome in worst if runs.get(outcome)), "nothing")


def calendar(days: Sequence[Day], *, zone: tzinfo, source: str) -> Picture:
    """The days as a calendar, of which the last one is today. `source` says from what all is known."""
    counts: Counter[State] = Counter(day.state for day in days)
    drills: Counter[Held] = Counter(day.drill for day in days if day.drill)
    if counts["nothing"] + counts["unknown"] == len(days) and not drills:
        return Picture(title=_TITLE, told=f"No run was made in these days. {source}", shape="half")
    said = [f"{many(counts[state], 'day')} {what}" for state, what in _STATES.items() if counts[state]]
    held = _held(drills) if drills else "No drill was held."
    told = f"{_sentence(', '.join(said))} {held}" if said else held
    weeks = (days[0].date.weekday() + len(days) + 6) // 7
    drawing = [
        words(percent(_COLUMN * (column + 0.5)), 12, name, "mid small soft")
        for column, name in enumerate(_WEEKDAYS)
    ]
    for number, day in enumerate(days):
        place = number + days[0].date.weekday()
        drawing += _cell(
            day, place % 7, place // 7, first=number == 0, today=number == len(days) - 1, zone=zone
        )
    return Picture(
        title=_TITLE,
        told=f"{told} {source}",
        heard=f"{told} The last trouble: {_last_trouble(days)}",
        drawing="\n".join(drawing),
        height=_HEAD + _ROW * weeks,
        legend=[*_legend(counts, drills)],
        columns=("Day", "Runs", "Drills"),
        rows=[(_named(day), _runs_of(day, zone), _drills_of(day)) for day in reversed(days)],
        shape="half",
    )


def _cell(day: Day, column: int, row: int, *, first: bool, today: bool, zone: tzinfo) -> Iterator[str]:
    left, top = _COLUMN * column, _HEAD + _ROW * row
    tip = [f"{_named(day)}{', today' if today else ''}", _runs_of(day, zone), _drills_of(day)]
    classes = f"day {day.state}{' today' if today else ''}"
    inside = tooltip([line for line in tip if line])
    yield box(percent(left + 0.4), top + 2, percent(_COLUMN - 0.8), _ROW - 4, classes, inside, round_=5)
    month = f" {_MONTHS[day.date.month - 1]}"
    begins = day.date.day == 1
    classes = "small text through" if today else "small soft through"
    # On a phone there is room for "1 Oct", and not for "25 Sep".
    number, more = f"{day.date.day}{month if begins else ''}", month if first and not begins else ""
    yield words(percent(left + 1.6), top + 14, number, classes, more)
    if _SHAPES[day.state]:
        x = left + _COLUMN * (0.3 if day.drill else 0.5)
        yield mark(percent(x), top + 26, _SHAPES[day.state], f"sign {day.state} through")
    if day.drill:
        x = left + _COLUMN * 0.74
        yield mark(percent(x), top + 26, _DRILLS[day.drill], f"drill {day.drill} through")


def _legend(counts: Mapping[State, int], drills: Mapping[Held, int]) -> Iterator[tuple[str, str]]:
    for state in _STATES:
        if counts[state]:
            yield f'<g transform="translate(8 8)" class="sign {state}">{_SHAPES[state]}</g>', state
    for held, shape in _DRILLS.items():
        if drills.get(held):
            yield f'<g transform="translate(8 8)" class="drill {held}">{shape}</g>', f"drill {held}"


def _named(day: Day) -> str:
    return f"{_WEEKDAYS[day.date.weekday()]} {day_of(datetime.combine(day.date, time(), UTC))}"


def _runs_of(day: Day, zone: tzinfo) -> str:
    if day.state == "missing":
        what = f" of {named(day.lacks)}" if day.lacks else ""
        missing = (
            f"missing: a run{what} was due at {day.due.astimezone(zone):%H:%M}" if day.due else "missing"
        )
        return "; ".join(filter(None, (missing, _counted(day.runs))))
    return _counted(day.runs) or ("not known" if day.state == "unknown" else "none")


def _drills_of(day: Day) -> str:
    return (
        f"drill {day.drill}"
        if sum(day.drills.values()) < 2 and day.drill
        else _counted(day.drills, "drills: ")
    )


def _counted(outcomes: Mapping[Outcome, int], before: str = "") -> str:
    order: Sequence[Outcome] = ("failed", "incomplete", "succeeded")
    said = ", ".join(f"{outcomes[outcome]:,} {outcome}" for outcome in order if outcomes.get(outcome))
    return before + said if said else ""


def _held(drills: Mapping[Held, int]) -> str:
    failed = f", on {drills['failed']} of them one failed" if drills.get("failed") else ""
    return f"Drills on {many(sum(drills.values()), 'day')}{failed}."


def _last_trouble(days: Sequence[Day]) -> str:
    for day in reversed(days):
        if day.state in ("failed", "incomplete", "missing"):
            return f"{_named(day)}, {day.state}."
    return "none."


def _sentence(words_: str) -> str:
    return words_[0].upper() + words_[1:] + "."
