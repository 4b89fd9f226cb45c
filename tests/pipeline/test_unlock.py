"""Locks that killed processes have left, removed at several destinations, each with a repository of its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    Backups,
    ConfigurationError,
    DestinationError,
    Directory,
    RepositoryError,
)
from backupkit.formats.restic.locks import LockFile
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import open_existing
from backupkit.protocols import Destination
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Make
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Silent

pytestmark = pytest.mark.usefixtures("impatient")

NOBODY = 2**22 + 1  # a process id that Linux gives nobody


@pytest.fixture
def places(make: Make, tmp_path: Path) -> tuple[MemoryDestination, MemoryDestination]:
    """Two, each with a repository and a snapshot."""
    places = MemoryDestination("first"), MemoryDestination("second")
    app = tree(tmp_path / "app", {"a": b"a"})
    make(Directory(app), places, encryptor=PASSPHRASE, format=FORMAT).run()
    return places


def at(*destinations: Destination) -> Backups:
    return Backups(None, destinations, encryptor=PASSPHRASE, format=FORMAT)


def leave_lock(place: Destination, *, pid: int = NOBODY) -> None:
    """That of a process on this host."""
    repository = open_existing(Objects(place), PASSPHRASE)
    lock = LockFile(
        time=datetime.now(UTC), exclusive=True, hostname=os.uname().nodename, username="root", pid=pid
    )
    repository.objects.save("locks", lock.fields(), repository.sealer)


def test_what_a_killed_process_has_left_is_out_of_the_way_at_once(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    leave_lock(first)
    with pytest.raises(RepositoryError, match="at once after `backupkit unlock`"):
        at(first).prune()
    assert at(first, second).unlock() == {first.location: 1, second.location: 0}
    assert at(first).prune().outcome == "succeeded"


def test_what_is_held_stays_unless_it_is_forced(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    first, second = places
    for place in places:
        leave_lock(place, pid=os.getpid())
    assert at(first, second).unlock() == {first.location: 0, second.location: 0}
    assert at(first, second).unlock(at=second.location, force=True) == {second.location: 1}
    assert [name for name in first.objects if name.startswith("locks/")]


def test_one_that_does_not_answer_keeps_no_other_from_being_unlocked(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    leave_lock(second)
    with pytest.raises(DestinationError, match="Nobody answers"):
        at(Silent(first), second).unlock()
    assert not [name for name in second.objects if name.startswith("locks/")]


def test_archives_have_no_locks_to_remove(make: Make, tmp_path: Path) -> None:
    pipeline: BackupPipeline = make(Directory(tree(tmp_path / "app", {"a": b"a"})), MemoryDestination())
    with pytest.raises(ConfigurationError, match="Archives have no locks"):
        pipeline.unlock()
