"""A look at the beginning of a folder, for what the rights of this user keep out of a backup."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from backupkit._chunks import closing_iterator
from backupkit.errors import SourceError
from backupkit.model import Entry, Finding, Problem
from backupkit.sources._examining import some

# Some seconds on a slow disk: the first folders tell whether it is the right user, a run tells the rest.
_MOST = 20_000
_SECONDS = 5.0


def look(entries: Iterator[Entry | Problem], path: str) -> Iterator[Finding]:
    """Whether a folder can be read, and which of its first entries cannot; no content is read."""
    seen, whole, warnings = 0, True, 0
    unreadable: list[str] = []
    end = time.monotonic() + _SECONDS
    try:
        with closing_iterator(entries) as found:
            for one in found:
                if isinstance(one, Problem):
                    if one.severity == "warning":
                        warnings += 1
                    else:
                        unreadable.append(one.path or one.message)
                    continue
                seen += 1
                if one.kind == "file" and one.origin is not None and not _may_be_read(one.origin.path):
                    unreadable.append(one.origin.path)
                if seen >= _MOST or time.monotonic() > end:
                    whole = False
                    break
    except SourceError as error:
        yield Finding(step="there", verdict="not ok", message=str(error))
        return
    yield Finding(step="there", verdict="ok", message=f"{path!r} is there, and can be listed.")
    of = f"all {seen}" if whole else f"the first {seen}"
    if unreadable:
        yield Finding(
            step="readable",
            verdict="not ok",
            message=f"Of {of} entries, this user may not read {len(unreadable)}: {some(unreadable)}.",
            advice="Grant it that, back up as another user, or leave them out by exclude=.",
        )
    else:
        yield Finding(step="readable", verdict="ok", message=f"This user may read {of} entries.")
    if warnings:
        yield Finding(
            step="passed over",
            verdict="warning",
            message=f"Of {of} entries, a run would tell {warnings} by warnings, as it does sockets.",
        )


def _may_be_read(path: str) -> bool:
    # Not by opening it: a file system may fetch it from far away then, and O_RDONLY marks it as accessed.
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
