"""What the backups at a destination take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from backupkit.model import Backup, Growth
from backupkit.protocols import MeasuresBackups, Repository


def growth_of(
    repository: Repository, backups: Sequence[Backup], between: Callable[[], None]
) -> Iterator[Growth]:
    """What each of these backups, oldest first, holds and adds."""
    if isinstance(repository, MeasuresBackups):
        yield from repository.growth(backups, between=between)
        return
    for backup in backups:
        between()
        entries, size = backup.entries, backup.size
        if entries is None or size is None:
            detailed = repository.details(backup)
            entries, size = detailed.entries, detailed.size
        if entries is None or size is None:  # an archive that lacks its summary: only itself can tell
            entries = size = 0
            for entry in repository.read(backup):
                between()
                entries += 1
                size += (entry.size or 0) if entry.kind == "file" else 0
        yield Growth(
            backup=backup, entries=entries, restored=size, added=size, stored=backup.stored, blobs=entries
        )
