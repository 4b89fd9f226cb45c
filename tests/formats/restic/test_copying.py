"""Snapshots of one repository in another: the same trees, by few requests, and none that lacks anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from hashlib import sha256

import pytest

from backupkit.errors import OperationCancelledError
from backupkit.formats.restic import packing
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.repository import ResticRepository
from backupkit.model import Backup, Entry, Passed, Problem, Taken
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, TakesOver
from backupkit.retrying import Retry
from backupkit.testing.destinations import FaultyDestination, MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, spoil_tree, written

OTHER = Passphrase("lantern gravel mosaic thirteen pebble")
FORMAT = Restic(cache=False)


def folder(path: str, *, files: int, size: int = 2000) -> list[Entry]:
    return [
        Entry(path=path, kind="directory", mode=0o755, modified_ns=10**18),
        *(file(f"{path}/{number:04}", os.urandom(size)) for number in range(files)),
    ]


def taken(
    source: Destination, to: Destination, backups: Sequence[Backup]
) -> tuple[list[Taken], list[str], int]:
    """What became of them, what was noticed, and how many bytes were read."""
    noticed: list[Problem] = []
    passed: list[Passed] = []
    with (
        ThreadPoolExecutor(2) as executor,
        FORMAT.open(source, name=None, encryptor=SECRET, executor=executor) as repository,
        FORMAT.open(to, name=None, encryptor=OTHER, executor=executor) as other,
    ):
        assert isinstance(other, TakesOver)
        assert other.takes_from(repository)
        results = other.take_over(
            backups, repository, retry=Retry(tries=1), passed=passed.append, noticed=noticed.append
        )
        return [*results], [one.message for one in noticed], sum(one.read for one in passed)


def opened(destination: Destination, passphrase: Passphrase) -> ResticRepository:
    with FORMAT.open(destination, name=None, encryptor=passphrase) as repository:
        return repository


def trees(destination: Destination, passphrase: Passphrase) -> dict[str, str]:
    """The id of the root of each snapshot."""
    repository = opened(destination, passphrase)
    return {one.id: repository._snapshot_of(one).tree for one in repository.list()}


def test_trees_keep_their_ids_and_each_snapshot_the_id_of_its_original() -> None:
    source, to = MemoryDestination(), MemoryDestination()
    backups = [written(source, folder("app", files=3), minutes=minute) for minute in range(2)]
    results, _, _ = taken(source, to, backups)
    assert [one.copy and one.copy.id for one in results] == [one.id for one in backups]
    assert trees(to, OTHER) == trees(source, SECRET)
    for backup in backups:
        copy = opened(to, OTHER)._snapshot_of(backup)
        assert copy.original == opened(source, SECRET)._snapshot_of(backup).id
        assert "parent" not in copy.fields


def test_a_copy_of_a_copy_names_the_first_original_and_is_known_there() -> None:
    source, to, third = MemoryDestination(), MemoryDestination(), MemoryDestination()
    backup = written(source, folder("app", files=1))
    with (
        FORMAT.open(source, name=None, encryptor=SECRET) as first,
        FORMAT.open(to, name=None, encryptor=OTHER) as second,
        FORMAT.open(third, name=None, encryptor=SECRET) as last,
    ):
        for whence, whither, copied in ((first, second, True), (second, last, True), (second, first, False)):
            (result,) = whither.take_over(
                [backup], whence, retry=Retry(), passed=lambda _: None, noticed=lambda _: None
            )
            assert (result.copy is not None, result.error) == (copied, None)
        assert last._snapshot_of(backup).original == first._snapshot_of(backup).id
    assert len(trees(source, SECRET)) == 1


def test_contents_and_folders_are_fetched_by_few_requests() -> None:
    inner, to = MemoryDestination(), FaultyDestination(MemoryDestination())
    entries = [one for number in range(40) for one in folder(f"app{number:02}", files=25)]
    backup = written(inner, entries)
    source = FaultyDestination(inner)
    results, _, read = taken(source, to, [backup])
    assert results[0].copy
    assert read == 40 * 25 * 2000
    # A config, a key, a snapshot, an index, the root, and what there is in two packs.
    assert source.calls["read"] <= 12
    assert to.calls["write"] <= 8


def test_many_snapshots_share_their_packs_and_their_index() -> None:
    source, to = MemoryDestination(), MemoryDestination()
    backups = [written(source, folder("app", files=2), minutes=minute) for minute in range(5)]
    taken(source, to, backups)
    kinds = [name.partition("/")[0] for name in to.objects]
    assert (kinds.count("snapshots"), kinds.count("index"), kinds.count("data")) == (5, 1, 2)


def test_snapshots_of_one_tree_that_differ_by_time_tags_or_host_are_all_copied() -> None:
    source, to = MemoryDestination(), MemoryDestination()
    taken(source, to, [written(source, [file("a", b"a")])])
    repository = opened(source, SECRET)._open()
    (first,) = repository.snapshots()
    for changed in ({"time": "2026-01-01T00:00:00Z"}, {"tags": ["another"]}, {"hostname": "another"}):
        repository.save_snapshot({**first.fields, **changed})
    backups = [*opened(source, SECRET).list()]
    assert sorted(one.copy is not None for one in taken(source, to, backups)[0]) == [False, True, True, True]
    assert [one.copy is not None for one in taken(source, to, backups)[0]] == [False] * 4


def test_what_a_copying_that_broke_off_has_stored_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PACK_SIZE", 20_000)
    source, to = MemoryDestination(), MemoryDestination()
    backup = written(source, [one for number in range(3) for one in folder(f"app{number}", files=40)])
    read = 0

    def stop(passed: Passed) -> None:
        nonlocal read
        read += passed.read
        if read > 150_000:
            raise OperationCancelledError("Enough.")

    with (
        FORMAT.open(source, name=None, encryptor=SECRET) as repository,
        FORMAT.open(to, name=None, encryptor=OTHER) as other,
        pytest.raises(OperationCancelledError),
    ):
        [*other.take_over([backup], repository, retry=Retry(tries=1), passed=stop, noticed=lambda _: None)]
    (result,), _, again = taken(source, to, [backup])
    assert result.copy
    assert 0 < again < 3 * 40 * 2000 - 50_000


def test_what_was_copied_before_is_read_no_more() -> None:
    source, to = MemoryDestination(), MemoryDestination()
    same = folder("app", files=20)
    backups = [written(source, [*same, file("z", bytes([minute]))], minutes=minute) for minute in range(2)]
    assert taken(source, to, backups[:1])[-1] == 20 * 2000 + 1
    assert taken(source, to, backups)[-1] == 1
    assert [(one.copy, one.stored) for one in taken(source, to, backups)[0]] == [(None, 0), (None, 0)]


@pytest.mark.parametrize("what", ["a folder", "a content"])
def test_a_damaged_snapshot_is_told_and_the_others_are_whole(what: str) -> None:
    source, to = MemoryDestination(), MemoryDestination()
    other, same = folder("aaa", files=2), folder("app", files=2)
    damaged = written(source, [*other, *same])
    good = written(source, same, minutes=1)
    if what == "a folder":
        spoil_tree(source, damaged, "aaa")
    else:
        content = sha256(b"".join(other[1].chunks())).digest()
        (place,) = opened(source, SECRET)._open().places(content, tree=False)
        name = f"data/{place.pack[:2]}/{place.pack}"
        pack = bytearray(source.objects[name])
        pack[place.offset + 20] ^= 1
        source.objects[name] = bytes(pack)
    results, _, _ = taken(source, to, [damaged, good])
    assert [(one.of.id, one.error is None) for one in results] == [(damaged.id, False), (good.id, True)]
    repository = opened(to, OTHER)
    assert [one.id for one in repository.list()] == [good.id]
    assert [len(b"".join(one.chunks())) for one in repository.read(good)] == [0, 2000, 2000]
    assert [*repository.check(good)] == []


def test_folders_that_are_there_without_their_contents_get_them() -> None:
    source, to = MemoryDestination(), MemoryDestination()
    backup = written(source, folder("app", files=3))
    taken(source, to, [backup])
    with FORMAT.open(to, name=None, encryptor=OTHER) as repository:
        repository.remove(backup)
        objects, sealer = repository._open().objects, repository._open().sealer
        ((id, _),) = [*objects.list("index")]
        packs = objects.load("index", id, sealer)["packs"]
        for pack in packs:
            if pack["blobs"][0]["type"] == "data":
                objects.delete("data", pack["id"])
        left = [pack for pack in packs if pack["blobs"][0]["type"] == "tree"]
        assert len(left) < len(packs)
        objects.save("index", {"packs": left}, sealer)
        objects.delete("index", id)
    assert taken(source, to, [backup])[0][0].copy
    with FORMAT.open(to, name=None, encryptor=OTHER) as repository:
        assert [len(b"".join(one.chunks())) for one in repository.read(backup)] == [0, 2000, 2000, 2000]


def test_a_new_repository_cuts_as_the_other_and_one_that_does_not_is_a_warning() -> None:
    source, made, foreign = MemoryDestination(), MemoryDestination(), MemoryDestination()
    backup = written(source, folder("app", files=1))
    _, noticed, _ = taken(source, made, [backup])
    assert [one.partition(" at ")[0] for one in noticed] == ["There was no repository"]
    polynomials = {
        opened(one, key)._open().config.polynomial for one, key in ((source, SECRET), (made, OTHER))
    }
    assert len(polynomials) == 1
    with FORMAT.open(foreign, name="blog", encryptor=OTHER) as repository:
        repository.write(
            [file("a", b"a")], time=backup.time, contents=frozenset({"files"}), retry=Retry(tries=1)
        )
    results, noticed, _ = taken(source, foreign, [backup])
    assert results[0].copy
    assert "cuts large files in other places" in noticed[0]


@pytest.mark.parametrize("executor", [False, True])
def test_a_large_file_comes_over_in_the_same_blobs(executor: bool) -> None:
    source, to = MemoryDestination(), MemoryDestination()
    backup = written(source, [file("large", os.urandom(5_000_000)), file("same", b"s" * 600_000)])
    with (
        ThreadPoolExecutor(1) if executor else nullcontext() as pool,
        FORMAT.open(source, name=None, encryptor=SECRET, executor=pool) as repository,
    ):
        copy = repository.copy(backup, to)
        assert [*repository.read(backup)] == [*opened(to, SECRET).read(copy)]
    assert trees(to, SECRET) == trees(source, SECRET)
