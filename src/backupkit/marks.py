"""What is learnt about a backup after its run, kept beside it as small immutable objects.

Names alone carry it: `backupkit/<name>/<backup id>/2026-11-23T03-00-00.123456Z-verified`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from backupkit.errors import ObjectNotFoundError
from backupkit.model import Backup
from backupkit.protocols import Destination

Mark: TypeAlias = Literal["verified", "damaged", "proven", "refuted"]
Marks: TypeAlias = Mapping[tuple[str, str], Mapping[str, datetime]]
"""By name and id of the backup: when each kind of mark was last made."""

_MARK = re.compile(
    r"backupkit/([^/]+)/([^/]+)/(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)\.(\d{6})Z-([a-z]+)", re.ASCII
)


def _folder(backup: Backup) -> str:
    return f"backupkit/{backup.name}/{backup.id}/"


def write_mark(destination: Destination, backup: Backup, kind: Mark, time: datetime) -> None:
    """Record at the destination what was found out about the backup at this time."""
    stamp = time.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    destination.write(f"{_folder(backup)}{stamp}-{kind}", [b"{}\n"], overwrite=True)


def read_marks(destination: Destination, name: str | None) -> Marks:
    """Read the marks of one pipeline, or of all, from one listing; other objects there are ignored."""
    marks: dict[tuple[str, str], dict[str, datetime]] = {}
    for stored in destination.list("backupkit/" if name is None else f"backupkit/{name}/"):
        found = _MARK.fullmatch(stored.name)
        if not found:
            continue
        owner, id_, day, hour, minute, second, fraction, kind = found.groups()
        try:
            time = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}.{fraction}+00:00")
        except ValueError:
            continue
        # A listing is in name order, so the newest mark of a kind comes last.
        marks.setdefault((owner, id_), {})[kind] = time
    return marks


def apply(marks: Marks, backup: Backup) -> Backup:
    """The backup with what its marks say; of two that contradict each other the newest, or the worse one, wins.

    A drill that succeeded does not unsay damage, which it may not have come to; and a damaged backup is no
    longer proven.
    """
    times = marks.get((backup.name, backup.id), {})
    if not times:
        return backup
    verified, damaged = _standing(times.get("verified"), times.get("damaged"))
    proven, refuted = _standing(times.get("proven"), times.get("refuted"))
    return replace(
        backup, verified=verified, damaged=damaged, proven=None if damaged else proven, refuted=refuted
    )


def with_marks(backup: Backup, made: Iterable[tuple[Mark, datetime]]) -> Backup:
    """The backup as it will be read again, with marks that were made after all that it knows of."""
    for kind, time in made:
        match kind:
            case "proven":
                backup = replace(backup, proven=None if backup.damaged else time, refuted=False)
            case "refuted":
                backup = replace(backup, proven=None, refuted=True)
            case "damaged":
                backup = replace(backup, verified=None, damaged=True, proven=None)
            case "verified":
                backup = replace(backup, verified=time, damaged=False)
    return backup


def _standing(good: datetime | None, bad: datetime | None) -> tuple[datetime | None, bool]:
    """When the good was found out, if nothing bad was since; and whether the bad stands."""
    stands = bad is not None and (good is None or bad >= good)
    return (None if stands else good), stands


def remove_marks(destination: Destination, name: str, id_: str) -> None:
    """Delete the marks of a backup that is gone; those of kinds that a later version knows too."""
    for stored in list(destination.list(f"backupkit/{name}/{id_}/")):
        if _MARK.fullmatch(stored.name):
            try:
                destination.delete(stored.name)
            except ObjectNotFoundError:
                continue  # someone else was faster
