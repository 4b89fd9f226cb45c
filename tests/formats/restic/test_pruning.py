"""Pruning a repository: what is of no use goes, what is of use can be read, whatever goes wrong on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import cycle
from random import Random
from typing import Any

import pytest

from backupkit.compression import Zstd
from backupkit.errors import (
    AccessDeniedError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    ObjectNotFoundError,
    OperationCancelledError,
    RepositoryError,
    RepositoryLockedError,
)
from backupkit.formats.restic import index_rewriting, locks, packing, pruning
from backupkit.formats.restic.access import Access
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.index import BlobIndex
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.used_blobs import UsedBlobs
from backupkit.model import Backup, Entry, Pruned, StoredObject
from backupkit.protocols import Chunks, Destination, nothing
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.restic.snapshots_made import NOON, SECRET, file, written

ALL = PruneLimits("0 B")
NOTHING_WAITS = Access(passphrase=SECRET, creates=False, lock_wait=timedelta(0), cache=False)


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 100_000)
    # By chance, packs of which half is of use may not come to be.
    monkeypatch.setattr(packing, "_choices", lambda: cycle(range(2)))
    # How much of the index is read meanwhile would be a matter of chance, and with it which call is which.
    monkeypatch.setattr(locks, "_SETTLING", 0)


@pytest.fixture
def place() -> MemoryDestination:
    return MemoryDestination()


def noise(seed: int, size: int = 30_000) -> bytes:
    return Random(seed).randbytes(size)


def several(seeds: Sequence[int]) -> list[Entry]:
    """Files, five in a pack or so, in folders."""
    return [file(f"{seed % 2}/{seed}", noise(seed)) for seed in seeds]


def pruned(
    place: Destination, *removed: Backup, limits: PruneLimits = ALL, dry_run: bool = False, **more: Any
) -> Pruned:
    with Restic(lock_wait=timedelta(0), pruning=limits, cache=False).open(
        place, name="shop", encryptor=SECRET
    ) as repository:
        if dry_run:
            return repository.prune(without=removed, dry_run=True)
        for backup in removed:
            repository.remove(backup)
        return repository.prune(**more)


def remove(place: Destination, backup: Backup) -> None:
    with Restic(cache=False).open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(backup)


def contents(place: Destination, backup: Backup) -> dict[str, bytes]:
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        assert [*repository.check(backup)] == []
        return {
            entry.path: b"".join(entry.chunks()) for entry in repository.read(backup) if entry.kind == "file"
        }


def size(place: MemoryDestination) -> int:
    return sum(map(len, place.objects.values()))


def opened(place: Destination) -> OpenedRepository:
    repository = NOTHING_WAITS.opened(place)
    repository.load_index()
    return repository


def packs(place: MemoryDestination) -> set[str]:
    return {name.rpartition("/")[2] for name in place.objects if name.startswith("data/")}


def unneeded(place: MemoryDestination) -> set[bytes]:
    """Blobs that no snapshot refers to."""
    repository = opened(place)
    used = UsedBlobs(repository, None)
    for snapshot in repository.snapshots():
        used.mark(snapshot.tree)
    return {
        id
        for tree in (False, True)
        for number, (id, *_) in enumerate(repository.index.numbered(tree=tree))
        if not used.has(number, tree=tree)
    }


def is_tidy(place: MemoryDestination) -> bool:
    """Whether there is nothing that is of no use, and no pack without an index, nor the other way round."""
    return not unneeded(place) and {*opened(place).index.packs()} == packs(place)


def test_what_only_a_removed_snapshot_needed_goes_and_the_rest_can_be_read(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    before = size(place)
    result = pruned(place, older)
    assert is_tidy(place)
    assert before - size(place) > result.freed > 6 * 30_000
    assert result.unused == 0
    assert result.repacked > 0
    assert contents(place, newer) == {f"{seed % 2}/{seed}": noise(seed) for seed in range(6, 18)}


def test_the_bytes_that_are_freed_are_those_that_the_destination_has_less(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(older)
    before = size(place)
    assert pruned(place).freed == before - size(place)


def test_pruning_again_does_nothing(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    pruned(place, older)
    before = dict(place.objects)
    assert pruned(place) == Pruned(freed=0)
    assert place.objects == before


def test_a_dry_run_says_what_would_be_freed_and_does_nothing(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    before = dict(place.objects)
    would = pruned(place, older, dry_run=True)
    assert place.objects == before
    done = pruned(place, older)
    assert would.freed == pytest.approx(done.freed, abs=2000), "the indexes, and headers"
    assert (would.repacked, would.unused) == (done.repacked, done.unused)


def test_blobs_that_are_stored_anew_are_copied_sealed_as_they_are(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)

    def sealed() -> dict[bytes, bytes]:
        repository = opened(place)
        return {
            blob.id: place.objects[f"data/{pack[:2]}/{pack}"][blob.offset :][: blob.length]
            for pack, blobs in repository.index.blobs_by_pack().items()
            for blob in blobs
        }

    before, packs_before = sealed(), packs(place)
    pruned(place, older)
    after = sealed()
    assert packs(place) - packs_before
    assert {id: before[id] for id in after} == after


def test_what_a_killed_run_has_stored_goes(place: MemoryDestination) -> None:
    written(place, several(range(6)))
    before = dict(place.objects)
    written(place, several(range(6, 18)), minutes=1)
    for name in {*place.objects} - {*before}:
        if not name.startswith("data/"):
            del place.objects[name]
    pruned(place)
    assert place.objects == before


def test_however_many_blobs_are_stored_anew_their_places_are_gathered_some_at_a_time(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[int] = []
    real = BlobIndex.blobs_by_pack

    def noting(index: BlobIndex, only: Container[str]) -> Mapping[str, Sequence[PackedBlob]]:
        found = real(index, only)
        gathered.append(sum(map(len, found.values())))
        return found

    older = written(place, several(range(16)))
    newer = written(place, several(range(0, 16, 3)), minutes=1)
    monkeypatch.setattr(pruning, "_AT_ONCE", 6)
    monkeypatch.setattr(BlobIndex, "blobs_by_pack", noting)
    pruned(place, older)
    assert len(gathered) > 1
    assert max(gathered) <= 6
    assert is_tidy(place)
    assert len(contents(place, newer)) == 6


def test_a_pack_of_no_use_that_is_not_there_leaves_the_index(place: MemoryDestination) -> None:
    older = written(place, [file("old", noise(1))])
    of_old = names_of(place, "data")
    newer = written(place, [file("new", noise(2))], minutes=1)
    for name in of_old:
        del place.objects[name]
    pruned(place, older)
    assert {*opened(place).index.packs()} == packs(place)
    assert contents(place, newer) == {"new": noise(2)}


def test_many_small_packs_become_few(place: MemoryDestination) -> None:
    backups = [
        written(place, [file(str(number), noise(number, 1000))], minutes=number) for number in range(6)
    ]
    assert len(packs(place)) == 12
    pruned(place)
    assert len(packs(place)) == 2
    assert len([name for name in place.objects if name.startswith("index/")]) == 1
    assert is_tidy(place)
    assert [contents(place, backup) for backup in backups] == [
        {str(number): noise(number, 1000)} for number in range(6)
    ]


def test_index_objects_are_written_before_what_they_replace_is_deleted_and_packs_go_last(
    place: MemoryDestination,
) -> None:
    class Noting(FaultyDestination):
        def write(self, name: str, *arguments: Any, **options: Any) -> Any:
            calls.append(f"write {name.partition('/')[0]}")
            return super().write(name, *arguments, **options)

        def delete(self, name: str) -> None:
            calls.append(f"delete {name.partition('/')[0]}")
            super().delete(name)

    calls: list[str] = []
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    pruned(Noting(place), older)
    order = [call for at, call in enumerate(calls) if at == 0 or calls[at - 1] != call]
    assert [call for call in order if "locks" not in call] == [
        "delete snapshots",
        "write data",  # a few bytes, to see …
        "delete data",  # … whether they can be deleted
        "write data",
        "write index",
        "delete index",
        "delete data",
    ]


def test_where_two_runs_stored_the_same_one_copy_stays(place: MemoryDestination) -> None:
    one, other = MemoryDestination("one"), MemoryDestination("other")
    first = written(place, [file("same", noise(1))])
    one.objects.update(place.objects)
    other.objects.update(place.objects)
    written(one, several(range(2, 8)), minutes=1)
    written(other, several(range(2, 8)), minutes=2)
    place.objects.update(one.objects | other.objects)
    assert opened(place).index.several(tree=False)
    pruned(place)
    repository = opened(place)
    assert not repository.index.several(tree=False)
    assert not repository.index.several(tree=True)
    assert is_tidy(place)
    assert contents(place, first) == {"same": noise(1)}


# What is damaged


def pack_of(place: MemoryDestination, seed: int, copy: int = 0) -> str:
    """The name of the pack that holds this file."""
    location = opened(place).places(sha256(noise(seed)).digest(), tree=False)[copy]
    return f"data/{location.pack[:2]}/{location.pack}"


def test_a_pack_in_which_something_of_use_is_damaged_stays_and_all_else_is_pruned(
    place: MemoryDestination,
) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    shared = next(  # a pack that is of use in part
        name
        for seed in range(6, 12)
        if (name := pack_of(place, seed)) in {pack_of(place, old) for old in range(6)}
    )
    victim = next(seed for seed in range(6, 12) if pack_of(place, seed) == shared)
    (location,) = opened(place).places(sha256(noise(victim)).digest(), tree=False)
    spoilt = bytearray(place.objects[shared])
    spoilt[location.offset + 30] ^= 1
    place.objects[shared] = bytes(spoilt)
    with pytest.raises(IntegrityError, match=f"{shared} is damaged, and stays as it is"):
        pruned(place, older)
    assert shared in place.objects
    assert {*opened(place).index.packs()} == packs(place)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        lost = []
        for entry in repository.read(newer):
            try:
                assert b"".join(entry.chunks()) in (b"", noise(int(entry.path[2:] or 0)))
            except IntegrityError:
                lost.append(entry.path)
    assert lost == [f"{victim % 2}/{victim}"]


def stored_twice(place: MemoryDestination, entries: Sequence[Entry]) -> Sequence[Backup]:
    """Two runs, neither of which saw what the other one stored."""
    written(place, [file("begun")])
    before = dict(place.objects)
    first = written(place, entries, minutes=1)
    after = dict(place.objects)
    place.objects.clear()
    place.objects.update(before)
    second = written(place, entries, minutes=2)
    place.objects.update(after)
    return first, second


def spoil(place: MemoryDestination, blob: bytes, copies: Sequence[int]) -> None:
    """Turn a bit over in these copies of a file of one blob."""
    for number, location in enumerate(opened(place).places(sha256(blob).digest(), tree=False)):
        if number in copies:
            name = f"data/{location.pack[:2]}/{location.pack}"
            spoilt = bytearray(place.objects[name])
            spoilt[location.offset + 30] ^= 1
            place.objects[name] = bytes(spoilt)


@pytest.mark.parametrize(("copy", "more"), [(0, 0), (1, 0), (1, 2)])
def test_of_a_blob_that_stands_twice_the_copy_stays_that_is_right(
    place: MemoryDestination, copy: int, more: int
) -> None:
    backups = stored_twice(place, several(range(2)))
    if more:  # so that the pack is of use in part
        backups = [*backups, *stored_twice(place, several(range(1, 1 + more)))][2:]
        with Restic().open(place, name="shop", encryptor=SECRET) as repository:
            for backup in [*repository.list()]:
                if backup.id not in {one.id for one in backups}:
                    repository.remove(backup)
    spoil(place, noise(1), [copy])
    pruned(place)
    assert is_tidy(place)
    for backup in backups:
        assert contents(place, backup)["1/1"] == noise(1)


def test_copies_that_may_not_be_read_all_stay(place: MemoryDestination) -> None:
    backups = stored_twice(place, several(range(2)))
    assert opened(place).index.several(tree=False)
    for limits in (PruneLimits("0 B", "0 B"), PruneLimits(None, "1 B")):
        pruned(place, limits=limits)
        assert len(opened(place).index.several(tree=False)) == 2
    assert pruned(place, limits=PruneLimits("0 B", "200 kB")).freed > 60_000
    assert is_tidy(place)
    for backup in backups:
        assert contents(place, backup)["1/1"] == noise(1)


def test_copies_that_cannot_be_read_all_stay_and_all_else_is_pruned(place: MemoryDestination) -> None:
    backups = stored_twice(place, several(range(2)))
    old = written(place, several(range(10, 14)), minutes=3)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(old)

    class Cold(FaultyDestination):
        def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            if name in cold:
                raise AccessDeniedError(f"{name} has to be restored first", location="memory", name=name)
            return super().read(name, start=start, length=length)

    cold = {pack_of(place, seed, copy) for seed in range(2) for copy in range(2)}
    before = size(place)
    with pytest.raises(AccessDeniedError, match="has to be restored"):
        pruned(Cold(place))
    assert before - size(place) > 4 * 30_000
    assert len(opened(place).index.several(tree=False)) == 2
    for backup in backups:
        assert contents(place, backup)["1/1"] == noise(1)


def test_no_copy_is_read_twice_against_the_limit(place: MemoryDestination) -> None:
    stored_twice(place, several(range(2)))
    spoil(
        place, noise(1), [1]
    )  # so that it is planned twice, and both times the same copy of the other file stays
    assert pruned(place, limits=PruneLimits("0 B", "80 kB")).freed > 30_000


class Answers(FaultyDestination):
    """Says this of each read of these objects."""

    def __init__(self, inner: Destination, names: Collection[str], error: DestinationError) -> None:
        super().__init__(inner)
        self._names = names
        self._error = error

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if name in self._names:
            raise self._error
        return super().read(name, start=start, length=length)


def test_where_nobody_answers_for_copies_for_a_moment_nothing_is_deleted(place: MemoryDestination) -> None:
    stored_twice(place, several(range(2)))
    busy = DestinationError("Come again.", location="memory", retryable=True)
    copies = {pack_of(place, seed, copy) for seed in range(2) for copy in range(2)}
    before = dict(place.objects)
    with pytest.raises(DestinationError, match="Come again"):
        pruned(Answers(place, copies, busy))
    assert place.objects == before


def test_a_copy_whose_pack_has_just_gone_is_none_that_stays(place: MemoryDestination) -> None:
    stored_twice(place, several(range(2)))
    gone = ObjectNotFoundError("It is not there.", location="memory")
    lost = pack_of(place, 1, 1)
    pruned(Answers(place, {lost}, gone))
    assert lost not in place.objects
    assert is_tidy(place)


def test_a_pack_that_has_just_gone_stays_in_the_index_and_all_else_is_pruned(
    place: MemoryDestination,
) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    shared = next(  # a pack that is of use in part
        name
        for seed in range(6, 12)
        if (name := pack_of(place, seed)) in {pack_of(place, old) for old in range(6)}
    )
    before = size(place)
    gone = ObjectNotFoundError("It is not there.", location="memory")
    with pytest.raises(IntegrityError, match=f"{shared} is damaged, and stays as it is"):
        pruned(Answers(place, {shared}, gone), older)
    assert shared.rpartition("/")[2] in opened(place).index.packs()
    assert size(place) < before - 60_000


def test_where_all_copies_of_a_blob_are_damaged_nothing_is_deleted(place: MemoryDestination) -> None:
    stored_twice(place, several(range(2)))
    spoil(place, noise(1), [0, 1])
    before = dict(place.objects)
    with pytest.raises(IntegrityError, match=r"All copies of the blob .* are damaged"):
        pruned(place)
    assert place.objects == before


def test_where_one_copy_of_a_blob_is_damaged_and_the_other_missing_nothing_is_deleted(
    place: MemoryDestination,
) -> None:
    stored_twice(place, several(range(2)))
    spoil(place, noise(1), [0])
    del place.objects[pack_of(place, 1, 1)]
    before = dict(place.objects)
    with pytest.raises(IntegrityError, match="missing there or of another size"):
        pruned(place)
    assert place.objects == before


def without(kind: str) -> Callable[[MemoryDestination], None]:
    def remove(place: MemoryDestination) -> None:
        del place.objects[next(name for name in sorted(place.objects) if name.startswith(f"{kind}/"))]

    return remove


def flipped(kind: str) -> Callable[[MemoryDestination], None]:
    def flip(place: MemoryDestination) -> None:
        name = next(name for name in sorted(place.objects) if name.startswith(f"{kind}/"))
        place.objects[name] = bytes([place.objects[name][0] ^ 1]) + place.objects[name][1:]

    return flip


@pytest.mark.parametrize(
    "damage",
    [without("index"), without("data"), flipped("index"), flipped("snapshots")],
    ids=["an index is gone", "a pack is gone", "an index is damaged", "a snapshot is damaged"],
)
def test_where_it_cannot_be_told_what_is_of_use_nothing_is_deleted(
    place: MemoryDestination, damage: Callable[[MemoryDestination], None]
) -> None:
    written(place, several(range(6)))
    written(place, several(range(4, 12)), minutes=1)
    damage(place)
    before = dict(place.objects)
    with pytest.raises(IntegrityError):
        pruned(place)
    assert place.objects == before


# Who uses it at the same time


def test_while_a_run_is_under_way_nothing_is_pruned(place: MemoryDestination) -> None:
    written(place, several(range(6)))
    before = dict(place.objects)

    def entries() -> Iterator[Entry]:
        yield from several(range(6, 20))
        with pytest.raises(RepositoryLockedError):
            pruned(place)
        assert {*before} < {*place.objects}

    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        result = repository.write(
            entries(),
            time=NOON + timedelta(hours=1),
            contents=frozenset({"files"}),
            retry=Retry(tries=1),
        )
    assert len(contents(place, result.backup)) == 14


def test_who_may_write_no_lock_and_reads_finds_what_is_stored_anew_meanwhile(
    place: MemoryDestination,
) -> None:
    class Shown(FaultyDestination):
        def write(self, name: str, *arguments: Any, **options: Any) -> Any:
            raise AccessDeniedError(f"{name} may not be written", location="memory", name=name)

    older = written(place, several(range(16)))
    newer = written(place, several(range(0, 16, 3)), minutes=1)
    with Restic(cache=False).open(Shown(place), name="shop", encryptor=SECRET) as repository:
        entries = repository.read(newer)
        found = [next(entries)]
        pruned(place, older)
        found += entries
        read = {entry.path: b"".join(entry.chunks()) for entry in found if entry.kind == "file"}
    assert read == {f"{seed % 2}/{seed}": noise(seed) for seed in range(0, 16, 3)}


def test_what_would_be_freed_can_be_told_while_the_index_grows(place: MemoryDestination) -> None:
    written(place, several(range(6)))
    repository = opened(place)
    used = UsedBlobs(repository, None)
    written(place, several(range(4, 10)), minutes=1)
    repository.load_index()
    for snapshot in repository.snapshots():
        used.mark(snapshot.tree)
    assert all(used.has(number, tree=False) for number in range(repository.index.count(tree=False)))
    written(place, several(range(10, 12)), minutes=2)
    repository.load_index()
    assert not used.has(repository.index.count(tree=False) - 1, tree=False)


def test_what_would_be_freed_can_be_asked_while_a_run_is_under_way(place: MemoryDestination) -> None:
    older = written(place, several(range(6)))
    repository = opened(place)
    with NOTHING_WAITS.locked(repository):
        assert pruned(place, older, dry_run=True).freed > 6 * 30_000


def test_who_loses_the_lock_deletes_nothing_more(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    real = index_rewriting.rewrite_indexes

    def robbed(*arguments: Any, **options: Any) -> int:
        for name in [name for name in place.objects if name.startswith("locks/")]:
            del place.objects[name]
        return real(*arguments, **options)

    monkeypatch.setattr(pruning, "rewrite_indexes", robbed)
    indexes = {name for name in place.objects if name.startswith("index/")}
    before = packs(place)
    with pytest.raises(RepositoryError, match="lost"):
        pruned(place, older)
    assert packs(place) >= before
    assert {*place.objects} >= indexes
    monkeypatch.undo()
    pruned(place)
    assert len(contents(place, newer)) == 12


def test_who_loses_the_lock_while_storing_anew_indexes_nothing_of_it(place: MemoryDestination) -> None:
    class Robbed(FaultyDestination):
        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            stored = super().write(name, chunks, overwrite=overwrite)
            if name.startswith("data/") and stored.size > 1000:
                for lock in [one for one in place.objects if one.startswith("locks/")]:
                    del place.objects[lock]
            return stored

    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    before = {name for name in place.objects if name.startswith("index/")}
    with pytest.raises(RepositoryError, match="lost"):
        pruned(Robbed(place), older)
    assert {name for name in place.objects if name.startswith("index/")} == before


def test_what_is_read_by_who_has_pruned_is_found_where_it_is_now(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    with Restic(pruning=ALL, cache=False).open(place, name="shop", encryptor=SECRET) as repository:
        before = [b"".join(one.chunks()) for one in repository.read(newer) if one.kind == "file"]
        repository.remove(older)
        assert repository.prune().repacked > 0
        assert [*repository.check(newer)] == []
        assert [b"".join(one.chunks()) for one in repository.read(newer) if one.kind == "file"] == before


class Short(FaultyDestination):
    """Of the listings of a kind, lacks what `hidden` has for the call of that number."""

    def __init__(self, inner: Destination, kind: str, hidden: Callable[[int], Collection[str]]) -> None:
        super().__init__(inner)
        self.count = 0
        self._kind = kind
        self._hidden = hidden

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        hidden: Collection[str] = ()
        if prefix.startswith(self._kind):
            self.count += 1
            hidden = self._hidden(self.count)
        return (stored for stored in super().list(prefix) if stored.name not in hidden)


def names_of(place: MemoryDestination, kind: str) -> set[str]:
    return {name for name in place.objects if name.startswith(f"{kind}/")}


def test_a_snapshot_that_is_listed_late_loses_nothing(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    (first,) = names_of(place, "snapshots")
    written(place, several(range(6, 18)), minutes=1)
    short = Short(place, "snapshots", lambda call: [first] if call == 1 else [])
    before = dict(place.objects)
    with pytest.raises(RepositoryError, match=r"A snapshot is at .* that was not listed"):
        pruned(short)
    assert place.objects == before
    assert len(contents(place, older)) == 12


def test_a_snapshot_that_is_not_listed_any_more_loses_nothing(place: MemoryDestination) -> None:
    older = written(place, several(range(6)))
    removed = names_of(place, "snapshots")
    kept = written(place, several(range(6, 12)), minutes=1)
    (first,) = names_of(place, "snapshots") - removed
    written(place, several(range(10, 16)), minutes=2)
    short = Short(place, "snapshots", lambda call: [first] if call > 1 else [])
    with pytest.raises(RepositoryError, match=r"not listed at .* any more"):
        pruned(short, older)
    assert len(contents(place, kept)) == 6


def test_a_snapshot_whose_removal_was_answered_with_an_error_is_not_missed(place: MemoryDestination) -> None:
    older = written(place, several(range(6)))
    kept = written(place, several(range(4, 10)), minutes=1)
    lost = DestinationError("The answer was lost.", location="memory")
    faulty = FaultyDestination(place, [Fault(method="delete", call=1, answer_lost=True, does=lost)])
    with Restic(cache=False).open(faulty, name="shop", encryptor=SECRET) as repository:
        with pytest.raises(DestinationError, match="answer"):
            repository.remove(older)
        assert repository.prune(limits=ALL).freed > 4 * 30_000
    assert len(contents(place, kept)) == 6


def test_a_snapshot_that_cannot_be_found_though_it_is_listed_loses_nothing(place: MemoryDestination) -> None:
    older = written(place, several(range(6)))
    written(place, several(range(6, 12)), minutes=1)
    (first, *_) = names_of(place, "snapshots")
    gone = ObjectNotFoundError("It is not there.", location="memory", name=first)
    flaky = FaultyDestination(place, [Fault(method="read", call=3, does=gone)])  # after config and a key
    before = dict(place.objects)
    with pytest.raises(RepositoryError, match="that was not listed"):
        pruned(flaky)
    assert place.objects == before
    assert len(contents(place, older)) == 6


def test_an_index_object_that_is_listed_late_loses_nothing(place: MemoryDestination) -> None:
    written(place, several(range(6)))
    known = {*place.objects}
    written(place, several(range(6, 12)), minutes=1)
    late = {*place.objects} - known
    both = Short(Short(place, "index", lambda call: late if call < 3 else []), "snapshots", lambda call: late)
    before = dict(place.objects)
    with pytest.raises(RepositoryError, match="An index object is at"):
        pruned(both)
    assert place.objects == before


def test_an_index_object_that_is_not_listed_any_more_says_nothing_of_packs_that_went(
    place: MemoryDestination,
) -> None:
    older = written(place, several(range(6)))
    first = names_of(place, "index")
    newer = written(place, several(range(6, 12)), minutes=1)
    pruned(Short(place, "index", lambda call: first if call > 1 else []), older)
    assert {*opened(place).index.packs()} == packs(place)
    assert len(contents(place, newer)) == 6


def test_an_index_object_that_cannot_be_found_though_it_is_listed_loses_nothing(
    place: MemoryDestination,
) -> None:
    class Flaky(FaultyDestination):
        def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            read.append(name)
            if name.startswith("index/") and read.count(name) > 1:
                raise ObjectNotFoundError("It is not there.", location="memory", name=name)
            return super().read(name, start=start, length=length)

    read: list[str] = []
    older = written(place, several(range(6)))
    newer = written(place, several(range(4, 10)), minutes=1)
    before = {*place.objects}
    with pytest.raises(ObjectNotFoundError):
        pruned(Flaky(place), older)
    assert {name for name in before if not name.startswith("snapshots/")} <= {*place.objects}
    assert len(contents(place, newer)) == 6


def test_an_index_object_that_somebody_else_deleted_is_as_good_as_deleted(place: MemoryDestination) -> None:
    class Answering(FaultyDestination):
        def delete(self, name: str) -> None:
            super().delete(name)
            if name.startswith("index/"):
                raise ObjectNotFoundError("It is not there.", location="memory", name=name)

    older = written(place, several(range(6)))
    written(place, several(range(4, 10)), minutes=1)
    pruned(Answering(place), older)
    assert is_tidy(place)


def test_an_index_object_that_is_large_enough_is_replaced_where_something_of_it_went_and_only_there(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_rewriting, "_SMALL", 1)
    older = written(place, several(range(6)))
    of_older = names_of(place, "index")
    written(place, several(range(6, 12)), minutes=1)
    of_newer = names_of(place, "index") - of_older
    pruned(place, older)
    assert names_of(place, "index") == of_newer
    assert is_tidy(place)


def test_what_two_index_objects_say_alike_one_says_afterwards(place: MemoryDestination) -> None:
    older = written(place, [file("old", noise(1))])
    written(place, [file("new", noise(2))], minutes=1)
    repository = opened(place)
    for id, _ in [*repository.objects.list("index")]:
        repository.objects.save(
            "index", repository.objects.load("index", id, repository.sealer), repository.sealer
        )
    assert len(names_of(place, "index")) == 4
    pruned(place, older)
    [(left, _)] = repository.objects.list("index")
    said = [pack["id"] for pack in repository.objects.load("index", left, repository.sealer)["packs"]]
    assert sorted(said) == sorted(packs(place))


def test_what_was_known_before_the_lock_was_held_is_not_believed(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    with Restic(pruning=ALL, cache=False).open(place, name="shop", encryptor=SECRET) as repository:
        assert repository.browser(newer).children("")
        pruned(place, older)
        before = {*place.objects}
        assert repository.prune() == Pruned(freed=0)
    assert {*place.objects} == before


class Noted(FaultyDestination):
    """Notes what is read."""

    def __init__(self, inner: Destination, faults: Sequence[Fault] = ()) -> None:
        super().__init__(inner, faults)
        self.names: list[str] = []

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.names.append(name)
        return super().read(name, start=start, length=length)


@pytest.fixture
def while_settling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something done when all the index was read that can be, and the lock is about to count."""

    def let(happen: Callable[[], None]) -> None:
        settling = 1000.0

        def sleep(seconds: float) -> None:
            assert settling / 2 < seconds <= settling
            happen()

        monkeypatch.setattr(locks, "_SETTLING", settling)
        monkeypatch.setattr(time, "sleep", sleep)

    return let


def test_the_index_is_read_while_the_lock_settles(
    place: MemoryDestination, while_settling: Callable[[Callable[[], None]], None]
) -> None:
    older = written(place, several(range(6)))
    written(place, several(range(3, 9)), minutes=1)
    remove(place, older)
    noted = Noted(place)
    before: list[str] = []
    while_settling(lambda: before.extend(noted.names))
    indexes = names_of(place, "index")
    pruned(noted)
    assert {name for name in before if name.startswith("index/")} == indexes


def test_no_more_of_the_index_is_read_than_there_is_time_for(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place, several(range(6)))
    noted = Noted(place)
    before: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: before.extend(noted.names))
    pruned(noted)
    assert before
    assert not [name for name in before if name.startswith("index/")]


def test_what_another_has_pruned_while_the_lock_settled_is_not_believed_any_more(
    place: MemoryDestination, while_settling: Callable[[Callable[[], None]], None]
) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    remove(place, older)
    left: list[set[str]] = []

    def prune() -> None:
        """Without a lock: as if ours had not been seen."""
        other = opened(place)
        trees = {snapshot.id: snapshot.tree for snapshot in other.snapshots()}
        pruning.Pruner(other, Zstd(), None, nothing).prune(trees, ALL, dry_run=False)
        left.append({name for name in place.objects if not name.startswith("locks/")})

    while_settling(prune)
    assert pruned(place) == Pruned(freed=0)
    assert left == [{*place.objects}]
    assert len(contents(place, newer)) == 12


def test_index_objects_that_are_gone_do_not_count_as_loaded(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    repository = opened(place)
    pruned(place, older)
    repository.load_index_alone()
    assert {f"index/{id}" for id in repository.loaded} == names_of(place, "index")


def test_what_another_has_stored_while_the_lock_settled_stays(
    place: MemoryDestination, while_settling: Callable[[Callable[[], None]], None]
) -> None:
    remove(place, written(place, several(range(6))))
    made = MemoryDestination()
    made.objects.update(place.objects)
    newer = written(made, several(range(3, 9)), minutes=1)
    while_settling(lambda: place.objects.update(made.objects))
    pruned(place)
    assert len(contents(place, newer)) == 6


@pytest.mark.parametrize(
    "error",
    [AccessDeniedError("Not now.", location="memory"), IntegrityError("It is damaged.", where="memory")],
)
def test_an_index_object_that_cannot_be_read_while_the_lock_settles_is_read_again(
    place: MemoryDestination, error: Exception, while_settling: Callable[[Callable[[], None]], None]
) -> None:
    older = written(place, several(range(6)))
    newer = written(place, several(range(3, 9)), minutes=1)
    remove(place, older)
    flaky = Noted(place, [Fault(method="read", call=3, does=error)])  # after config and a key
    settled: list[str] = []
    while_settling(lambda: settled.extend(flaky.names))
    pruned(flaky)
    assert settled[-1].startswith("index/")
    assert is_tidy(place)
    assert len(contents(place, newer)) == 6


def test_who_is_interrupted_while_the_lock_settles_leaves_none(place: MemoryDestination) -> None:
    class Interrupted(FaultyDestination):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            if prefix.startswith("index"):
                locked.append(names_of(place, "locks"))
                raise KeyboardInterrupt
            return super().list(prefix)

    locked: list[set[str]] = []
    written(place, several(range(6)))
    before = {*place.objects}
    with pytest.raises(KeyboardInterrupt):
        pruned(Interrupted(place))
    assert len(locked[0]) == 1
    assert {*place.objects} == before


def test_limits_that_are_given_go_before_those_of_the_format(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    assert pruned(place, older, limits=PruneLimits(None)).repacked == 0
    with Restic(pruning=PruneLimits(None), cache=False).open(
        place, name="shop", encryptor=SECRET
    ) as repository:
        assert repository.prune(limits=ALL).repacked > 0


def test_a_backup_of_another_name_is_not_taken_for_gone_with_one_of_the_same_time(
    place: MemoryDestination,
) -> None:
    ours = written(place, [file("ours", noise(1))])
    with Restic().open(place, name="other", encryptor=SECRET) as repository:
        result = repository.write(
            [file("theirs", noise(2))], time=ours.time, contents=ours.contents, retry=Retry(tries=1)
        )
    assert result.backup.id == ours.id
    assert 30_000 < pruned(place, ours, dry_run=True).freed < 40_000


def test_backups_are_not_taken_for_gone_while_others_are_deleted(place: MemoryDestination) -> None:
    older = written(place, several(range(6)))
    before = dict(place.objects)
    with (
        Restic().open(place, name="shop", encryptor=SECRET) as repository,
        pytest.raises(ConfigurationError, match="dry run"),
    ):
        repository.prune(without=[older])
    assert place.objects == before


def test_it_can_be_cancelled_and_the_next_one_goes_on(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    calls = 0

    def cancelled_after(count: int) -> Callable[[], None]:
        def between() -> None:
            nonlocal calls
            calls += 1
            if calls >= count:
                raise OperationCancelledError("enough")

        return between

    with pytest.raises(OperationCancelledError):
        pruned(place, older, between=cancelled_after(8))
    assert len(contents(place, newer)) == 12
    pruned(place)
    assert is_tidy(place)
    assert len(contents(place, newer)) == 12


# What a destination refuses


class Refusing(FaultyDestination):
    def __init__(self, inner: Destination, *prefixes: str) -> None:
        super().__init__(inner)
        self.refused = 0
        self._prefixes = prefixes

    def delete(self, name: str) -> None:
        if name.startswith(self._prefixes):
            self.refused += 1
            raise DestinationError(f"{name} may not be deleted", location="memory", name=name)
        super().delete(name)


def test_where_indexes_may_not_be_deleted_no_pack_is(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    before = packs(place)
    with pytest.raises(DestinationError, match="may not be deleted"):
        pruned(Refusing(place, "index/"), older)
    assert packs(place) >= before
    pruned(place)
    assert is_tidy(place)


def test_where_nothing_more_has_room_what_is_of_no_use_goes_all_the_same(place: MemoryDestination) -> None:
    class Full(FaultyDestination):
        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            chunks = [*chunks]
            if sum(map(len, chunks)) > 20_000:
                raise DestinationError("The disk is full.", location="memory", name=name)
            return super().write(name, chunks, overwrite=overwrite)

    older = written(place, several(range(24)))
    newer = written(place, several(range(18, 30)), minutes=1)
    before = size(place)
    with pytest.raises(DestinationError, match="The disk is full"):
        pruned(Full(place), older)
    assert size(place) < before - 10 * 30_000
    assert {*opened(place).index.packs()} == packs(place)
    pruned(place)
    assert is_tidy(place)
    assert len(contents(place, newer)) == 12


def test_what_was_stored_anew_before_there_was_no_more_room_is_indexed(place: MemoryDestination) -> None:
    class Filling(FaultyDestination):
        def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
            chunks = [*chunks]
            if sum(map(len, chunks)) > 60_000:
                large.append(name)
                if large[0] != name:  # there is room for one
                    raise DestinationError("The disk is full.", location="memory", name=name)
            return super().write(name, chunks, overwrite=overwrite)

    large: list[str] = []
    older = written(place, several(range(24)))
    newer = written(place, several(range(0, 24, 3)), minutes=1)
    before = packs(place)
    with pytest.raises(DestinationError, match="The disk is full"):
        pruned(Filling(place), older)
    assert large[0].rpartition("/")[2] in packs(place) - before
    assert {*opened(place).index.packs()} == packs(place)
    assert len(contents(place, newer)) == 8


def test_where_nothing_may_be_deleted_nothing_is_stored_anew_each_time(place: MemoryDestination) -> None:
    class Keeping(FaultyDestination):
        def delete(self, name: str) -> None:
            if not name.startswith("locks/"):
                raise AccessDeniedError(f"{name} may not be deleted", location="memory", name=name)
            super().delete(name)

    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(older)
    before = size(place)
    for _ in range(3):
        with pytest.raises(AccessDeniedError):
            pruned(Keeping(place))
    assert size(place) - before < 200
    pruned(place)
    assert is_tidy(place)
    assert len(contents(place, newer)) == 12


@pytest.mark.parametrize("gone", [False, True], ids=["packs of no use", "packs that are not there"])
def test_where_nothing_may_be_deleted_no_index_is_written_anew_each_time(
    place: MemoryDestination, *, gone: bool
) -> None:
    class Keeping(FaultyDestination):
        def delete(self, name: str) -> None:
            if not name.startswith("locks/"):
                raise AccessDeniedError(f"{name} may not be deleted", location="memory", name=name)
            super().delete(name)

    older = written(place, [file("old", noise(1))])
    of_old = names_of(place, "data")
    written(place, [file("new", noise(2))], minutes=1)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(older)
    for name in of_old if gone else ():
        del place.objects[name]
    before = names_of(place, "index")
    with pytest.raises(AccessDeniedError):
        pruned(Keeping(place))
    assert names_of(place, "index") == before


def test_where_a_pack_went_already_nothing_is_stored_to_see_whether_one_may(place: MemoryDestination) -> None:
    left_by_killed_run(place)
    older = written(place, [file("old", noise(1))], minutes=2)
    kept = FaultyDestination(place)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(older)
    pruned(kept)
    assert kept.calls["write"] == 2, "a lock, and an index"
    assert is_tidy(place)


def left_by_killed_run(place: MemoryDestination) -> set[str]:
    """Packs that no index has, beside a backup; their names."""
    written(place, [file("kept")])
    before = {*place.objects}
    written(place, several(range(30)), minutes=1)
    for name in {*place.objects} - before:
        if not name.startswith("data/"):
            del place.objects[name]
    return names_of(place, "data") - before


def test_packs_that_may_not_be_deleted_keep_no_others_from_it(place: MemoryDestination) -> None:
    unknown = left_by_killed_run(place)
    older = written(place, several(range(40, 70)), minutes=2)
    assert len(unknown) > 5
    with pytest.raises(DestinationError, match="may not be deleted"):
        pruned(Refusing(place, *unknown), older)
    assert names_of(place, "data") >= unknown
    assert {f"data/{pack[:2]}/{pack}" for pack in opened(place).index.packs()} == names_of(
        place, "data"
    ) - unknown
    assert not unneeded(place)


def test_refusals_that_pass_end_nothing(place: MemoryDestination) -> None:
    unknown = left_by_killed_run(place)
    busy = DestinationError("Come again.", location="memory", retryable=True)
    every_other = [Fault(method="delete", call=call, does=busy) for call in range(1, len(unknown), 2)]
    with pytest.raises(DestinationError, match="Come again"):
        pruned(FaultyDestination(place, every_other))
    assert len(every_other) >= 3
    assert len(names_of(place, "data") & unknown) == len(every_other)


def test_packs_of_which_none_may_be_deleted_are_not_all_asked_for(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_DELETED", 3)
    written(place, [file("kept")])
    before = dict(place.objects)
    written(place, several(range(60)), minutes=1)
    for name in names_of(place, "index") | names_of(place, "snapshots"):
        if name not in before:
            del place.objects[name]
    keeping = Refusing(place, "data/")
    with pytest.raises(DestinationError, match="may not be deleted"):
        pruned(keeping)
    assert len(packs(place)) > 10
    assert keeping.refused == 3


def test_packs_that_may_not_be_deleted_are_told_and_go_the_next_time(place: MemoryDestination) -> None:
    older = written(place, several(range(12)))
    newer = written(place, several(range(6, 18)), minutes=1)
    with pytest.raises(DestinationError, match="may not be deleted"):
        pruned(Refusing(place, *names_of(place, "data")), older)
    assert not unneeded(place)
    assert packs(place) > {*opened(place).index.packs()}
    pruned(place)
    assert is_tidy(place)
    assert len(contents(place, newer)) == 12


def test_who_does_not_answer_any_more_is_not_asked_for_each_pack(place: MemoryDestination) -> None:
    older = written(place, several(range(60)))
    gone = DestinationError("The cable was cut.", location="memory", retryable=True)
    written(place, [file("kept", noise(100))], minutes=1)
    with Restic().open(place, name="shop", encryptor=SECRET) as repository:
        repository.remove(older)
    count = len(packs(place))
    cut = [
        Fault(method="delete", call=call, does=gone) for call in range(2, 100)
    ]  # of packs, after the index's
    dying = FaultyDestination(place, cut)
    with pytest.raises(DestinationError, match="cable"):
        pruned(dying)
    assert count > 10
    assert dying.calls["delete"] < count


def test_who_does_not_answer_any_more_once_the_indexes_are_rewritten_is_not_asked_for_each_pack(
    place: MemoryDestination,
) -> None:
    class Dying(FaultyDestination):
        def delete(self, name: str) -> None:
            deleted.append(name.partition("/")[0])
            if "index" in deleted and deleted[-1] == "data":
                raise DestinationError("The cable was cut.", location="memory", retryable=True)
            super().delete(name)

    deleted: list[str] = []
    older = written(place, several(range(60)))
    written(place, [file("kept", noise(100))], minutes=1)
    with pytest.raises(DestinationError, match="cable"):
        pruned(Dying(place), older)
    assert len(packs(place)) > 10
    assert deleted[deleted.index("index") :].count("data") == 3


def test_before_each_deletion_it_is_looked_whether_the_lock_is_held_and_no_snapshot_is_new(
    place: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noting(FaultyDestination):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            looked.add(prefix.rstrip("/"))
            return super().list(prefix)

        def delete(self, name: str) -> None:
            kind = name.partition("/")[0]
            if kind in ("index", "data") and deleted.get("index", 0) + (kind == "index"):  # not the trial
                deleted[kind] = deleted.get(kind, 0) + 1
                assert looked >= {"locks", "snapshots"}
                looked.clear()
            super().delete(name)

    looked: set[str] = set()
    deleted: dict[str, int] = {}
    monkeypatch.setattr(pruning, "_DELETED", 1)
    older = written(place, several(range(12)))
    written(place, several(range(6, 18)), minutes=1)
    pruned(Noting(place), older)
    assert deleted["index"] > 1
    assert deleted["data"] > 1
