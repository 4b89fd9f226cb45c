"""What the tests of health checks share: backups as literals, and what a check finds about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from backupkit.model import Backup, Contents, Problem, RepositoryState, StoredObject
from backupkit.protocols import HealthCheck

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
FULL: frozenset[Contents] = frozenset({"files", "databases"})
DATABASES: frozenset[Contents] = frozenset({"databases"})


def backup(
    age: timedelta,
    *,
    contents: frozenset[Contents] = FULL,
    complete: bool | None = True,
    damaged: bool = False,
    stored: int = 0,
    verified: timedelta | None = None,
    proven: timedelta | None = None,
    refuted: bool = False,
) -> Backup:
    """A backup of this age, and verified or proven so long ago."""
    time = NOW - age
    return Backup(
        id=f"{time:%Y-%m-%dT%H-%M-%SZ}",
        name="shop",
        time=time,
        contents=contents,
        location="/mnt/backup",
        complete=complete,
        stored=stored,
        damaged=damaged,
        verified=None if verified is None else NOW - verified,
        proven=None if proven is None else NOW - proven,
        refuted=refuted,
    )


def days(sizes: Sequence[int], contents: frozenset[Contents] = FULL) -> list[Backup]:
    """A backup a day of these sizes, the last one made now."""
    count = len(sizes)
    return [
        backup(timedelta(days=count - 1 - index), stored=size, contents=contents)
        for index, size in enumerate(sizes)
    ]


def found(check: HealthCheck, *backups: Backup, leftovers: Iterable[StoredObject] = ()) -> list[Problem]:
    newest_first = tuple(sorted(backups, key=lambda backup: backup.time, reverse=True))
    state = RepositoryState(
        location="/mnt/backup", backups=newest_first, contents=FULL, now=NOW, leftovers=tuple(leftovers)
    )
    return list(check.problems(state))


def messages(check: HealthCheck, *backups: Backup) -> list[str]:
    return [problem.message for problem in found(check, *backups)]
