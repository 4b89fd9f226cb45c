"""`backupkit retention`: years of a schedule in a moment, and what the policy would have kept of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from backupkit.cli.choosing import Choice
from backupkit.cli.options import Json, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import columns, counted
from backupkit.errors import BackupKitError, ConfigurationError
from backupkit.model import Backup, Contents
from backupkit.pipeline import BackupPipeline
from backupkit.plain_data import plain
from backupkit.printable import printable
from backupkit.retention.simulation import ScheduledRun, Simulation, simulate
from backupkit.sizes import format_size
from backupkit.zones import zone_named

_RUN = re.compile(
    r"(?P<what>full|databases|files) (?P<at>[0-9:]+)"
    r"(?: every (?P<count>[0-9]{1,4}) ?(?P<unit>h|hours?|d|days?))?(?: (?P<size>[0-9].*))?"
)
_ASSUMED = "500MB"
_ANY_SVG = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<svg\b")


@dataclass(frozen=True, slots=True)
class _Planned:
    """A run of the schedule, what it is called, and where its size is from."""

    what: str
    run: ScheduledRun
    size_from: str


@grouped
def retention(
    *,
    days: Annotated[
        int, typer.Option(metavar="COUNT", min=1, max=36_525, help="How many days to simulate.")
    ] = 365,
    run: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCHEDULE",
            help="When what runs: 'full 03:00', 'databases 00:00 every 6h', 'files 02:00 every 2d 20GB'. "
            "Repeatable. Default: full at 03:00, databases every 6 hours from 00:00.",
            show_default=False,
        ),
    ] = None,
    clean_at: Annotated[
        str, typer.Option("--clean-at", metavar="HH:MM", help="When it is cleaned, every day.")
    ] = "04:00",
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Of the schedule, such as Europe/Berlin.")
    ] = "UTC",
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also draw it, as SVG, for a browser.")
    ] = None,
    choice: Choice,
    json: Json = False,
) -> None:
    """Show what the retention policy would keep.

    Simulates a schedule and its cleanings for COUNT days up to today. Nothing is made or removed. Sizes that are
    not said are those of the newest real backups, or 500 MB where there are none.

    \b
    Examples:
      backupkit retention --app shop.backups:pipeline
      backupkit retention --app shop.backups:pipeline --days 2190 --plot kept.svg
      backupkit retention --app shop.backups:pipeline --run 'full 02:30 2GB' --run 'databases 00:00 every 1h 80MB'
    """
    output = Output(json=json)
    with output.ending():
        pipeline = choice.one()
        picture = None if plot is None else _replaceable(plot)
        schedule = _schedule(run, pipeline)
        today = datetime.now(zone_named(time_zone)).date()
        simulation = simulate(
            pipeline.retention,
            [planned.run for planned in schedule],
            days,
            start=today - timedelta(days=days - 1),
            clean_at=clean_at,
            time_zone=time_zone,
        )
        if picture is not None:
            _draw(simulation, picture)
        document = {
            "name": pipeline.name,
            "schedule": [plain(planned.run) for planned in schedule],
            **plain(simulation),
        }
        every_day = f"{counted(days, 'day', 'days')}, cleaned at {clean_at} {time_zone}"
        output.told(
            document, _lines(str(pipeline.name), schedule, simulation, every_day=every_day, picture=picture)
        )


def _lines(
    name: str,
    schedule: Sequence[_Planned],
    simulation: Simulation,
    *,
    every_day: str,
    picture: Path | None,
) -> Iterator[str]:
    last, kept = simulation.days[-1], simulation.kept
    yield (
        f"Of {every_day}, {name} would keep {len(kept)} of "
        f"{counted(len(simulation.backups), 'backup', 'backups')}: {format_size(last.stored)}, and "
        f"{format_size(max(day.peak for day in simulation.days))} at most before a cleaning."
    )
    for line in columns([_schedule_row(planned) for planned in schedule]):
        yield f"  {line}"
    for series in last.series:
        yield f"{'+'.join(sorted(series.contents))}: {series.count} kept, {format_size(series.stored)}"
        rows = [
            ["keep", one.backup.id, format_size(one.backup.stored), "; ".join(one.reasons)]
            for one in reversed(kept)
            if one.backup.contents == series.contents
        ]
        for line in columns(rows) if rows else ():
            yield f"  {line}"
    if picture is not None:
        yield f"The picture is in {printable(str(picture))}."


def _schedule_row(planned: _Planned) -> list[str]:
    every = planned.run.every
    hours = every // timedelta(hours=1)
    often = counted(hours // 24, "day", "days") if hours % 24 == 0 else counted(hours, "hour", "hours")
    size = format_size(int(planned.run.size))
    return ["run", planned.what, planned.run.at, f"every {often}", size, planned.size_from]


def _schedule(given: Sequence[str] | None, pipeline: BackupPipeline) -> list[_Planned]:
    """What `--run` said, each time, or else what most have; with sizes."""
    if not given:
        contents = pipeline.contents
        given = [
            *(["full 03:00"] if contents != {"databases"} else []),
            *(["databases 00:00 every 6h"] if "databases" in contents else []),
        ]
    planned = [_planned(text, pipeline.contents) for text in given]
    if all(one.size_from for one in planned):
        return planned
    newest = _newest(pipeline)
    return [one if one.size_from else _sized(one, newest.get(one.run.contents)) for one in planned]


def _planned(text: str, contents: frozenset[Contents]) -> _Planned:
    found = _RUN.fullmatch(" ".join(text.split()))
    if not found:
        raise ConfigurationError(
            f"--run {text!r} is no schedule: write what, when, how often and how large, such as 'full 03:00', "
            "'databases 00:00 every 6h' or 'files 02:00 every 2 days 20GB'."
        )
    what, size = found["what"], found["size"]
    only: Contents | None = "databases" if what == "databases" else "files" if what == "files" else None
    if only is None and len(contents) == 1:
        (only,) = contents  # a full backup of what holds nothing else
    if only is not None and only not in contents:
        raise ConfigurationError(f"--run {text!r} has no sources: the pipeline backs up no {only}.")
    unit = timedelta(hours=1) if (found["unit"] or "d").startswith("h") else timedelta(days=1)
    run = ScheduledRun(found["at"], int(found["count"] or 1) * unit, only, size or _ASSUMED)
    return _Planned(what, run, "as said" if size else "")


def _newest(pipeline: BackupPipeline) -> dict[frozenset[Contents], Backup]:
    """The newest good backup of each contents, as far as destinations answer."""
    try:
        listing = pipeline.list()
    except BackupKitError:  # it is only for the sizes
        return {}
    return {backup.contents: backup for backup in reversed(listing.backups) if backup.good}


def _sized(planned: _Planned, newest: Backup | None) -> _Planned:
    if newest is None:
        return replace(planned, size_from="assumed, for want of a real one")
    return replace(
        planned, run=replace(planned.run, size=newest.stored), size_from=f"the size of {newest.id}"
    )


def _replaceable(path: str) -> Path:
    """The path, unless something stands there that is no picture."""
    file = Path(path)
    try:
        if file.exists() and not (file.is_file() and _ANY_SVG.match(_beginning(file))):
            raise ConfigurationError(
                f"--plot {path} would replace something that is no SVG picture: name another file."
            )
    except OSError as error:
        raise _unwritable(path, error) from error
    return file


def _beginning(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(1024)


def _draw(simulation: Simulation, file: Path) -> None:
    from backupkit.retention.picture import plot_retention

    try:
        file.write_text(plot_retention(simulation), encoding="utf-8")
    except OSError as error:
        raise _unwritable(str(file), error) from error


def _unwritable(path: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"--plot {path} cannot be written ({error.strerror or error}): name a file in a folder of yours."
    )
