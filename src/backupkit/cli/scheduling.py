"""The verbs `schedule show`, `crontab` and `systemd`: when what is done, and by whom."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from backupkit.cli.choosing import Choice, Chosen
from backupkit.cli.hosting import host
from backupkit.cli.importing import named_object
from backupkit.cli.options import Json, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import columns
from backupkit.errors import ConfigurationError
from backupkit.scheduling import Schedule
from backupkit.scheduling.calling import Calling, this_program
from backupkit.scheduling.crontab import crontab_lines
from backupkit.scheduling.schedule import schedule_of
from backupkit.scheduling.systemd import systemd_units
from backupkit.zones import machine_zone

schedules = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

ScheduleName = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="MODULE:SCHEDULE",
        help="A Schedule, or a mapping of several by the names of pipelines. Default: what the settings file says, "
        "or else the usual one.",
        show_default=False,
    ),
]
User = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Who makes the backups.", show_default=False)
]


@schedules.callback()
def schedule() -> None:
    """Show when what is done, let cron or systemd do it, do it here, or catch up what was missed.

    All pipelines of a settings file, a mapping or --app are meant, or the one that --pipeline names.
    """


@dataclass(frozen=True, kw_only=True)
class Scheduling(Choice):
    """The options that say which pipelines are meant, and when what is done with them."""

    schedule: ScheduleName = None

    def chosen(self, output: Output) -> Sequence[tuple[Chosen, Schedule]]:
        """The pipelines, each with its schedule."""
        found = self.scheduled(output.observers())
        if self.schedule is None:
            return [(one, schedule_of(one.pipeline, one.schedule)) for one in found]
        named = named_object(self.schedule, option="--schedule", what="schedule")
        if not isinstance(named, Schedule | Mapping):
            raise ConfigurationError(
                f"{self.schedule} is of type {type(named).__name__}, not a Schedule: name one, or a mapping of "
                "several by the names of pipelines."
            )
        return [(one, schedule_of(one.pipeline, named)) for one in found]

    def called(self, output: Output) -> Sequence[tuple[Calling, Schedule]]:
        """How schedulers of the machine call this program for them."""
        named = [] if self.schedule is None else ["--schedule", self.schedule]
        return [
            (
                Calling(
                    name=str(one.pipeline.name),
                    choice=one.options,
                    # The module of a schedule is looked for here.
                    folder=os.getcwd() if named else one.folder,
                    scheduling=named,
                    program=_program(),
                ),
                schedule,
            )
            for one, schedule in self.chosen(output)
        ]


def _program() -> Sequence[str]:
    application = host()
    if application is None:
        return this_program()
    if not application.called:
        raise ConfigurationError(
            f"How cron and systemd would start {application.program} is not known: name the pipelines by --app."
        )
    return application.called


@schedules.command()
@grouped
def show(
    *,
    count: Annotated[
        int, typer.Option(metavar="COUNT", min=1, max=1000, help="How many times of each job.")
    ] = 1,
    choice: Scheduling,
    json: Json = False,
) -> None:
    """Show when each job is due next, on the clock of its schedule, the jitter included.

    \b
    Examples:
      backupkit schedule show --app shop.backups:pipeline
      backupkit schedule show --config /etc/backupkit.toml --count 7
    """
    output = Output(json=json)
    with output.ending():
        times = sorted(_times(choice.chosen(Output(quiet=True)), count), key=lambda one: one.time)
        rows = [
            [one.time.isoformat(" ", "minutes"), one.pipeline, one.job, one.when, one.time_zone]
            for one in times
        ]
        document = [{**asdict(one), "time": one.time.isoformat()} for one in times]
        output.told(document, columns([["NEXT", "PIPELINE", "JOB", "CRON", "TIME ZONE"], *rows]))


@dataclass(frozen=True, slots=True)
class _Due:
    """When a job is due."""

    time: datetime
    pipeline: str
    job: str
    when: str
    time_zone: str


def _times(chosen: Sequence[tuple[Chosen, Schedule]], count: int) -> Iterator[_Due]:
    for one, schedule in chosen:
        name = str(one.pipeline.name)
        for scheduled in schedule.jobs:
            due = datetime.now(UTC)
            for _ in range(count):
                due = schedule.due_after(name, scheduled, due)
                yield _Due(due, name, str(scheduled.job), scheduled.when, schedule.time_zone)


@schedules.command()
@grouped
def crontab(
    *,
    user: User = None,
    cron_tz: Annotated[
        bool,
        typer.Option(
            "--cron-tz", help="Say the time zone by CRON_TZ=, which cronie knows and Debian's cron not."
        ),
    ] = False,
    choice: Scheduling,
) -> None:
    """Print lines for a crontab; with --user, for a file of /etc/cron.d.

    Printing them changes nothing. Where cron cannot know the time zone of the schedule, it is refused.

    \b
    Examples:
      backupkit schedule crontab --app shop.backups:pipeline
    Added to the crontab that is there:
      (crontab -l; backupkit schedule crontab --app shop.backups:pipeline) | crontab -
      backupkit schedule crontab --config /etc/backupkit.toml --user backup > /etc/cron.d/backups
    """
    output = Output(quiet=True)
    with output.ending():
        called = choice.called(output)
        lines = list(
            crontab_lines(called, machine=machine_zone(), now=datetime.now(UTC), cron_tz=cron_tz, user=user)
        )
        output.told(lines, lines)


@schedules.command()
@grouped
def systemd(
    *,
    output_folder: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="Write them there, such as to /etc/systemd/system, in place of those of the same names.",
            show_default=False,
        ),
    ] = None,
    user: User = None,
    environment_file: Annotated[
        str | None,
        typer.Option(
            "--environment-file",
            metavar="FILE",
            help="Where the variables with secrets stand that the pipeline takes from its environment.",
            show_default=False,
        ),
    ] = None,
    choice: Scheduling,
) -> None:
    """Print the units for systemd, a service and a timer for each job, or write them to a folder.

    \b
    Examples:
      backupkit schedule systemd --app shop.backups:pipeline
      backupkit schedule systemd --app shop.backups:pipeline --user backup --output /etc/systemd/system
    """
    output = Output(quiet=True)
    with output.ending():
        units: dict[str, str] = {}
        for calling, schedule in choice.called(output):
            units |= systemd_units(calling, schedule, user=user, environment_file=environment_file)
        if output_folder is None:
            shown = [line for name, text in units.items() for line in (f"# {name}", *text.splitlines(), "")]
            Output().told(units, shown)
            return
        for name, text in units.items():
            _write(os.path.join(output_folder, name), text)
        timers = " ".join(name for name in units if name.endswith(".timer"))
        lines = [
            f"{len(units)} units are in {output_folder}. Let systemd begin:",
            "  systemctl daemon-reload",
        ]
        Output().told(units, [*lines, f"  systemctl enable --now {timers}"])


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"The unit {path} cannot be written ({error.strerror or error}): name a folder of yours that is there."
        ) from error
