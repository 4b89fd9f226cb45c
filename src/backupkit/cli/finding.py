"""The verb `find`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated

import typer

from backupkit._looking import versions_of
from backupkit.backups import Backups
from backupkit.cli.entries import mode_text, modified_text, plain_entry, shown_path, size_text
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, grouped
from backupkit.cli.output import Output
from backupkit.cli.pinning import end_of
from backupkit.cli.texts import columns, counted
from backupkit.errors import BackupKitError, ConfigurationError
from backupkit.model import Found, Version


@grouped
def find(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[URL] PATTERN",
            help="The folder or URL that holds the backups, unless --app says it; and a gitignore pattern, such as "
            "orders.csv, '*.csv' or '/srv/shop/**/*.csv', or a whole path.",
            show_default=False,
        ),
    ],
    *,
    at: At = None,
    also: Annotated[
        list[str] | None, typer.Option("--or", metavar="PATTERN", help="Another pattern. Repeatable.")
    ] = None,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="As it says.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Only backups from this day in UTC on, or this time.", show_default=False
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Only backups to the end of this day, or to this time.", show_default=False
        ),
    ] = None,
    opening: OpeningAny,
    json: Json = False,
) -> None:
    """Find files and folders in all backups, and which versions of them there are.

    For each path, each version is a line: when it was modified, how large it is, and in which backups it stands.
    Of snapshots, what they have in common is looked through once.

    \b
    Examples:
      backupkit find --app shop.backups:pipeline orders.csv
      backupkit find /mnt/backup '*.docx' --or '*.xlsx' -i --since 2026-03-01
    """
    output = Output(json=json)
    with output.ending():
        if len(what) not in (1, 2):
            raise ConfigurationError(
                "One pattern is looked for: give the URL and a pattern, or --app and a pattern; others by --or."
            )
        *url, pattern = what
        place = opening.at(url[0] if url else None)
        first = None if since is None else _beginning_of(since)
        last = None if until is None else end_of(until, option="--until")
        found: list[Found] = []

        def look(backups: Backups, cancel: threading.Event) -> None:
            found.clear()
            patterns = [pattern, *(also or ())]
            found.extend(
                backups.find(
                    *patterns, at=at, since=first, until=last, ignore_case=ignore_case, cancel=cancel
                )
            )

        try:
            place.use(look)
        except (BackupKitError, ExceptionGroup):
            if not json and found:  # what could be looked through has been
                output.told(None, _lines(versions_of(found)))
            raise
        versions = versions_of(found)
        output.told(
            [_plain(path, each) for path, each in versions.items()] if json else None, _lines(versions)
        )


def _beginning_of(since: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(since), time(0), UTC)
    except ValueError:
        return end_of(since, option="--since")


def _plain(path: str, versions: Sequence[Version]) -> dict[str, object]:
    return {
        "path": path,
        "versions": [
            {
                "entry": plain_entry(version.entry),
                "backups": [
                    {"id": one.id, "name": one.name, "location": one.location} for one in version.backups
                ],
            }
            for version in versions
        ],
    }


def _lines(found: Mapping[str, Sequence[Version]]) -> Iterator[str]:
    if not found:
        yield "Nothing was found."
        return
    for versions in found.values():
        yield shown_path(versions[0].entry)
        rows = [
            (modified_text(one.entry), size_text(one.entry), mode_text(one.entry), _where(one))
            for one in versions
        ]
        yield from (f"  {line}" for line in columns(rows))


def _where(version: Version) -> str:
    """In which backups it is, from the newest to the oldest."""
    newest, oldest = version.backups[0], version.backups[-1]
    if len(version.backups) == 1:
        return f"in {newest.id}"
    return f"in {counted(len(version.backups), 'backup', 'backups')}, {oldest.id} to {newest.id}"
