"""The names of archives and their summaries at a destination: they alone carry what a listing shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from backupkit.model import Contents

BOTH: frozenset[Contents] = frozenset({"files", "databases"})

_ID = r"(?P<id>(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z)(?:-(?P<only>databases|files))?)"
_OBJECT = re.compile(
    rf"(?P<name>[^/]+)/{_ID}\."
    r"(?:(?P<archive>zip)(?:\.(?P<scheme>[a-z0-9-]+))?|(?P<summary>complete|incomplete)\.json)"
)
_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """What the name of an object says. `scheme` is set for archives that are encrypted as a whole."""

    name: str
    id: str
    time: datetime
    contents: frozenset[Contents]
    kind: Literal["archive", "complete", "incomplete"]
    scheme: str | None


def backup_id(time: datetime, contents: frozenset[Contents]) -> str:
    """`<UTC time to the microsecond>[-databases|-files]`: sorts by time, and is safe as a file name."""
    suffix = "" if contents == BOTH else "-" + "".join(contents)
    return time.astimezone(UTC).strftime(_TIME) + suffix


def parse(object_name: str) -> ObjectName | None:
    """Read an object's name; None if it is not one of ours."""
    match = _OBJECT.fullmatch(object_name)
    if match is None:
        return None
    try:
        time = datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    contents = BOTH
    if match["only"] == "databases":
        contents = frozenset({"databases"})
    elif match["only"] == "files":
        contents = frozenset({"files"})
    kind: Literal["archive", "complete", "incomplete"] = "archive"
    if match["summary"] == "complete":
        kind = "complete"
    elif match["summary"] == "incomplete":
        kind = "incomplete"
    return ObjectName(
        name=match["name"],
        id=match["id"],
        time=time,
        contents=contents,
        kind=kind,
        scheme=match["scheme"],
    )
