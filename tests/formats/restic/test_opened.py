"""Finding and reading blobs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from backupkit.compression import Store
from backupkit.errors import IntegrityError
from backupkit.formats.restic.blobs import seal_blob
from backupkit.formats.restic.cache import Cache
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.index import index_document, pack_text
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create, open_existing
from backupkit.formats.restic.packs import Pack
from backupkit.formats.restic.sealing import MasterKey
from backupkit.model import StoredObject
from backupkit.passphrase import Passphrase
from backupkit.protocols import Chunks
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, written

PLAIN = b"some plain bytes"
ID = hashlib.sha256(PLAIN).digest()


def with_a_blob(destination: MemoryDestination, *, tree: bool = False) -> tuple[OpenedRepository, str]:
    """A repository with one blob, and the name of its pack."""
    repository = OpenedRepository(Objects(destination), Config.made(), MasterKey.made())
    pack = Pack(tree=tree)
    pack.add(ID, *seal_blob(PLAIN, Store(), repository.sealer))
    finished = pack.finished(repository.sealer)
    repository.objects.write("data", finished.content, finished.id)
    repository.objects.save(
        "index", index_document([pack_text(finished.id, finished.blobs)]), repository.sealer
    )
    repository.load_index()
    return repository, object_name("data", finished.id)


def test_a_blob_that_came_wrong_is_fetched_once_more() -> None:
    memory = MemoryDestination()
    repository, _ = with_a_blob(memory)
    repository.objects.destination = FaultyDestination(memory, [Fault(method="read", does=None, after=20)])
    assert repository.load(ID) == PLAIN


def test_a_blob_that_stays_wrong_is_an_integrity_error_that_names_the_pack() -> None:
    memory = MemoryDestination()
    repository, pack = with_a_blob(memory)
    memory.objects[pack] = b"?" + memory.objects[pack][1:]
    with pytest.raises(IntegrityError, match=f"{pack} at memory:memory is not what was written"):
        repository.load(ID)


def test_a_torn_pack_in_the_cache_is_forgotten_and_the_blob_fetched(tmp_path: Path) -> None:
    memory = MemoryDestination()
    repository, pack = with_a_blob(memory, tree=True)
    with Cache(repository.config.id, folder=tmp_path) as cache:
        repository.objects.cache = cache
        assert repository.load(ID, tree=True) == PLAIN
        (kept,) = tmp_path.rglob(pack.rpartition("/")[2])
        kept.write_bytes(bytes(kept.stat().st_size))
        assert repository.load(ID, tree=True) == PLAIN
        assert not kept.exists()


def test_a_snapshot_that_is_right_is_read_once_however_often_all_are_listed() -> None:
    place = MemoryDestination()
    backups = [written(place, [file("a")], minutes=minutes) for minutes in range(3)]
    names = [name for name in place.objects if name.startswith("snapshots/")]
    counting = FaultyDestination(place)
    repository = open_existing(Objects(counting), SECRET)
    right = place.objects[names[0]]
    place.objects[names[0]] = b"?" + right[1:]
    damaged: dict[str, IntegrityError] = {}
    assert len([*repository.snapshots(damaged=damaged)]) == len(backups) - 1
    assert [*damaged] == [names[0].removeprefix("snapshots/")]
    place.objects[names[0]] = right
    assert len([*repository.snapshots()]) == len(backups)
    before = counting.calls["read"]
    del place.objects[names[1]]
    left = {name.removeprefix("snapshots/") for name in names} - {names[1].removeprefix("snapshots/")}
    assert {one.id for one in repository.snapshots()} == left
    assert counting.calls["read"] == before


class LetsTwoBeFirst(MemoryDestination):
    """Another process makes the repository at the same moment, and its config replaces ours."""

    def __init__(self, others: dict[str, bytes]) -> None:
        super().__init__()
        self.others = others

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        stored = super().write(name, chunks, overwrite=overwrite)
        if name == "config":
            self.objects |= self.others
        return stored


def test_of_two_that_were_both_the_first_the_one_whose_config_is_there_made_the_repository() -> None:
    passphrase, other = Passphrase("the same for both"), MemoryDestination()
    made = create(Objects(other), passphrase)
    place = LetsTwoBeFirst(other.objects)
    assert create(Objects(place), passphrase).config == made.config
    assert open_existing(Objects(place), Passphrase("the same for both")).config == made.config


class LosesKeys(MemoryDestination):
    """Another process that was overtaken takes our key for one that nobody needs."""

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        stored = super().write(name, chunks, overwrite=overwrite)
        if name == "config":
            for key in [one for one in self.objects if one.startswith("keys/")]:
                del self.objects[key]
        return stored


def test_a_key_that_was_deleted_while_the_repository_was_made_is_stored_again() -> None:
    place = LosesKeys()
    made = create(Objects(place), Passphrase("mine"))
    assert open_existing(Objects(place), Passphrase("mine")).config == made.config
