"""The keys of snapshots at every destination: listed, and changed by one call that tells for each how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

from backupkit._operation import Running, raise_all
from backupkit.errors import BackupKitError, ConfigurationError, OperationCancelledError, RepositoryError
from backupkit.model import DestinationResult, Key, KeyChange, KeyListing, Problem, Report
from backupkit.passphrase import Passphrase, refuse_text
from backupkit.protocols import Destination, Encryptor, HasKeys, Repository

Opened: TypeAlias = Callable[[Destination], AbstractContextManager[Repository]]
"""How the repository at a destination is opened; nothing is asked of it thereby."""


def check_keys(destinations: Sequence[Destination], opened: Opened) -> None:
    """ConfigurationError if these backups have no keys; asks nothing of any destination."""
    with opened(destinations[0]) as repository:
        _with_keys(repository)


def check_new(new: Passphrase, encryptor: Encryptor | Passphrase | None = None) -> None:
    """ConfigurationError if this is no passphrase, or the only one that `encryptor` has."""
    refuse_text(new)
    if isinstance(encryptor, Passphrase) and all(
        one.reveal() == new.reveal() for one in encryptor.candidates()
    ):
        raise ConfigurationError(
            f"The new passphrase, from {new.origin}, is the one in use: give another one, and open the backups by "
            "the old one."
        )


def listed_keys(destinations: Sequence[Destination], opened: Opened) -> KeyListing:
    """All keys, by destination. If none can be opened, what is wrong is raised."""
    check_keys(destinations, opened)
    keys: list[Key] = []
    failures: list[tuple[str, BackupKitError]] = []
    for destination in destinations:
        try:
            with opened(destination) as repository:
                keys += _with_keys(repository).keys()
        except OperationCancelledError:
            raise
        except BackupKitError as error:
            failures.append((destination.location, error))
    if len(failures) == len(destinations):
        raise_all("The keys could not be listed anywhere", [error for _, error in failures])
    problems = [Problem(message=str(error), destination=location) for location, error in failures]
    return KeyListing(keys=tuple(keys), problems=tuple(problems))


def meant_key(id: str, listing: KeyListing) -> str:
    """The whole id of the one key that begins so; the same key may be at several destinations, which are copies."""
    found = {key.id for key in listing.keys if id and key.id.startswith(id.lower())}
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} keys begin with {id!r}: write more of the id of the one that is meant."
        )
    if not found:
        silent = "".join(f"; {problem.message}" for problem in listing.problems)
        raise RepositoryError(f"No key begins with {id!r}: list the keys{silent}")
    return found.pop()


def change_keys(
    running: Running,
    destinations: Sequence[Destination],
    opened: Opened,
    change: Callable[[HasKeys], KeyChange],
    *,
    failed: str,
    unchanged: str | None = None,
) -> Report:
    """Make the change at each destination, whatever becomes of the others.

    Raises the error of the one where that did not succeed, or a group of them called `failed`, with the report.
    Where nothing had to be changed, `unchanged` is a warning.
    """

    def changed_at(destination: Destination) -> DestinationResult:
        with opened(destination) as repository:
            changed = change(_with_keys(repository))
        if unchanged and not (changed.added or changed.removed):
            running.add(Problem(message=unchanged, severity="warning", destination=destination.location))
        return DestinationResult(location=destination.location, outcome="succeeded", keys=changed)

    running.each(destinations, changed_at, failed, everywhere=True)
    return running.finish(running.outcome)


def weakness_of(new: Passphrase) -> Problem | None:
    """A warning if it is easy to guess, as every run gives one."""
    weakness = new.weakness()
    if weakness is None:
        return None
    return Problem(message=weakness, severity="warning", check="passphrase")


def _with_keys(repository: Repository) -> HasKeys:
    if not isinstance(repository, HasKeys):
        raise ConfigurationError(
            "Archives have no keys, each is encrypted under its passphrase: give Passphrase(new, previous=[old]), "
            "by which new ones are made under the new passphrase and old ones can be read."
        )
    return repository
