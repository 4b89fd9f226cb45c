"""The verb `drill`."""

from __future__ import annotations

from typing import Annotated

import typer

from backupkit.cli.choosing import Choice
from backupkit.cli.databases import named_databases
from backupkit.cli.importing import chosen_assertions
from backupkit.cli.options import At, Half, Json, NoNotify, Quiet, Which, contents_of, grouped
from backupkit.cli.output import Output
from backupkit.cli.stopping import cancelled_by_signals


@grouped
def drill(
    *,
    backup: Which = "latest",
    at: At = None,
    only: Half = None,
    database: Annotated[
        list[str] | None,
        typer.Option(
            "--database",
            metavar="NAME=URL",
            help="A server for the scratch database of this dump; default: the one it came from. With a password: "
            "NAME=env:VARIABLE, which holds the URL. Repeatable.",
        ),
    ] = None,
    scratch: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Restore files below it. Default: the folder for temporary files."
        ),
    ] = None,
    assertion: Annotated[
        list[str] | None,
        typer.Option(
            "--assert",
            metavar="MODULE:FUNCTION",
            help="Call it with what was restored; it fails by an exception or by what is not true. Repeatable.",
        ),
    ] = None,
    compare_rows: Annotated[
        bool, typer.Option("--compare-rows", help="Compare the rows with those counted when it was dumped.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything in place, and tell where.")] = False,
    no_notify: NoNotify = False,
    choice: Choice,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rehearse a restore in scratch places.

    Files go to a new folder, dumps to new databases; the originals are never touched, and all is removed again.
    That is remembered beside the backup: `list` shows when it was proven. Exit code 1 if it failed, or could not
    be held; 3 if rows could not be compared.

    \b
    Examples:
      backupkit drill --app shop.backups:pipeline
      backupkit drill --app shop.backups:pipeline --assert shop.backups:has_orders --compare-rows
      backupkit drill --app shop.backups:pipeline --database shop=postgresql://scratch-server/
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        contents, databases = contents_of(only), named_databases(database)
        pipeline = choice.one(output.observers())
        assertions = chosen_assertions(assertion or ())
        with cancelled_by_signals() as cancel:
            report = pipeline.drill(
                backup,
                at=at,
                only=contents,
                databases=databases,
                scratch=scratch,
                assertions=assertions,
                compare_rows=compare_rows,
                keep=keep,
                notify=not no_notify,
                cancel=cancel,
            )
        output.report(report)
