"""What a backup is called, in whatever format."""

from __future__ import annotations

from datetime import UTC, datetime

from backupkit.model import Contents

BOTH: frozenset[Contents] = frozenset({"files", "databases"})
ID_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"


def backup_id(time: datetime, contents: frozenset[Contents]) -> str:
    """`<UTC time to the microsecond>[-databases|-files]`: sorts by time, is safe as a file name, and the same
    wherever the backup is.
    """
    suffix = "" if contents == BOTH else "-" + "".join(contents)
    return time.astimezone(UTC).strftime(ID_TIME) + suffix
