"""The names of the scratch databases of drills, which are known by nothing else."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

# Lower case and short: MySQL may fold names, and PostgreSQL cuts them at 63 bytes.
_SCRATCH = re.compile(r"backupkit_(drill|kept)_(\d{14})_[0-9a-f]{10}", re.ASCII)
_TIME = "%Y%m%d%H%M%S"


def scratch_name(now: datetime, *, keep: bool) -> str:
    """A name for a scratch database that nobody has; later drills drop it unless it is to be kept."""
    return f"backupkit_{'kept' if keep else 'drill'}_{now.astimezone(UTC):{_TIME}}_{os.urandom(5).hex()}"


def is_scratch(name: str) -> bool:
    """Whether a drill made up this name, for a database that it drops or that was to be kept."""
    return _SCRATCH.fullmatch(name) is not None


def to_be_dropped_since(name: str) -> datetime | None:
    """When a drill made the database of this name, if it is one that drills drop."""
    found = _SCRATCH.fullmatch(name)
    if found is None or found[1] != "drill":
        return None
    try:
        return datetime.strptime(found[2], _TIME).replace(tzinfo=UTC)
    except ValueError:  # not a time, so not a name of ours
        return None
