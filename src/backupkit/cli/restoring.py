"""The verb `restore`."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from backupkit.backups import Backups
from backupkit.cli.asking import Wanted, somebody_is_there, words_of
from backupkit.cli.databases import database_url, named_databases
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Database, DryRun, Half, Json, Quiet, Url, contents_of, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import restore_lines
from backupkit.model import Report


@grouped
def restore(
    url: Url = None,
    *,
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="A folder, made if it is missing, or for the only dump the URL of a database (env:VARIABLE, if it "
            "has a password).",
            show_default=False,
        ),
    ] = None,
    database: Database = None,
    backup: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="An id from `list`, or its beginning, or latest: newest good. Default: latest.",
            show_default=False,
        ),
    ] = None,
    at: At = None,
    only: Half = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only what matches (gitignore syntax). Repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="All but what matches. Repeatable.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this table, of PostgreSQL dumps in the custom form. Repeatable."
        ),
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the databases that are missing.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files that are in the way, and all that is in a database."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after an interruption: leave what is finished.")
    ] = False,
    setuid: Annotated[
        bool, typer.Option("--setuid", help="Also bits and attributes that grant rights; if you trust it.")
    ] = False,
    sparse: Annotated[
        bool, typer.Option("--sparse", help="Leave out blocks of zeros, so that files take less space.")
    ] = False,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Restore no more content than this, such as 50GB.")
    ] = None,
    max_entries: Annotated[
        int | None, typer.Option(metavar="COUNT", min=0, help="Restore no more files, links and folders.")
    ] = None,
    dry_run: DryRun = False,
    opening: OpeningAny,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write what is in a backup to a folder, to databases, or both.

    Whatever would be in the way is found before anything is written. At a terminal, without --to and --database,
    it asks: which backup, what of it, and where to.

    \b
    Examples:
      backupkit restore /mnt/backup
      backupkit restore --app shop.backups:pipeline --to /srv/restored
      backupkit restore /mnt/backup --to ./found --include 'shop/uploads/2026/*.jpg'
      backupkit restore /mnt/backup --to /srv/restored --resume
      backupkit restore /mnt/backup --to postgresql://localhost/shop --create
      backupkit restore /mnt/backup --to /srv/restored --database shop=env:SHOP_URL --overwrite
    On another machine, with nothing but the disk and the passphrase:
      backupkit restore /mnt/backup --to /srv --passphrase-file passphrase.txt
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        databases = named_databases(database)
        target = None if to is None else database_url(to, "--to") or to
        wanted = Wanted(
            backup=backup,
            only=contents_of(only),
            include=include or (),
            to=to,
            overwrite=overwrite,
            asking=to is None and not databases and not (json or quiet) and somebody_is_there(),
        )

        def operation(backups: Backups, cancel: threading.Event) -> Report:
            wanted.complete(backups, at=at, command=[*words_of(context)])
            return backups.restore(
                wanted.backup or "latest",
                to=target or wanted.to,
                databases=databases or None,
                at=at,
                only=wanted.only,
                include=wanted.include,
                exclude=exclude or (),
                tables=table or (),
                create=create,
                overwrite=wanted.overwrite,
                setuid=setuid,
                resume=resume,
                sparse=sparse,
                max_size=max_size,
                max_entries=max_entries,
                dry_run=dry_run,
                cancel=cancel,
            )

        report = place.use(operation, observers=output.observers())
        target = target or wanted.to
        places = [
            *([] if target is None else [str(target)]),
            *(f"{url}, the database {name}" for name, url in databases.items()),
        ]
        output.report(report, restore_lines(report, to=places, dry_run=dry_run))
