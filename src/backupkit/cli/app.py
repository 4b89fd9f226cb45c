"""The verbs of the command line and their options."""

from __future__ import annotations

import io
import sys
import threading
from datetime import timedelta
from typing import Annotated

import typer

import backupkit
from backupkit.backups import Backups
from backupkit.cli.browsing import cat, ls
from backupkit.cli.choosing import OpeningAny, chosen_assertions, chosen_pipeline
from backupkit.cli.comparing import diff
from backupkit.cli.configuring import config
from backupkit.cli.copying import copy
from backupkit.cli.databases import database_url, named_databases
from backupkit.cli.doctor import doctor
from backupkit.cli.finding import find
from backupkit.cli.keys import keys
from backupkit.cli.listings import detailed, listing_lines
from backupkit.cli.options import App, At, Database, DryRun, Json, Only, Quiet, Url, Which, grouped
from backupkit.cli.output import Output
from backupkit.cli.pinning import pin, unpin
from backupkit.cli.pruning import prune
from backupkit.cli.repairing import repair
from backupkit.cli.reports import dry_clean_lines, restore_lines
from backupkit.cli.retention import retention
from backupkit.cli.statistics import stats
from backupkit.cli.stopping import cancelled_by_signals
from backupkit.cli.summaries import summary
from backupkit.cli.unlocking import unlock
from backupkit.errors import ConfigurationError
from backupkit.model import Contents, Report

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it shows the values of variables, and a secret may be one of them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than Unicode
    app(prog_name="backupkit")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"backupkit {backupkit.__version__}")
        raise typer.Exit


@app.callback()
def backupkit_(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Back up an application's files and databases into encrypted archives, and get them back.

    \b
    See it at work first:        backupkit demo
    Then, for your application:
      1. make a backup           backupkit run     --app shop.backups:pipeline
      2. see what there is       backupkit list    --app shop.backups:pipeline
      3. read it back            backupkit verify  --app shop.backups:pipeline
      4. get it back             backupkit restore --app shop.backups:pipeline --to /srv/restored
      5. rehearse that           backupkit drill   --app shop.backups:pipeline
      6. remove old ones         backupkit clean   --app shop.backups:pipeline --dry-run
         see what would stay     backupkit retention --app shop.backups:pipeline
      7. be told of trouble      backupkit monitor --app shop.backups:pipeline
      8. see how all stands      backupkit summary --app shop.backups:pipeline
    Before the first one, see whether the destination is fit for it:
                                 backupkit doctor  --app shop.backups:pipeline

    \b
    where shop/backups.py says what goes where:
      from backupkit import BackupPipeline, Directory, Passphrase, SQLite
      pipeline = BackupPipeline(
          "shop",
          [Directory("/srv/shop"), SQLite("/srv/shop/app.sqlite3")],
          ["/mnt/backup"],
          encryptor=Passphrase.from_env("BACKUP_ARCHIVE_PASSWORD"),
      )

    list, verify, restore, ls, cat, copy, pin and unpin need no application, only the backups and their passphrase:
    backupkit list /mnt/backup

    \b
    Exit codes:
       0  all is well                     10  no backups there, or not this one
       1  failed, or unhealthy            11  another run is under way
       2  wrong usage or configuration    12  wrong passphrase
       3  incomplete: something is lost  130  cancelled
    """


@app.command()
def demo(
    folder: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where to do it: a new or empty folder. Default: a temporary one."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep the folder, to look at the archive yourself.")
    ] = True,
) -> None:
    """Back up, destroy and restore a small application.

    Ends with exit code 0 only if all files and rows are proven to be the same as before.

    \b
    Examples:
      backupkit demo
      backupkit demo --folder /tmp/look --keep
    """
    from backupkit.cli.demo import demonstrate

    output = Output()
    with output.ending():
        raise typer.Exit(0 if demonstrate(folder, keep=keep, observers=output.observers()) else 1)


@app.command()
def run(
    app: App = None,
    only: Annotated[Only | None, typer.Option(help="Leave out the other half.")] = None,
    only_db: Annotated[bool, typer.Option("--only-db", help="The same as --only databases.")] = False,
    only_files: Annotated[bool, typer.Option("--only-files", help="The same as --only files.")] = False,
    to: Annotated[
        str | None, typer.Option(metavar="LOCATION", help="Only to this one of the destinations.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Note this with the backup. Repeatable.")
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for another run to end.")
    ] = 0,
    no_notify: Annotated[bool, typer.Option("--no-notify", help="Tell no notifier of this run.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a backup.

    Exit code 3 says that a backup was made, but something is not in it, or not every destination has it.

    \b
    Examples:
      backupkit run --app shop.backups:pipeline
      backupkit run --app shop.backups:pipeline --only databases --tag before-upgrade --wait 600
    In cron, to hear of trouble only:
      0 3 * * *  cd /srv/shop && backupkit run --app shop.backups:pipeline --quiet
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        contents = _contents(only, databases=only_db, files=only_files)
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.run(
                only=contents,
                to=to,
                tags=tag or (),
                notify=not no_notify,
                wait=timedelta(seconds=wait),
                cancel=cancel,
            )
        output.report(report)


@app.command("list")
@grouped
def list_(
    url: Url = None,
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Also entries, plain size, host and tags: one read per backup.")
    ] = False,
    opening: OpeningAny,
    json: Json = False,
) -> None:
    """Show the backups, newest first. Archives need no passphrase for that, snapshots do.

    \b
    Examples:
      backupkit list /mnt/backup
      backupkit list --app shop.backups:pipeline --details
    """
    output = Output(json=json)
    with output.ending():
        place = opening.at(url)
        listing = place.use(lambda backups, _: detailed(backups) if details else backups.list())
        output.listing(listing, listing_lines(listing, details=details))


@app.command()
@grouped
def verify(
    url: Url = None,
    *,
    backup: Which = "latest",
    at: At = None,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help='Of a snapshot, read only a part: "2/7" is the second of seven, "10%" another tenth on each day.',
            show_default=False,
        ),
    ] = None,
    opening: OpeningAny,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a backup back in full and compare its checksums.

    That is remembered beside the backup: one found damaged is no longer a good one.

    \b
    Examples:
      backupkit verify --app shop.backups:pipeline
      backupkit verify /mnt/backup --backup 2026-03-01T02 --passphrase-file ~/.backup-passphrase
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        place = opening.at(url)
        report = place.use(
            lambda backups, cancel: backups.verify(backup, at=at, share=share, cancel=cancel),
            observers=output.observers(),
        )
        output.report(report)


@app.command()
@grouped
def restore(
    url: Url = None,
    *,
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
    backup: Which = "latest",
    at: At = None,
    only: Annotated[Only | None, typer.Option(help="Leave out the other half.")] = None,
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

    Whatever would be in the way is found before anything is written.

    \b
    Examples:
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
        contents = _contents(only)
        databases = named_databases(database)
        target = None if to is None else database_url(to, "--to") or to

        def operation(backups: Backups, cancel: threading.Event) -> Report:
            return backups.restore(
                backup,
                to=target,
                databases=databases or None,
                at=at,
                only=contents,
                include=include or (),
                exclude=exclude or (),
                tables=table or (),
                create=create,
                overwrite=overwrite,
                setuid=setuid,
                resume=resume,
                sparse=sparse,
                max_size=max_size,
                max_entries=max_entries,
                dry_run=dry_run,
                cancel=cancel,
            )

        report = place.use(operation, observers=output.observers())
        places = [
            *([] if target is None else [str(target)]),
            *(f"{url}, the database {name}" for name, url in databases.items()),
        ]
        output.report(report, restore_lines(report, to=places, dry_run=dry_run))


@app.command()
def drill(
    app: App = None,
    backup: Which = "latest",
    at: At = None,
    only: Annotated[Only | None, typer.Option(help="Leave out the other half.")] = None,
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
        contents, databases = _contents(only), named_databases(database)
        pipeline = chosen_pipeline(app, output.observers())
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
                cancel=cancel,
            )
        output.report(report)


@app.command()
def clean(app: App = None, dry_run: DryRun = False, json: Json = False, quiet: Quiet = False) -> None:
    """Remove the backups that the retention policy no longer keeps.

    The newest good backup of each kind stays, whatever the policy says.

    \b
    Examples:
      backupkit clean --app shop.backups:pipeline --dry-run
      backupkit clean --app shop.backups:pipeline
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.clean(dry_run=dry_run, cancel=cancel)
        output.report(report, dry_clean_lines(report) if dry_run else None)


for _verb in (ls, cat, copy, prune, repair, unlock, retention, pin, unpin):
    app.command()(_verb)


@app.command()
def monitor(app: App = None, json: Json = False, quiet: Quiet = False) -> None:
    """Ask the health checks about every destination.

    Exit code 1 if one of them is unhealthy.

    \b
    Examples:
      backupkit monitor --app shop.backups:pipeline
      backupkit monitor --app shop.backups:pipeline --json
    """
    output = Output(json=json, quiet=quiet)
    with output.ending():
        pipeline = chosen_pipeline(app, output.observers())
        with cancelled_by_signals() as cancel:
            report = pipeline.monitor(cancel=cancel)
        output.report(report)


app.command()(summary)
app.command()(doctor)
app.command()(diff)
app.command()(find)
app.command()(stats)
app.add_typer(keys, name="key")
app.add_typer(config, name="config")


def _contents(only: Only | None, *, databases: bool = False, files: bool = False) -> Contents | None:
    databases = databases or only is Only.databases
    files = files or only is Only.files
    if databases and files:
        raise ConfigurationError("Only databases and only files exclude each other: leave both out for both.")
    return "databases" if databases else "files" if files else None
