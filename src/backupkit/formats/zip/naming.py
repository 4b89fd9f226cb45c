"""The names of archives and their summaries at a destination: they alone carry what a listing shows."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from backupkit.formats.backup_ids import BOTH, ID_TIME
from backupkit.model import Backup, Contents, MadeBy
from backupkit.zones import zone_named

_ID = r"(?P<id>(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z)(?:-(?P<only>databases|files))?)"
_OBJECT = re.compile(
    rf"(?P<name>[^/]+)/{_ID}\."
    r"(?:(?P<archive>zip)(?:\.(?P<scheme>[a-z0-9-]+))?|(?P<summary>complete|incomplete)\.json)"
)

# Of archives that others wrote: whatever stands before ".zip". Only verifying tells what is in them, so the
# names of their summaries say that too.
_FOREIGN = re.compile(
    r"(?P<name>[^/]+)/(?P<id>[^/]+?)"
    r"\.(?:(?P<archive>zip)|(?P<contents>databases|files|full)\.(?P<summary>complete|incomplete)\.json)"
)
_LEGACY = re.compile(r"\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d", re.ASCII)
_LEGACY_TIME = "%Y-%m-%d-%H-%M-%S"
_CONTENTS: dict[str, frozenset[Contents]] = {
    "databases": frozenset({"databases"}),
    "files": frozenset({"files"}),
    "full": BOTH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """What the name of an object says. `scheme` is set for archives that are encrypted as a whole.

    Names of archives that others wrote have no time, or one that is local to a place they do not say, in
    `local_time`; their contents are known from their summaries alone.
    """

    name: str
    id: str
    time: datetime | None = None
    local_time: datetime | None = None
    contents: frozenset[Contents]
    kind: Literal["archive", "complete", "incomplete"]
    scheme: str | None = None
    made_by: MadeBy = "backupkit"

    def at(self, zone: tzinfo | None) -> datetime | None:
        """The time that the name says, if that is known; `zone` is where a local one was written."""
        if self.local_time is None or zone is None:
            return self.time
        try:
            return self.local_time.replace(tzinfo=zone).astimezone(UTC)
        except OverflowError:
            return None


def summary_name(backup: Backup) -> str:
    """The name of the summary beside the backup's archive."""
    ending = "complete" if backup.complete else "incomplete"
    if backup.made_by != "backupkit":
        only = "full" if backup.contents == BOTH else "".join(backup.contents)
        ending = f"{only}.{ending}"
    return f"{backup.name}/{backup.id}.{ending}.json"


def parse(object_name: str) -> ObjectName | None:
    """Read an object's name; None if it is neither an archive, whoever wrote it, nor a summary."""
    return _own(object_name) or _foreign(object_name)


def _own(object_name: str) -> ObjectName | None:
    match = _OBJECT.fullmatch(object_name)
    if match is None:
        return None
    try:
        time = datetime.strptime(match["time"], ID_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    contents = BOTH
    if match["only"] == "databases":
        contents = frozenset({"databases"})
    elif match["only"] == "files":
        contents = frozenset({"files"})
    return ObjectName(
        name=match["name"],
        id=match["id"],
        time=time,
        contents=contents,
        kind=_kind(match),
        scheme=match["scheme"],
    )


def _foreign(object_name: str) -> ObjectName | None:
    match = _FOREIGN.fullmatch(object_name)
    # Marks stand in `backupkit/`; and what is confirmed of our archives has our names.
    if match is None or match["name"] == "backupkit" or _own(f"{match['name']}/{match['id']}.zip"):
        return None
    local = None
    if _LEGACY.fullmatch(match["id"]):
        with suppress(ValueError):
            local = datetime.strptime(match["id"], _LEGACY_TIME)
    return ObjectName(
        name=match["name"],
        id=match["id"],
        local_time=local,
        contents=_CONTENTS.get(match["contents"], frozenset()),
        kind=_kind(match),
        made_by="other" if local is None else "laravel-backup",
    )


def _kind(match: re.Match[str]) -> Literal["archive", "complete", "incomplete"]:
    if match["summary"] is None:
        return "archive"
    return "complete" if match["summary"] == "complete" else "incomplete"


def zone_of(zone: str | tzinfo | None) -> tzinfo | None:
    """The time zone meant; ConfigurationError if there is none of this name."""
    if zone is None or isinstance(zone, tzinfo):
        return zone
    return zone_named(zone)
