"""Words and columns for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from backupkit.model import Backup, Contents
from backupkit.printable import printable


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each row as a line, its cells aligned and never cut: they are there to be copied."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def minutes(time: datetime) -> str:
    """The time in UTC, to the minute."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def duration(took: timedelta) -> str:
    """How long something took: "0.2 s", "3 min 20 s", "1 h 5 min"."""
    seconds = took.total_seconds()
    if seconds < 59.95:  # above, it would be rounded to "60.0 s"
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def counted(count: int, one: str, many: str) -> str:
    """ "1 entry", "2 entries"."""
    return f"{count} {one if count == 1 else many}"


def contents(backup: Backup) -> str:
    """What the backup holds: "databases+files"; "?" if only verifying it can tell."""
    return named(backup.contents)


def named(contents: Iterable[Contents]) -> str:
    return "+".join(sorted(contents)) or "?"


def pinned(backup: Backup) -> str:
    """Until when the backup is pinned, and why; "-" if it is not, or no longer."""
    if backup.pin is None or not backup.pin.holds(datetime.now(UTC)):
        return "-"
    until = "" if backup.pin.until is None else f"until {minutes(backup.pin.until)}: "
    return f"{until}{backup.pin.reason}"


def state(backup: Backup) -> str:
    """Whether the backup's run lost anything."""
    if backup.complete is None:
        return "unconfirmed"
    return "complete" if backup.complete else "incomplete"
