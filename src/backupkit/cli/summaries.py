"""The verb `summary`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer

from backupkit._operation import utc_now
from backupkit.cli.choosing import Choice
from backupkit.cli.options import EveryPipeline, Json, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import problem_lines
from backupkit.cli.texts import columns, counted, minutes, named
from backupkit.errors import ConfigurationError
from backupkit.model import DestinationSummary, SeriesSummary, Summary
from backupkit.pipeline import BackupPipeline
from backupkit.printable import printable
from backupkit.scheduling import Job
from backupkit.scheduling.missed import begun
from backupkit.sizes import format_size


@grouped
def summary(
    *,
    send: Annotated[
        bool, typer.Option("--send", help="Send it to the notifiers that want to hear it, too.")
    ] = False,
    choice: Choice,
    all_pipelines: EveryPipeline = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="With --send: print nothing.")] = False,
) -> None:
    """Show how the backups stand: how many, how large, how old, how they grow, and what the health checks say.

    Exit code 0 also if they are unhealthy, which is for monitor to say; 1 if it could not be sent.

    \b
    Examples:
      backupkit summary --app shop.backups:pipeline
    In cron, each Monday at 8:
      0 8 * * 1  cd /srv/shop && backupkit summary --app shop.backups:pipeline --send --quiet
    """
    output = Output(json=json, quiet=quiet and send)
    with output.ending():

        def operation(pipeline: BackupPipeline) -> Summary:
            if send and not any("summary" in notifier.on for notifier in pipeline.notifiers):
                raise ConfigurationError(
                    f"No notifier of {pipeline.name} wants to hear summaries: give it one, or leave out --send."
                )
            if send:
                begun(pipeline, Job("summary"), utc_now())
            return pipeline.send_summary() if send else pipeline.summary()

        if all_pipelines:
            output.each(choice.every(), operation, summary_lines)
        found = operation(choice.one())
        output.told(found, () if output.quiet else summary_lines(found))


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield a table with a line for each contents at each destination, and then all problems."""
    yield printable(f"The backups of {summary.name} at {minutes(summary.time)}:")
    head = ["CONTENTS", "BACKUPS", "STORED", "NEWEST GOOD", "AGE", "IN A WEEK", "HEALTH", "DESTINATION"]
    rows = [row for destination in summary.destinations for row in _rows(destination, summary.time)]
    yield from columns([head, *rows])
    for destination in summary.destinations:
        yield from problem_lines(destination.problems)


def _rows(destination: DestinationSummary, now: datetime) -> Iterator[list[str]]:
    health = "healthy" if destination.healthy else "unhealthy"
    for series in destination.series:
        yield [*_cells(series, now), health, destination.location]
    if not destination.series:
        yield ["-", "0" if destination.reachable else "?", *["-"] * 4, health, destination.location]


def _cells(series: SeriesSummary, now: datetime) -> list[str]:
    newest, growth = series.newest, series.growth
    return [
        named(series.contents),
        str(series.count),
        format_size(series.stored),
        "none" if newest is None else minutes(newest.time),
        "-" if newest is None else _age(newest.time, now),
        "-" if growth is None else f"{'-' if growth < 0 else '+'}{format_size(abs(growth))}",
    ]


def _age(time: datetime, now: datetime) -> str:
    passed = max(0, round((now - time).total_seconds() / 60))
    if passed < 60:
        return counted(passed, "minute", "minutes")
    hours = round(passed / 60)
    return counted(hours, "hour", "hours") if hours < 48 else f"{hours // 24} days"
