"""Repairing one destination: everything that is found and done is told, and what is damaged is remembered."""

from __future__ import annotations

from datetime import datetime

from backupkit._chunks import closing_iterator
from backupkit._operation import Running
from backupkit.errors import ConfigurationError, DestinationError
from backupkit.marks import apply, read_marks, remove_marks, write_mark
from backupkit.model import Backup, DestinationResult, Passed, Problem, Repaired
from backupkit.protocols import Destination, Repairs, Repository


def repair_at(
    running: Running,
    destination: Destination,
    repository: Repository,
    *,
    quick: bool,
    forget: bool,
    dry_run: bool,
    now: datetime,
) -> DestinationResult:
    """Repair the repository there. Damaged backups are marked as such, and those that are pinned never removed."""
    if not isinstance(repository, Repairs):
        raise ConfigurationError(
            "Archives cannot be repaired, only repositories of snapshots: restore what is whole in an archive, and "
            "make a new one."
        )

    def may_go(backup: Backup) -> bool:
        pin = apply(read_marks(destination, backup.name, backup.id), backup).pin
        if pin is None or not pin.holds(now):
            return True
        message = f"The damaged backup {backup.id} is pinned, and stays: {pin.reason}"
        running.add(Problem(message=message, severity="warning", destination=destination.location))
        return False

    repaired: list[Repaired] = []
    steps = repository.repair(
        quick=quick,
        forget=may_go if forget else None,
        dry_run=dry_run,
        between=running.check_cancelled,
    )
    with closing_iterator(steps) as each:
        for found in each:
            running.check_cancelled()
            if isinstance(found, Problem):
                running.add(found)
            elif isinstance(found, Passed):
                running.count(found.entries, found.read)
            elif isinstance(found, Repaired):
                repaired.append(found)
                if found.removed:
                    _forget(running, destination, found.damaged)
                elif not dry_run:
                    _remember(running, destination, found.damaged, now)
            else:
                running.tell(found)
    return DestinationResult(location=destination.location, outcome="succeeded", repaired=tuple(repaired))


def _forget(running: Running, destination: Destination, removed: Backup) -> None:
    """Or a good copy, put back, would be damaged at once."""
    try:
        remove_marks(destination, removed.name, removed.id)
    except DestinationError as error:
        message = f"What was known of {removed.id}, which is gone, could not be deleted: {error}"
        running.add(Problem(message=message, severity="warning", destination=destination.location))


def _remember(running: Running, destination: Destination, damaged: Backup, now: datetime) -> None:
    try:
        write_mark(destination, damaged, "damaged", now)
    except DestinationError as error:
        message = f"That {damaged.id} is damaged could not be recorded: {error}"
        running.add(Problem(message=message, severity="warning", destination=destination.location))
