"""The verb `stats`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from backupkit.cli import exit_codes
from backupkit.cli.opening import OpeningAny
from backupkit.cli.options import At, Json, Url, grouped
from backupkit.cli.output import Output
from backupkit.cli.reports import problem_lines
from backupkit.cli.texts import columns, counted, minutes
from backupkit.model import Statistics
from backupkit.plain_data import plain
from backupkit.sizes import format_size


@grouped
def stats(
    url: Url = None,
    *,
    at: At = None,
    opening: OpeningAny,
    json: Json = False,
) -> None:
    """Show what the backups hold, what they take, and what each has added.

    Of snapshots, all folders are read for that, and no contents. RESTORED is what a backup takes once it is
    restored, ADDED what no older one has, and STORED what that takes at the destination.

    \b
    Examples:
      backupkit stats /mnt/backup
      backupkit stats --app shop.backups:pipeline --json
    """
    output = Output(json=json)
    with output.ending():
        place = opening.at(url)
        found = place.use(lambda backups, cancel: backups.statistics(at=at, cancel=cancel))
        wrong = any(one.problems for one in found)
        output.told([_plain(one) for one in found] if json else None, _lines(found), wrong=wrong)
        if wrong:
            raise typer.Exit(exit_codes.OF_OUTCOME["incomplete"])


def _plain(one: Statistics) -> dict[str, Any]:
    sums = {
        name: getattr(one, name)
        for name in ("entries", "restored", "deduplicated", "stored", "blobs", "deduplication", "compression")
    }
    return {**plain(one), "backups": len(one.growth), **sums}


def _lines(found: Sequence[Statistics]) -> Iterator[str]:
    for one in found:
        yield f"{one.location}: {counted(len(one.growth), 'backup', 'backups')}"
        yield from problem_lines(one.problems)
        if not one.growth:
            continue
        rows = [
            ("restored, all of them", format_size(one.restored), counted(one.entries, "entry", "entries")),
            ("made of", format_size(one.deduplicated), _times(one.deduplication)),
            ("stored", format_size(one.stored), _times(one.compression)),
        ]
        yield from (f"  {line}" for line in columns(rows))
        table = [("ID", "TIME", "ENTRIES", "RESTORED", "ADDED", "STORED")]
        table += [
            (
                each.backup.id,
                minutes(each.backup.time),
                str(each.entries),
                format_size(each.restored),
                format_size(each.added),
                format_size(each.stored),
            )
            for each in one.growth
        ]
        yield from columns(table)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f} times less"
