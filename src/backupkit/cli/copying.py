"""The verb `copy`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from backupkit.backups import Backups
from backupkit.cli.choosing import Choice
from backupkit.cli.completing import pipeline_names
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, DryRun, Json, Quiet, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.passphrases import given_passphrase
from backupkit.cli.reports import problem_lines
from backupkit.cli.texts import counted
from backupkit.destinations.opening import open_destination
from backupkit.errors import ConfigurationError, RepositoryNotFoundError
from backupkit.formats.restic.format import Restic
from backupkit.formats.zip.format import Zip
from backupkit.model import Report
from backupkit.opening import open_repository
from backupkit.passphrase import Passphrase
from backupkit.printable import printable
from backupkit.protocols import Encryptor


class ToFormat(StrEnum):
    """What copies are kept as, as an option's values."""

    zip = "zip"
    snapshots = "snapshots"


@grouped
def copy(
    url: Url = None,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Folder or URL that gets the copies; it may be empty.", show_default=False
        ),
    ] = None,
    to_app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:PIPELINE", help="A pipeline, whose destinations all get them.", show_default=False
        ),
    ] = None,
    to_config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A settings file, of which a pipeline gets them.", show_default=False
        ),
    ] = None,
    to_pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which one of these, where there are several.",
            show_default=False,
            autocompletion=pipeline_names("to_config", "to_app"),
        ),
    ] = None,
    backup: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="An id from `list`, or its beginning, or latest, the default. Repeatable.",
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that are not there yet.")] = False,
    at: At = None,
    to_format: Annotated[
        ToFormat | None,
        typer.Option(help="Of a place that is empty. Default: that of the backups.", show_default=False),
    ] = None,
    to_passphrase_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Its first line is that of --to. Default: the passphrase of the backups."
        ),
    ] = None,
    to_passphrase_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The environment variable that holds it.")
    ] = None,
    to_passphrase_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="The first line it prints is it. No shell.")
    ] = None,
    opening: OpeningAny,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy backups to another place, passphrase or format.

    A copy keeps its id, time, tags, host and pin. What is there already is passed over, so that a copying which
    was interrupted is finished by the same command. Exit code 3 says that something could not be copied.

    \b
    Examples:
      backupkit copy /mnt/backup --to /mnt/other
      backupkit copy /mnt/archives --all --to /mnt/snapshots --to-format snapshots
      backupkit copy --app shop.backups:archives --all --to-app shop.backups:pipeline
      backupkit copy /mnt/backup --all --to sftp://backup@other/shop --to-passphrase-file ~/.other-passphrase
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        if all_ and backup:
            raise ConfigurationError("--all and --backup exclude each other: give one of them.")
        pipeline = Choice(app=to_app, config=to_config, pipeline=to_pipeline)
        if (to is not None) == (to_app is not None or to_config is not None):
            raise ConfigurationError(
                "Say where the copies go: give --to or --to-app or --to-config, one of them."
            )
        secret = given_passphrase(
            to_passphrase_file, to_passphrase_env, to_passphrase_command, option="to-passphrase"
        )
        if to is None and (secret is not None or to_format is not None):
            raise ConfigurationError(
                "A pipeline brings its own passphrase and format: leave these options out."
            )
        place = opening.at(url)

        def target(backups: Backups) -> Backups:
            if to is None:
                return pipeline.one()
            return _place_for_copies(to, secret or backups.encryptor, to_format, like=backups)

        report = place.use(
            lambda backups, cancel: backups.copy(
                "all" if all_ else backup or "latest",
                to=target(backups),
                at=at,
                dry_run=dry_run,
                cancel=cancel,
            ),
            observers=output.observers(),
        )
        output.report(report, _dry_lines(report) if dry_run else None)


def _place_for_copies(
    url: str, secret: Passphrase | Encryptor | None, to_format: ToFormat | None, *, like: Backups
) -> Backups:
    """The backups at a place; where there are none, they are to be of this format, or that of others."""
    if Restic.is_at(open_destination(url)):  # be it without a snapshot
        found = Backups(None, url, encryptor=secret, format=Restic())
    else:
        try:
            found = open_repository(url, secret)
        except RepositoryNotFoundError:
            snapshots = like.format.shares_bytes if to_format is None else to_format is ToFormat.snapshots
            return Backups(None, url, encryptor=secret, format=Restic() if snapshots else Zip())
    kept = ToFormat.snapshots if found.format.shares_bytes else ToFormat.zip
    if to_format not in (None, kept):
        raise ConfigurationError(
            f"What is at {found.destinations[0].location} is kept as {kept}, not as {to_format}: leave "
            "--to-format out, or give another place."
        )
    return found


def _dry_lines(report: Report) -> Iterator[str]:
    would = counted(len(report.destinations), "backup", "backups")
    there = f", {counted(report.skipped, 'is', 'are')} there already" if report.skipped else ""
    yield f"Nothing was copied (dry run): {would} would be{there}."
    for result in report.destinations:
        if result.backup is not None:
            yield printable(f"  {result.backup.id} to {result.location}")
    yield from problem_lines(report.problems)
