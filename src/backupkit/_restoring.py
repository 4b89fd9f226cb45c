"""Where a restore writes to, and what it finds finished there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from backupkit._operation import Running
from backupkit.errors import ConfigurationError
from backupkit.model import Entry
from backupkit.protocols import Target
from backupkit.targets import DirectoryTarget


def opened_target(
    to: Target | str | os.PathLike[str],
    *,
    overwrite: bool,
    setuid: bool,
    resume: bool,
    max_size: int | str | None,
    max_entries: int | None,
) -> Target:
    """The target itself, or one for the folder; ConfigurationError for options that would not be heeded."""
    if isinstance(to, str | os.PathLike):
        return DirectoryTarget(
            to,
            overwrite=overwrite,
            setuid=setuid,
            resume=resume,
            max_size=max_size,
            max_entries=max_entries,
        )
    if overwrite or setuid or resume or max_size is not None or max_entries is not None:
        raise ConfigurationError(
            "overwrite, setuid, resume, max_size and max_entries are for restoring to a folder: "
            "give them to the target that you made, as in DirectoryTarget(…, resume=True)."
        )
    return to


class InPlace:
    """Keeps what a target leaves as it is, because it is finished, out of what counts as restored.

    `size` is that of the files that the check found finished; `compared` counts the bytes that were read but
    not written.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._read_before: int | None = None  # set while an entry is written, not while they are checked
        self.size = 0
        self.compared = 0

    def watched(self, target: Target) -> Target:
        """The same target; what it skips is counted, and told to whom it was told before."""
        if not isinstance(target, DirectoryTarget):
            return target
        tell = target.skipped

        def skipped(entry: Entry) -> None:
            self._add(entry)
            if tell is not None:
                tell(entry)

        return replace(target, skipped=skipped)

    def around(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries to write, watched; what the check had counted is counted anew."""
        self._running.skipped = 0
        for entry in entries:
            self._read_before = self._running.read
            yield self._running.watched(entry)

    def _add(self, entry: Entry) -> None:
        self._running.skipped += 1
        if self._read_before is not None:
            self._running.entries -= 1
            self.compared += self._running.read - self._read_before
        elif entry.kind == "file":
            self.size += entry.size or 0
