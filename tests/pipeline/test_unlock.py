"""Locks that killed processes have left, removed at several destinations, each with a repository of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from backupkit import (
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    Directory,
    OperationCancelledError,
    Report,
    RepositoryError,
)
from backupkit.destinations.wrapping import Wrapping
from backupkit.formats.restic.locks import LockFile
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import open_existing
from backupkit.model import StoredObject, Unlocked
from backupkit.protocols import Destination
from backupkit.testing.destinations import MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Make
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Failing, Silent, at

pytestmark = pytest.mark.usefixtures("impatient")

NOBODY = 2**22 + 1  # a process id that Linux gives nobody


def leave_lock(place: Destination, *, pid: int = NOBODY) -> None:
    """That of a process on this host."""
    repository = open_existing(Objects(place), PASSPHRASE)
    lock = LockFile(
        time=datetime.now(UTC), exclusive=True, hostname=os.uname().nodename, username="root", pid=pid
    )
    repository.objects.save("locks", lock.fields(), repository.sealer)


def removed(report: Report) -> list[Unlocked | None]:
    return [one.unlocked for one in report.destinations]


def locks(place: MemoryDestination) -> list[str]:
    return [name for name in place.objects if name.startswith("locks/")]


def test_what_a_killed_process_has_left_is_out_of_the_way_at_once(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    leave_lock(first)
    with pytest.raises(RepositoryError, match="at once after `backupkit unlock`"):
        at(first).prune()
    assert removed(at(first, second).unlock()) == [Unlocked(removed=1), Unlocked()]
    assert at(first).prune().outcome == "succeeded"


def test_what_is_held_stays_unless_it_is_forced(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    first, second = places
    for place in places:
        leave_lock(place, pid=os.getpid())
    assert removed(at(first, second).unlock()) == [Unlocked(left=1)] * 2
    assert removed(at(first, second).unlock(at=second.location, force=True)) == [Unlocked(removed=1)]
    assert (len(locks(first)), locks(second)) == (1, [])


def test_a_run_of_ours_notices_that_its_lock_was_removed_by_force(make: Make, tmp_path: Path) -> None:
    place = MemoryDestination()

    def unlock() -> None:
        assert removed(at(place).unlock(force=True)) == [Unlocked(removed=1)]

    during = Failing(place, "data/", times=1, does=unlock, afterwards=True)
    app = tree(tmp_path / "app", {"a": b"a"})
    with pytest.raises(RepositoryError, match="was lost"):
        make(Directory(app), during, encryptor=PASSPHRASE, format=FORMAT).run()
    assert not [name for name in place.objects if name.startswith("snapshots/")]


def test_one_that_does_not_answer_keeps_no_other_from_being_unlocked_and_is_named(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    first, second = places
    leave_lock(second)
    report = at(Silent(first), second).unlock()
    assert [one.outcome for one in report.destinations] == ["failed", "succeeded"]
    assert removed(report)[1] == Unlocked(removed=1)
    with pytest.raises(DestinationError, match="Nobody answers"):
        at(Silent(first)).unlock()


def test_where_there_is_no_repository_yet_there_is_no_lock(
    places: tuple[MemoryDestination, MemoryDestination],
) -> None:
    assert removed(at(MemoryDestination("new"), places[0]).unlock()) == [Unlocked(), Unlocked()]


def test_unlocking_can_be_cancelled(places: tuple[MemoryDestination, MemoryDestination]) -> None:
    first, second = places
    cancel = Event()

    class Asked(Wrapping):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            if prefix.startswith("locks"):
                cancel.set()
            return super().list(prefix)

    for place in places:
        leave_lock(place)
    with pytest.raises(OperationCancelledError):
        at(Asked(first), second).unlock(cancel=cancel)
    assert (len(locks(first)), len(locks(second))) == (1, 1)


def test_archives_have_no_locks_to_remove(make: Make, tmp_path: Path) -> None:
    app, places = (
        tree(tmp_path / "app", {"a": b"a"}),
        (MemoryDestination("first"), MemoryDestination("second")),
    )
    pipeline: BackupPipeline = make(Directory(app), places)
    with pytest.raises(ConfigurationError, match="Archives have no locks"):
        pipeline.unlock()
