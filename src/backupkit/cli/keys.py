"""The verb `key` and its own verbs: who may open the snapshots, and the sheet for the worst case."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from backupkit.cli.opening import Opening
from backupkit.cli.options import At, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.passphrases import NewPassphrase, new_passphrase
from backupkit.cli.reports import problem_lines
from backupkit.cli.texts import columns, minutes
from backupkit.errors import ConfigurationError
from backupkit.model import KeyListing

keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@keys.callback()
def key() -> None:
    """List, add, remove and change what opens the snapshots, or print a recovery sheet."""


@keys.command("list")
@grouped
def list_(
    url: Url = None,
    *,
    at: At = None,
    opening: Opening,
    json: Json = False,
) -> None:
    """List the keys: whose they are, since when, and which one was used now.

    \b
    Examples:
      backupkit key list --app shop.backups:pipeline
      backupkit key list /mnt/backup
    """
    output = Output(json=json)
    with output.ending():
        place = opening.at(url)
        listing = place.use(lambda backups, _: backups.keys(at=at))
        output.told(listing, _lines(listing))
        if listing.problems:
            raise typer.Exit(3)


@keys.command()
@grouped
def add(
    url: Url = None,
    *,
    at: At = None,
    new: NewPassphrase,
    opening: Opening,
    json: Json = False,
) -> None:
    """Let another passphrase open the snapshots, too.

    Without one of the --new-passphrase options, it is asked for. It is never an argument, which every user of the
    machine could see.

    \b
    Examples:
      backupkit key add --app shop.backups:pipeline
      backupkit key add /mnt/backup --new-passphrase-file colleague.txt
    """
    output = Output(json=json)
    with output.ending():
        given = new.given()
        place = opening.at(url)
        output.report(
            place.use(lambda backups, cancel: backups.add_key(new_passphrase(given), at=at, cancel=cancel))
        )


@keys.command()
@grouped
def remove(
    url: Url = None,
    *,
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="ID", help="An id from `key list`, or its beginning.", show_default=False
        ),
    ],
    at: At = None,
    opening: Opening,
    json: Json = False,
) -> None:
    """Remove a key, so that its passphrase opens the snapshots no more.

    The last one, and the one in use, are refused.

    \b
    Examples:
      backupkit key remove --app shop.backups:pipeline --key 5a0e2f41
      backupkit key remove /mnt/backup --key 5a0e2f41
    """
    output = Output(json=json)
    with output.ending():
        place = opening.at(url)
        output.report(place.use(lambda backups, cancel: backups.remove_key(key, at=at, cancel=cancel)))


@keys.command()
@grouped
def change(
    url: Url = None,
    *,
    at: At = None,
    new: NewPassphrase,
    opening: Opening,
    json: Json = False,
) -> None:
    """Change the passphrase of the snapshots.

    A key for the new one is added and tried before that of the old one is removed. What could not be done at a
    destination is said, and done by the same command once more.

    \b
    Examples:
      backupkit key change --app shop.backups:pipeline
      backupkit key change /mnt/backup --new-passphrase-file new.txt --passphrase-file old.txt
    """
    output = Output(json=json)
    with output.ending():
        given = new.given()
        place = opening.at(url)
        output.report(
            place.use(
                lambda backups, cancel: backups.change_passphrase(new_passphrase(given), at=at, cancel=cancel)
            )
        )


@keys.command()
@grouped
def sheet(
    url: Url = None,
    *,
    at: At = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there, for your eyes only."),
    ] = None,
    opening: Opening,
    json: Json = False,
) -> None:
    """Print what a stranger needs to restore, besides the passphrase, which is not on it.

    Of archives, too. Whoever has the sheet and the passphrase can mend a repository that has lost its keys.

    \b
    Examples:
      backupkit key sheet --app shop.backups:pipeline | lp
      backupkit key sheet /mnt/backup --output sheet.md
    """
    told = Output(json=json)
    with told.ending():
        place = opening.at(url)
        text = place.use(lambda backups, _: backups.recovery_sheet(at=at))
        if output is None:
            told.told(text, text.splitlines())
            return
        _write(text, Path(output))
        told.told(output, [f"The recovery sheet is in {output}."])


def _write(text: str, file: Path) -> None:
    """In one step, and so that nobody else can read it, whoever could read what was there."""
    made = None
    try:
        descriptor, made = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}.")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        os.replace(made, file)
    except OSError as error:
        if made is not None:
            with suppress(OSError):
                os.unlink(made)
        raise ConfigurationError(
            f"The recovery sheet cannot be written to {file} ({error.strerror}): name another file."
        ) from error


def _lines(listing: KeyListing) -> Iterator[str]:
    rows = [["ID", "USER", "HOST", "CREATED", "STATE", "DESTINATION"]]
    for one in listing.keys:
        state = "unreadable" if one.flaw else "in use" if one.in_use else "-"
        created = minutes(one.created) if one.created else "?"
        rows.append([one.id[:8], one.user or "?", one.host or "?", created, state, one.location])
    yield from columns(rows)
    yield from problem_lines(listing.problems)
