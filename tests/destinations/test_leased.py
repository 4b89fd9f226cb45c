"""Leased is the destination behind it, until the lease is lost: then nothing more is committed there."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from backupkit import BackupAlreadyRunningError, LocalDestination
from backupkit.destinations.leased import Leased
from backupkit.protocols import Destination
from backupkit.testing.destinations import DestinationTests, MemoryDestination
from tests.pipeline.shop import NoLock


class Lost:
    """A lease that somebody has taken away."""

    def check(self) -> None:
        raise BackupAlreadyRunningError("The lock was lost.")


class TestLeased(DestinationTests):
    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return Leased(LocalDestination(tmp_path), NoLock())


def test_nothing_is_committed_once_the_lease_is_lost_and_what_was_there_stays(tmp_path: Path) -> None:
    inner = LocalDestination(tmp_path)
    inner.write("object", [b"old"])
    destination = Leased(inner, Lost())
    for name in ("object", "another"):
        with pytest.raises(BackupAlreadyRunningError):
            destination.write(name, [b"new"], overwrite=True)
    assert [*inner.leftovers()] == []
    assert [(stored.name, b"".join(destination.read(stored.name))) for stored in destination.list()] == [
        ("object", b"old")
    ]


def test_what_a_run_has_made_it_can_delete_when_the_lease_is_lost() -> None:
    inner = MemoryDestination()
    inner.write("locks/ours", [b"lock"])
    Leased(inner, Lost()).delete("locks/ours")
    assert not inner.objects


def test_another_process_gets_the_destination_itself(tmp_path: Path) -> None:
    sent = pickle.loads(pickle.dumps(Leased(LocalDestination(tmp_path), Lost())))
    assert type(sent) is LocalDestination
    assert sent.folder == tmp_path


def test_the_folder_above_is_leased_too(tmp_path: Path) -> None:
    with pytest.raises(BackupAlreadyRunningError):
        Leased(MemoryDestination(), Lost()).around(LocalDestination(tmp_path)).write("object", [b"new"])
