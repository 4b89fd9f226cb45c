"""The verb `diff`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from backupkit._comparing import Comparison
from backupkit.backups import Backups
from backupkit.cli.entries import plain_entry, shown_path
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, grouped
from backupkit.cli.output import Output
from backupkit.cli.texts import counted, minutes
from backupkit.errors import ConfigurationError
from backupkit.model import Backup, Change, Difference, Differing, Tally
from backupkit.plain_data import plain
from backupkit.sizes import format_size

_SIGNS: dict[Change, str] = {"added": "+", "removed": "-", "content": "M", "metadata": "U", "type": "T"}


@grouped
def diff(
    which: Annotated[
        list[str],
        typer.Argument(
            metavar="[URL] BEFORE AFTER",
            help="The folder or URL that holds the backups, unless --app says it; and two ids from `list`, or "
            "their beginnings, or latest.",
            show_default=False,
        ),
    ],
    *,
    at: At = None,
    folder: Annotated[
        str,
        typer.Option("--folder", metavar="PATH", help="Compare only what is below it.", show_default=False),
    ] = "",
    folder_after: Annotated[
        str | None,
        typer.Option(
            "--folder-after",
            metavar="PATH",
            help="Where that is in the second one, if it is not at the same place.",
            show_default=False,
        ),
    ] = None,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata/--no-metadata", help="Also show where only mode, owner, time or the like differ."
        ),
    ] = True,
    opening: OpeningAny,
    json: Json = False,
) -> None:
    """Show where two backups differ. Reads no contents.

    \b
    Each line is a path, and what became of it from the first backup to the second:
      +  it was added               M  its content is another
      -  it was removed             U  only mode, owner, time, target or the like is another
                                    T  it is of another type, such as a link where a file was

    \b
    Examples:
      backupkit diff --app shop.backups:pipeline 2026-03-01T02 latest
      backupkit diff /mnt/backup 2026-03-01T02 2026-03-02T02 --folder shop/templates
    """
    output = Output(json=json)
    with output.ending():
        if len(which) not in (2, 3):
            raise ConfigurationError(
                "Two backups are compared: give the URL and two ids, or --app and two ids, such as 2026-03 latest."
            )
        *url, before, after = which
        place = opening.at(url[0] if url else None)

        def compared(backups: Backups, cancel: threading.Event) -> None:
            folders = folder if folder_after is None else (folder, folder_after)
            found = backups.diff(before, after, at=at, folder=folders, metadata=metadata, cancel=cancel)
            if json:
                output.stream(
                    {"before": plain(found.before), "after": plain(found.after)},
                    ("differences", map(_plain, found)),
                    lambda: {"sums": plain(found.so_far)},
                )
            else:
                output.told(None, _lines(found))

        place.use(compared)


def _plain(one: Difference) -> dict[str, Any]:
    return {
        "path": one.path,
        "change": one.change,
        "before": plain_entry(one.before),
        "after": plain_entry(one.after),
    }


def _lines(found: Comparison) -> Iterator[str]:
    yield f"From {_named(found.before)} to {_named(found.after)}:"
    for one in found:
        entry = one.after or one.before
        if entry is not None:
            yield f"{_SIGNS[one.change]}  {shown_path(entry)}"
    yield from summary_lines(found.so_far)


def _named(backup: Backup) -> str:
    return f"{backup.id} ({minutes(backup.time)})" if backup.made_by == "other" else backup.id


def summary_lines(sums: Differing) -> Iterator[str]:
    """What all differences come to."""
    if not sums.any:
        yield "Nothing differs."
        return
    parts = [
        *_tally("added", sums.added),
        *_tally("removed", sums.removed),
        *([f"{counted(sums.files, 'file', 'files')} with other content"] if sums.files else []),
        *([f"{sums.types} of another type"] if sums.types else []),
        *([f"{sums.metadata} with other metadata only"] if sums.metadata else []),
    ]
    yield f"{'; '.join(parts)}."
    sizes = [one.size for one in (sums.added, sums.removed) if one.size is not None]
    if len(sizes) == 2:
        yield f"Only the second needs {format_size(sizes[0])}, only the first {format_size(sizes[1])}."


def _tally(what: str, tally: Tally) -> Iterator[str]:
    parts = [
        counted(count, one, many)
        for count, one, many in (
            (tally.files, "file", "files"),
            (tally.folders, "folder", "folders"),
            (tally.others, "other", "others"),
        )
        if count
    ]
    if parts:
        yield f"{', '.join(parts)} {what}"
