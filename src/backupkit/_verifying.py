"""Reading one copy of a backup back in full, and remembering what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from backupkit._operation import Running
from backupkit.errors import ConfigurationError, DestinationError, IntegrityError
from backupkit.marks import write_mark
from backupkit.model import Backup, Passed, Problem, Share
from backupkit.protocols import ChecksData, Destination, Repository


def verify_copy(
    running: Running,
    repository: Repository,
    destination: Destination,
    backup: Backup,
    *,
    clock: Callable[[], datetime],
    share: Share | None = None,
) -> None:
    """Read everything and record the result beside the backup; IntegrityError if anything is damaged.

    A copy that is whole but unconfirmed is confirmed from what it says itself. Of a share, only damage is recorded.
    """
    damaged: list[Problem] = []
    for problem in _found(running, repository, backup, share):
        running.add(problem)
        if problem.severity == "error":
            damaged.append(problem)
    try:
        if backup.complete is None and not damaged:
            _confirm(running, repository, backup)
        if damaged or share is None:
            write_mark(destination, backup, "damaged" if damaged else "verified", clock())
    except DestinationError as error:
        message = f"That {backup.id} was verified could not be recorded: {error}"
        running.add(Problem(message=message, severity="warning", destination=backup.location))
    if damaged:
        places = "1 place" if len(damaged) == 1 else f"{len(damaged)} places"
        # Of what is shared, a new backup relies on the same bytes.
        advice = (
            "Others, and the next one, rely on the same bytes: repair the repository, make another backup, and "
            "verify that."
            if backup.shared
            else "Keep an older good backup and make a new one."
        )
        raise IntegrityError(
            f"The backup {backup.id} at {backup.location} is damaged ({places}; first: {damaged[0].message}) "
            f"{advice}",
            where=backup.id,
        )


def check_shares(repository: Repository, share: Share | None) -> None:
    """ConfigurationError if only a share is asked for, of what can only be read as a whole."""
    if share is not None and not isinstance(repository, ChecksData):
        raise ConfigurationError("A share can be verified of snapshots; an archive is verified as a whole.")


def _found(
    running: Running, repository: Repository, backup: Backup, share: Share | None
) -> Iterator[Problem]:
    """Yield what is wrong with the structure, then with each content."""
    check_shares(repository, share)
    try:
        if isinstance(repository, ChecksData):
            yield from _found_in_data(running, repository, backup, share)
            return
        yield from repository.check(backup)
        running.expect(repository.details(backup).size)
        for entry in repository.read(backup):
            try:
                for _ in running.watched(entry).chunks():
                    pass
            except IntegrityError as error:
                yield Problem(message=str(error), path=entry.path, destination=backup.location)
    except IntegrityError as error:
        yield Problem(message=str(error), path=error.where, destination=backup.location)


def _found_in_data(
    running: Running, repository: ChecksData, backup: Backup, share: Share | None
) -> Iterator[Problem]:
    for found in repository.check_data(backup, share=share):
        running.check_cancelled()
        if isinstance(found, Problem):
            yield found
        elif isinstance(found, Passed):
            running.count(found.entries, found.read)
        else:
            running.tell(found)


def _confirm(running: Running, repository: Repository, backup: Backup) -> None:
    state = "complete" if repository.confirm(backup).complete else "incomplete"
    what = f"says itself that it is {state}" if backup.made_by == "backupkit" else f"counts as {state}"
    running.add(
        Problem(
            message=f"The backup {backup.id} was unconfirmed; it is whole and {what}, "
            "which was now recorded beside it.",
            severity="warning",
            destination=backup.location,
        )
    )
