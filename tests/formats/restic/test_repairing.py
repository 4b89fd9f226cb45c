"""Whatever is damaged, repairing keeps all that is still right, names what is lost, and can be done again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from backupkit import Backup, BackupPipeline, Backups, Directory, Report, Zip, Zstd
from backupkit.errors import (
    BackupKitError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    RepositoryLockedError,
)
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.index import index_document, pack_text
from backupkit.formats.restic.locks import held
from backupkit.formats.restic.nodes import tree_of
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, open_existing
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.reading import walk
from backupkit.formats.restic.snapshots import Snapshot, named
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import StoredObject
from backupkit.protocols import Destination
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination, Method
from tests.formats.restic.snapshots_made import NOON, SECRET, file, spoil_tree, written
from tests.impatience import be_impatient

SAME = file("app/same", b"in both of them")
OLDER = [SAME, file("app/deep/c", b"12345"), file("gone", os.urandom(3000))]
NEWER = [SAME, file("app/deep/d", b"678"), file("large", os.urandom(600 << 10)), file("z", b"the last one")]
KINDS = ("index", "data", "snapshots")
FAULTS = ("flipped", "cut short", "emptied", "deleted")
METHODS: Sequence[Method] = ("write", "read", "stat", "list", "delete")
ALL = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))
FEW = FAULTS if ALL else ("flipped", "deleted")


@pytest.fixture(autouse=True)
def _without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")


@pytest.fixture(scope="module")
def objects() -> Mapping[str, bytes]:
    """A repository with two backups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
        be_impatient(patch)
        destination = MemoryDestination()
        written(destination, OLDER)
        written(destination, NEWER, minutes=5)
    return dict(destination.objects)


@pytest.fixture
def destination(objects: Mapping[str, bytes]) -> MemoryDestination:
    return holding(objects)


def holding(objects: Mapping[str, bytes]) -> MemoryDestination:
    destination = MemoryDestination()
    for name, content in objects.items():
        destination.write(name, [content])
    return destination


def backups_at(destination: Destination, name: str | None = "shop") -> Backups:
    return Backups(name, destination, encryptor=SECRET, format=Restic(lock_wait=timedelta(0)))


def opened_at(destination: Destination) -> OpenedRepository:
    return open_existing(Objects(destination), SECRET)


def packs_of(destination: MemoryDestination) -> Sequence[str]:
    return [name for name in destination.objects if name.startswith("data/")]


def largest(destination: MemoryDestination) -> str:
    return max(packs_of(destination), key=lambda name: len(destination.objects[name]))


def spoil(destination: MemoryDestination, name: str, at: int = 500) -> None:
    content = destination.objects[name]
    destination.objects[name] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def stored(destination: MemoryDestination) -> Mapping[str, bytes]:
    """All but marks."""
    return {
        name: content for name, content in destination.objects.items() if not name.startswith("backupkit/")
    }


def lost_paths(report: Report) -> set[str | None]:
    return {problem.path for problem in report.problems if problem.severity == "error" and problem.path}


@dataclass(frozen=True)
class Whole:
    """What is still right of a snapshot: its files, and the paths that are not; None without a root."""

    files: Mapping[str, bytes]
    lost: set[str] | None


def judged(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Mapping[str, Whole]:
    """By the id of each snapshot, found blob by blob: one is right if its bytes, where they were, still are."""
    sound = opened_at(holding(before))
    sound.load_index()
    right = set()
    for pack, blobs in sound.index.blobs_by_pack().items():
        content = after.get(f"data/{pack[:2]}/{pack}", b"")
        for blob in blobs:
            sealed = content[blob.offset : blob.offset + blob.length]
            with suppress(IntegrityError):
                unseal_blob(sealed, blob.uncompressed, blob.id, sound.sealer, where="it")
                right.add((blob.id, blob.tree))
    found = {}
    for snapshot in sound.snapshots():
        files: dict[str, bytes] = {}
        lost: set[str] = set()
        for path, node in walk(sound, snapshot.tree, executor=None):
            ids = [bytes.fromhex(one) for one in node.get("content") or ()]
            if any(path.startswith(f"{folder}/") for folder in lost):
                continue
            needs = [(one, False) for one in ids]
            if node["type"] == "dir":
                needs.append((bytes.fromhex(node["subtree"]), True))
            if not right.issuperset(needs):
                lost.add(path)
            elif node["type"] == "file":
                files[path] = b"".join(map(sound.load, ids))
        has_root = (bytes.fromhex(snapshot.tree), True) in right
        found[snapshot.id] = Whole(files, lost) if has_root else Whole({}, None)
    return found


def spoiled(objects: Mapping[str, bytes], kind: str, fault: str) -> Iterator[tuple[str, MemoryDestination]]:
    """The repository with one object spoiled, in turn each of the kind; and the name of that object."""
    for name in [one for one in objects if one.startswith(kind)]:
        content = objects[name]
        made: Sequence[bytes | None] = [None]
        if fault == "flipped":
            places = {20, len(content) // 2, len(content) - 5, len(content) - 1}
            if not ALL:
                places = {20, len(content) - 1} if kind == "data" else {len(content) // 2}
            made = [content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :] for at in places]
        elif fault == "cut short":
            made = [content[: len(content) // 2], *([content[:-1]] if ALL else [])]
        elif fault == "emptied":
            made = [b""]
        for one in made:
            destination = holding(objects)
            if one is None:
                destination.delete(name)
            else:
                destination.objects[name] = one
            yield name, destination


def files_in(repository: OpenedRepository, snapshot: Snapshot) -> Mapping[str, bytes]:
    return {
        path: b"".join(map(repository.load, map(bytes.fromhex, node.get("content") or ())))
        for path, node in walk(repository, snapshot.tree, executor=None)
        if node["type"] == "file"
    }


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_still_right_is_kept_and_each_lost_path_named(
    objects: Mapping[str, bytes], kind: str, fault: str
) -> None:
    for name, destination in spoiled(objects, kind, fault):
        left = {
            id: whole for id, whole in judged(objects, destination.objects).items() if not name.endswith(id)
        }
        report = backups_at(destination).repair()
        assert lost_paths(report) == {path for whole in left.values() for path in whole.lost or ()}, name
        repository = opened_at(destination)
        found = {
            one.original or one.id: files_in(repository, one)
            for one in repository.snapshots(damaged={})
            if one.original is not None or left[one.id].lost == set()
        }
        assert found == {id: whole.files for id, whole in left.items() if whole.lost is not None}, name


@pytest.mark.parametrize("fault", FEW)
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_repair_changes_nothing(objects: Mapping[str, bytes], kind: str, fault: str) -> None:
    for name, destination in spoiled(objects, kind, fault):
        backups_at(destination).repair()
        before = stored(destination)
        again = backups_at(destination).repair()
        assert stored(destination) == before, name
        assert not lost_paths(again)


@pytest.mark.parametrize("fault", FEW)
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_repair_that_forgets_all_backups_are_whole_and_nothing_is_wrong(
    objects: Mapping[str, bytes], kind: str, fault: str
) -> None:
    for name, destination in spoiled(objects, kind, fault):
        backups = backups_at(destination)
        backups.repair(forget=True)
        again = backups.repair()
        unknown = [one for one in again.problems if "does not say what it holds" not in one.message]
        assert not unknown, name
        for backup in backups.list().backups:
            assert backups.verify(backup).outcome == "succeeded", name


def test_a_dry_run_tells_the_same_and_changes_nothing(destination: MemoryDestination) -> None:
    spoil(destination, largest(destination))
    destination.delete(min(packs_of(destination), key=lambda name: len(destination.objects[name])))
    before = dict(destination.objects)
    told = backups_at(destination).repair(dry_run=True)
    assert destination.objects == before
    done = backups_at(destination).repair()
    assert [one for one in told.problems if one.severity == "error"] == [
        one for one in done.problems if one.severity == "error"
    ]
    assert len(told.problems) == len(done.problems)
    assert (told.outcome, told.dry_run) == ("incomplete", True)


def test_what_is_left_of_a_backup_is_listed_beside_it_and_not_good(destination: MemoryDestination) -> None:
    before = backups_at(destination).get()
    spoil(destination, largest(destination))
    report = backups_at(destination).repair()
    (repaired,) = report.destinations[0].repaired
    assert repaired.by is not None
    assert (repaired.damaged.id, repaired.removed) == (before.id, False)
    assert repaired.by.id.startswith(f"{before.id}-")
    listed = {one.id: one for one in backups_at(destination).list().backups}
    assert listed[before.id].damaged
    new = listed[repaired.by.id]
    assert (new.good, new.tags, new.entries, new.time) == (False, ("repaired",), 5, before.time)


def test_the_damaged_backup_goes_when_told_and_the_repaired_one_keeps_its_id(
    destination: MemoryDestination,
) -> None:
    spoil(destination, largest(destination))
    backups_at(destination).repair()
    ids = {one.id for one in backups_at(destination).list().backups if not one.damaged}
    report = backups_at(destination).repair(forget=True)
    assert {one.id for one in backups_at(destination).list().backups} == ids
    assert report.outcome == "succeeded"
    assert [one.removed for one in report.destinations[0].repaired] == [True]
    assert not any(name.startswith("backupkit/") for name in destination.objects)


@pytest.mark.parametrize("by", ["by a repair", "by somebody else"])
def test_of_a_damaged_backup_that_is_gone_a_good_copy_can_be_put_back(
    objects: Mapping[str, bytes], destination: MemoryDestination, by: str
) -> None:
    elsewhere = MemoryDestination("elsewhere")
    for name, content in objects.items():
        elsewhere.write(name, [content])
    spoil(destination, largest(destination))
    backups = backups_at(destination)
    (repaired,) = backups.repair().destinations[0].repaired
    if by == "by a repair":
        backups.repair(forget=True)
    else:
        with Restic().open(destination, name=None, encryptor=SECRET) as repository:
            repository.remove(repaired.damaged)
    backups_at(elsewhere).copy("all", to=backups)
    assert backups.get(repaired.damaged.id).good
    assert backups.verify(repaired.damaged.id).outcome == "succeeded"


def test_a_pinned_backup_stays_however_damaged(destination: MemoryDestination) -> None:
    backups = backups_at(destination)
    pinned = backups.pin("latest", reason="audit")
    spoil(destination, pack := largest(destination))
    report = backups.repair(forget=True)
    assert pinned.id in {one.id for one in backups.list().backups}
    assert pack in destination.objects
    assert any("is pinned, and stays: audit" in one.message for one in report.problems)


def test_the_next_run_stores_again_what_was_lost_and_the_damaged_backup_is_whole(tmp_path: Path) -> None:
    for name in ("a", "b", "inner/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(100_000))
    destination = MemoryDestination()
    pipeline = BackupPipeline(
        "shop", Directory(tmp_path), destination, encryptor=SECRET, format=Restic(), clock=lambda: NOON
    )
    pipeline.run()
    damaged = pipeline.get()
    spoil(destination, largest(destination))
    assert len(lost_paths(pipeline.repair())) == 1
    later = BackupPipeline("shop", Directory(tmp_path), destination, encryptor=SECRET, format=Restic())
    later.run()
    assert later.verify(damaged).outcome == "succeeded"


def test_what_a_run_has_stored_again_is_kept_when_the_damaged_backup_is_forgotten(
    destination: MemoryDestination,
) -> None:
    pack, healed = largest(destination), file("large", os.urandom(600 << 10))
    first = written(destination, [file("own", os.urandom(600 << 10)), healed, *OLDER], minutes=9)
    for name in {*packs_of(destination)} - {pack}:
        if len(destination.objects[name]) > len(destination.objects[pack]):
            destination.delete(name)
    backups = backups_at(destination)
    assert lost_paths(backups.repair()) >= {"own", "large"}
    written(destination, [healed, *OLDER], minutes=10)
    backups.repair(forget=True)
    assert first.id not in {one.id for one in backups.list().backups}
    left = [one for one in backups.list().backups if one.time == first.time]
    kept = [{entry.path for entry in backups.entries(one) if entry.kind == "file"} for one in left]
    assert {one.path for one in OLDER} | {"large"} in kept
    before = stored(destination)
    backups.repair(forget=True)
    assert stored(destination) == before


def test_pruning_waits_until_what_is_damaged_is_forgotten(destination: MemoryDestination) -> None:
    backups = backups_at(destination)
    spoil(destination, pack := largest(destination))
    backups.repair()
    with pytest.raises(IntegrityError, match="is in no index"):
        backups.prune()
    assert pack in destination.objects
    backups.repair(forget=True)
    backups.prune()
    assert pack not in destination.objects
    assert [backups.verify(one).outcome for one in backups.list().backups] == ["succeeded"] * 2


def test_snapshots_of_others_are_left_as_they_are(destination: MemoryDestination) -> None:
    spoil(destination, largest(destination))
    before = {name for name in destination.objects if name.startswith("snapshots/")}
    report = backups_at(destination, "another").repair(forget=True)
    assert {name for name in destination.objects if name.startswith("snapshots/")} == before
    assert any("being no backups of this name" in one.message for one in report.problems)


def test_what_two_snapshots_lack_is_told_once(destination: MemoryDestination) -> None:
    written(destination, NEWER, minutes=6)
    spoil(destination, largest(destination))
    report = backups_at(destination).repair()
    assert [one.path for one in report.problems if one.severity == "error"] == ["large"]
    assert len(report.destinations[0].repaired) == 2


def test_a_quick_repair_reads_no_content(destination: MemoryDestination) -> None:
    counted = FaultyDestination(destination)
    spoil(destination, largest(destination))
    report = backups_at(counted).repair(quick=True)
    assert (report.problems, report.read) == ((), 0)


def test_a_quick_repair_sees_that_a_pack_is_cut_short_and_keeps_what_is_left_of_it(
    objects: Mapping[str, bytes], destination: MemoryDestination
) -> None:
    pack = largest(destination)
    destination.objects[pack] = objects[pack][:-1000]
    whole = judged(objects, destination.objects)
    report = backups_at(destination).repair(quick=True)
    assert lost_paths(report) == {path for one in whole.values() for path in one.lost or ()}


def test_a_quick_repair_does_not_take_in_again_what_another_has_found_damaged(
    destination: MemoryDestination,
) -> None:
    spoil(destination, largest(destination))
    backups_at(destination).repair()
    before = stored(destination)
    backups_at(destination).repair(quick=True)
    assert stored(destination) == before


def test_where_an_index_is_wrong_of_a_pack_the_pack_is_believed(destination: MemoryDestination) -> None:
    repository = opened_at(destination)
    repository.load_index()
    packs = repository.index.blobs_by_pack()
    wrong = {
        pack: [PackedBlob(blob.id, blob.tree, blob.offset + 1, *blob[3:]) for blob in blobs]
        for pack, blobs in packs.items()
    }
    for name in [name for name in destination.objects if name.startswith("index/")]:
        destination.delete(name)
    texts = [pack_text(pack, blobs) for pack, blobs in wrong.items()]
    repository.objects.save("index", index_document(texts), repository.sealer)
    report = backups_at(destination).repair()
    assert report.outcome == "succeeded"
    assert all("says itself that other blobs" in one.message for one in report.problems)
    again = opened_at(destination)
    again.load_index()
    assert again.index.blobs_by_pack() == packs


def test_a_pack_of_which_an_index_says_less_than_there_is_is_read_again(
    destination: MemoryDestination,
) -> None:
    repository = opened_at(destination)
    repository.load_index()
    packs = repository.index.blobs_by_pack()
    for name in [name for name in destination.objects if name.startswith("index/")]:
        destination.delete(name)
    texts = [pack_text(pack, blobs[:1]) for pack, blobs in packs.items()]
    repository.objects.save("index", index_document(texts), repository.sealer)
    report = backups_at(destination).repair(quick=True)
    (problem,) = report.problems
    assert "of another size than the index says" in problem.message
    (index,) = [name for name in destination.objects if name.startswith("index/")]
    again = opened_at(destination)
    said = again.objects.load("index", index.removeprefix("index/"), again.sealer)["packs"]
    assert {pack["id"]: len(pack["blobs"]) for pack in said} == {
        pack: len(blobs) for pack, blobs in packs.items()
    }
    assert len(said) == len(packs)


class WrongOnce(MemoryDestination):
    """The first byte of the first reading of each pack is wrong, as over a bad cable."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        content = b"".join(super().read(name, start=start, length=length))
        if name.startswith("data/") and name not in self.seen:
            self.seen.add(name)
            content = bytes([content[0] ^ 1]) + content[1:]
        yield content


def test_what_is_right_at_the_second_reading_is_not_damaged(objects: Mapping[str, bytes]) -> None:
    destination = WrongOnce()
    destination.objects.update(objects)
    report = backups_at(destination).repair()
    assert len(destination.seen) == len(packs_of(destination))
    assert report.problems == ()


class ListsLess(MemoryDestination):
    """A listing of packs breaks off before the end, and does not say so."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        found = [*super().list(prefix)]
        yield from found[: len(found) // 2] if prefix == "data/" else found


def test_a_listing_that_breaks_off_costs_nothing(objects: Mapping[str, bytes]) -> None:
    destination = ListsLess()
    destination.objects.update(objects)
    report = backups_at(destination).repair(forget=True)
    assert report.problems == ()
    assert destination.objects == dict(objects)


def test_a_key_that_cannot_be_read_is_named_and_left(destination: MemoryDestination) -> None:
    destination.write(f"keys/{'ab' * 32}", [b"{}"])
    report = backups_at(destination).repair(forget=True)
    (problem,) = report.problems
    assert problem.message.startswith("A passphrase may open nothing any more: keys/abab")
    assert f"keys/{'ab' * 32}" in destination.objects


def test_a_folder_that_is_lost_is_empty_and_what_else_is_in_its_parent_stays_as_it_was(
    destination: MemoryDestination,
) -> None:
    backup = written(destination, [file("x/a", b"1"), file("x/y/b", b"2"), file("x/z", b"3")], minutes=9)
    before = opened_at(destination)
    nodes = dict(walk(before, snapshot_of(before, backup), executor=None))
    spoil_tree(destination, backup, "x/y")
    report = backups_at(destination).repair()
    assert lost_paths(report) == {"x/y"}
    (repaired,) = report.destinations[0].repaired
    assert repaired.by is not None
    after = opened_at(destination)
    found = dict(walk(after, snapshot_of(after, repaired.by), executor=None))
    empty, _ = tree_of({})
    assert found["x/y"] == {**nodes["x/y"], "subtree": empty.hex()}
    assert {path: found[path] for path in ("x/a", "x/z")} == {path: nodes[path] for path in ("x/a", "x/z")}
    assert "x/y/b" not in found


def snapshot_of(repository: OpenedRepository, backup: Backup) -> str:
    return dict(named(repository.snapshots()))[backup.id].tree


def test_a_file_that_says_a_wrong_size_can_be_restored_again(destination: MemoryDestination) -> None:
    repository = opened_at(destination)
    (snapshot, *_) = repository.snapshots()
    content = repository.load(bytes.fromhex(snapshot.tree), tree=True)
    wrong = content.replace(b'"size":12', b'"size":99').replace(b'"size":3000', b'"size":2999')
    assert wrong != content
    writer = RepositoryWriter(repository, Zstd(), None)
    tree = sha256(wrong).digest()
    writer.add(tree, wrong, tree=True)
    writer.flush()
    repository.save_snapshot({**snapshot.fields, "tree": tree.hex(), "time": "2026-01-01T00:00:00Z"})
    report = backups_at(destination).repair()
    (repaired,) = report.destinations[0].repaired
    assert repaired.by is not None
    assert all(len(content) == one for one, content in sizes_of(destination, repaired.by))


def sizes_of(destination: Destination, backup: Backup) -> Iterator[tuple[int | None, bytes]]:
    for entry in backups_at(destination).entries(backup):
        if entry.kind == "file":
            yield entry.size, b"".join(entry.chunks())


def test_archives_are_not_repaired() -> None:
    backups = Backups("shop", MemoryDestination(), encryptor=None, format=Zip())
    with pytest.raises(ConfigurationError, match=r"^Archives cannot be repaired"):
        backups.repair()


def test_a_repository_that_is_in_use_is_not_repaired(destination: MemoryDestination) -> None:
    spoil(destination, largest(destination))
    repository = opened_at(destination)
    with held(repository.objects, repository.sealer, exclusive=False, wait=timedelta(0)):
        before = dict(destination.objects)
        with pytest.raises(RepositoryLockedError):
            backups_at(destination).repair()
        assert destination.objects == before


@dataclass
class Interruption:
    """A call that fails, and with `dead` all that follow, as if the process had been killed there."""

    method: Method
    call: int
    answer_lost: bool
    dead: bool
    happened: bool = False

    def faults(self) -> Sequence[Fault]:
        first = Fault(method=self.method, call=self.call, answer_lost=self.answer_lost, does=self.fail)
        return [first, *(Fault(method=one, call=None, does=self.stay_dead, goes_on=True) for one in METHODS)]

    def fail(self) -> None:
        self.happened = True
        raise DestinationError("The cable was cut.", location="memory:memory")

    def stay_dead(self) -> None:
        if self.happened and self.dead:
            self.fail()


def test_interrupted_at_any_call_nothing_is_lost_and_the_next_repair_finishes(
    objects: Mapping[str, bytes],
) -> None:
    def damaged() -> MemoryDestination:
        """The newer backup, whose index is gone, lacks a file."""
        destination = holding(objects)
        spoil(destination, largest(destination))
        destination.delete([name for name in objects if name.startswith("index/")][1])
        return destination

    counted = FaultyDestination(damaged())
    backups_at(counted).repair(forget=True)
    expected = {id: whole.files for id, whole in judged(objects, damaged().objects).items()}
    older = next(name for name in objects if name.startswith("snapshots/")).removeprefix("snapshots/")
    for method in METHODS:
        for call in range(1, counted.calls[method] + 1):
            if not ALL and call % 4:  # a sample
                continue
            destination = damaged()
            cut = Interruption(
                method, call, method in ("write", "delete") and bool(call % 2), bool(call // 4 % 2)
            )
            with suppress(BackupKitError, ExceptionGroup):
                backups_at(FaultyDestination(destination, cut.faults())).repair(forget=True)
            assert files_in(opened_at(destination), opened_at(destination).snapshot(older)) == expected[older]
            for name in [name for name in destination.objects if name.startswith("locks/")]:
                destination.delete(name)
            backups_at(destination).repair(forget=True)
            repository = opened_at(destination)
            found = {one.original or one.id: files_in(repository, one) for one in repository.snapshots()}
            assert found == expected, cut
