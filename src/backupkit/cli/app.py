"""The command line: its verbs, in the order in which `--help` shows them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import backupkit
from backupkit.cli.browsing import cat, ls
from backupkit.cli.catching_up import catch_up
from backupkit.cli.catching_up import run as run_schedules
from backupkit.cli.cleaning import clean
from backupkit.cli.comparing import diff
from backupkit.cli.configuring import settings
from backupkit.cli.copying import copy
from backupkit.cli.deleting import delete
from backupkit.cli.doctor import doctor
from backupkit.cli.downloading import download
from backupkit.cli.drilling import drill
from backupkit.cli.finding import find
from backupkit.cli.keys import keys
from backupkit.cli.listings import list_
from backupkit.cli.monitoring import monitor
from backupkit.cli.output import Output
from backupkit.cli.pinning import pin, unpin
from backupkit.cli.pruning import prune
from backupkit.cli.repairing import repair
from backupkit.cli.restoring import restore
from backupkit.cli.retention import retention
from backupkit.cli.running import run
from backupkit.cli.scheduling import schedules
from backupkit.cli.statistics import stats
from backupkit.cli.summaries import summary
from backupkit.cli.unlocking import unlock
from backupkit.cli.verifying import verify
from backupkit.cli.web import web

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # it shows the values of variables, and a secret may be one of them
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None, *, program: str = "backupkit") -> None:
    """Run the command line, with the arguments of this process unless others are given, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than Unicode
    app(arguments, prog_name=program)


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
      9. all that in a browser   backupkit web     --app shop.backups:pipeline
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

    \b
    Or a settings file says it. It is found in this folder and those above, and --app can be left out:
      backupkit config init

    Whatever is done with backups that exist needs no application, only their place and passphrase:
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


app.command()(run)
app.command("list")(list_)
for _verb in (
    verify,
    restore,
    drill,
    clean,
    ls,
    cat,
    copy,
    download,
    prune,
    repair,
    unlock,
    retention,
    pin,
    unpin,
    delete,
):
    app.command()(_verb)
for _verb in (monitor, summary, doctor, diff, find, stats, web):
    app.command()(_verb)
app.add_typer(keys, name="key")
schedules.command("catch-up")(catch_up)
schedules.command("run")(run_schedules)
app.add_typer(schedules, name="schedule")
app.add_typer(settings, name="config")
