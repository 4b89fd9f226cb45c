"""Whatever is damaged, repairing keeps all that is still right, names what is lost, and can be done again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from backupkit import Backup, BackupPipeline, Backups, Directory, Entry, Pin, Report, Zip, Zstd
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import (
    AccessDeniedError,
    BackupKitError,
    ConfigurationError,
    DestinationError,
    IntegrityError,
    RepositoryError,
    RepositoryLockedError,
)
from backupkit.formats.restic.blobs import unseal_blob
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.index import index_document, pack_text
from backupkit.formats.restic.layout import object_name
from backupkit.formats.restic.locks import held
from backupkit.formats.restic.nodes import tree_of
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, open_existing
from backupkit.formats.restic.packs import PackedBlob
from backupkit.formats.restic.reading import walk
from backupkit.formats.restic.snapshots import Snapshot, named
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.marks import write_pin
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination
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


@pytest.mark.parametrize("forget", [False, True])
def test_a_dry_run_tells_the_same_and_changes_nothing(destination: MemoryDestination, forget: bool) -> None:
    spoil(destination, largest(destination))
    destination.delete(min(packs_of(destination), key=lambda name: len(destination.objects[name])))
    destination.write(f"snapshots/{'ab' * 32}", [b"no snapshot"])
    before = dict(destination.objects)
    told = backups_at(destination).repair(dry_run=True, forget=forget)
    assert destination.objects == before
    assert not any(one.removed for one in told.destinations[0].repaired)
    done = backups_at(destination).repair(forget=forget)
    assert [
        replace(one, message=one.message.replace("would be removed", "was removed"))
        for one in told.problems
        if one.severity == "error"
    ] == [one for one in done.problems if one.severity == "error"]
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
    assert tags_at(destination, new)[-2:] == ("repaired", "backupkit:incomplete")


def tags_at(destination: Destination, backup: Backup) -> Sequence[str]:
    return dict(named(opened_at(destination).snapshots()))[backup.id].tags


def test_what_was_repaired_and_is_damaged_again_is_repaired_under_the_same_tags(
    destination: MemoryDestination,
) -> None:
    spoil(destination, largest(destination))
    (first,) = backups_at(destination).repair().destinations[0].repaired
    destination.delete(largest(destination))
    for name in [name for name in packs_of(destination) if len(destination.objects[name]) > 1000]:
        destination.delete(name)
    found = {one.damaged.id: one.by for one in backups_at(destination).repair().destinations[0].repaired}
    assert first.by
    assert (again := found[first.by.id])
    assert sorted(tags_at(destination, again)) == sorted(tags_at(destination, first.by))


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


def test_a_pin_that_has_run_out_keeps_no_damaged_backup(destination: MemoryDestination) -> None:
    backups = backups_at(destination)
    backup = backups.get()
    write_pin(destination, backup, Pin(reason="audit", until=NOON), NOON)
    spoil(destination, largest(destination))
    assert [one.removed for one in backups.repair(forget=True).destinations[0].repaired] == [True]
    assert backup.id not in {one.id for one in backups.list().backups}


def test_a_pinned_snapshot_that_cannot_be_read_stays_and_so_does_what_it_may_need(
    destination: MemoryDestination,
) -> None:
    destination.write(snapshot := f"snapshots/{'ab' * 32}", [b"no snapshot"])
    backups = backups_at(destination, None)
    backups.pin("ab" * 4, reason="audit")
    spoil(destination, pack := largest(destination))
    report = backups.repair(forget=True)
    assert {snapshot, pack} <= destination.objects.keys()
    assert any("is left alone: put it back from a copy" in one.message for one in report.problems)


class LosesTheLock(MemoryDestination):
    """Whose lock is gone once this was done to an object below `prefix`."""

    def __init__(self, method: Method, prefix: str) -> None:
        super().__init__()
        self._when = method, prefix

    def _done(self, method: Method, name: str) -> None:
        if method == self._when[0] and name.startswith(self._when[1]):
            for lock in [one for one in self.objects if one.startswith("locks/")]:
                del self.objects[lock]

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        yield from super().list(prefix)
        self._done("list", prefix)

    def delete(self, name: str) -> None:
        super().delete(name)
        self._done("delete", name)


@pytest.mark.parametrize(
    ("method", "prefix", "snapshots", "damaged"),
    [("list", "backupkit/shop/", 3, 2), ("delete", "snapshots/", 2, 2), ("delete", "data/", 2, 1)],
    ids=["before a snapshot", "before the next snapshot", "before the next pack"],
)
def test_who_loses_the_lock_deletes_nothing_more(
    objects: Mapping[str, bytes], method: Method, prefix: str, snapshots: int, damaged: int
) -> None:
    destination = LosesTheLock(method, prefix)
    destination.objects.update(objects)
    spoiled = {name for name in packs_of(destination) if len(objects[name]) > 3000}
    for name in spoiled:
        spoil(destination, name)
    with pytest.raises(RepositoryError, match="The lock on the repository"):
        backups_at(destination).repair(forget=True)
    assert sum(name.startswith("snapshots/") for name in destination.objects) == snapshots
    assert len(spoiled & destination.objects.keys()) == damaged


def test_who_loses_the_lock_after_the_last_snapshot_deletes_no_pack(objects: Mapping[str, bytes]) -> None:
    destination = LosesTheLock("delete", "snapshots/")
    destination.objects.update(objects)
    spoil(destination, pack := largest(destination))
    with pytest.raises(RepositoryError, match="The lock on the repository"):
        backups_at(destination).repair(forget=True)
    assert pack in destination.objects


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
    spoil(destination, pack := largest(destination))
    before = {name for name in destination.objects if name.startswith("snapshots/")}
    report = backups_at(destination, "another").repair(forget=True)
    assert {name for name in destination.objects if name.startswith("snapshots/")} == before
    assert pack in destination.objects
    assert any("being no backups of this name" in one.message for one in report.problems)


def test_what_two_snapshots_lack_is_told_once(destination: MemoryDestination) -> None:
    written(destination, NEWER, minutes=6)
    spoil(destination, largest(destination))
    report = backups_at(destination).repair()
    assert [one.path for one in report.problems if one.severity == "error"] == ["large"]
    first, second = report.destinations[0].repaired
    assert first.damaged.time < second.damaged.time
    assert first.by
    assert second.by
    assert (first.by.time, second.by.time) == (first.damaged.time, second.damaged.time)
    assert first.by.entries == second.by.entries == 5


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({"original": "0" * 64}, True),
        ({"original": "0" * 64, "time": "2026-01-01T00:00:00Z"}, False),
        ({"original": "0" * 64, "hostname": "another"}, False),
        ({"tags": ["backupkit:name=shop"], "hostname": "another"}, False),
    ],
    ids=["a copy", "of another time", "of another host", "not repaired"],
)
def test_what_is_left_is_known_by_its_contents_or_by_its_original(
    destination: MemoryDestination, changed: Mapping[str, object], known: bool
) -> None:
    spoil(destination, largest(destination))
    (one,) = backups_at(destination).repair().destinations[0].repaired
    assert one.by
    repository = opened_at(destination)
    repaired = dict(named(repository.snapshots()))[one.by.id]
    destination.delete(f"snapshots/{repaired.id}")
    id = repository.save_snapshot({**repaired.fields, **changed})
    (again,) = backups_at(destination).repair().destinations[0].repaired
    assert again.by
    assert (dict(named(repository.snapshots()))[again.by.id].id == id) == known


def test_snapshots_that_differ_by_their_tags_share_what_is_left_of_them_and_no_others_do(
    destination: MemoryDestination,
) -> None:
    repository = opened_at(destination)
    newest = max(repository.snapshots(), key=lambda one: one.time)
    repository.save_snapshot({**newest.fields, "tags": [*newest.tags, "another"]})
    repository.save_snapshot({**newest.fields, "time": "2026-01-01T00:00:00Z"})
    spoil(destination, largest(destination))
    earlier, first, second = backups_at(destination).repair().destinations[0].repaired
    assert first.by == second.by
    assert earlier.by
    assert (earlier.by.time, earlier.by.entries) == (earlier.damaged.time, 5)
    assert len([*repository.snapshots()]) == 6


def test_of_a_backup_without_a_root_nothing_is_left_and_that_is_said(destination: MemoryDestination) -> None:
    backup = written(destination, [file("only/here", b"1")], minutes=9)
    repository = opened_at(destination)
    repository.load_index()
    (place,) = repository.places(bytes.fromhex(snapshot_of(repository, backup)), tree=True)
    spoil(destination, object_name("data", place.pack), place.offset + 20)
    for forget in (False, True):
        report = backups_at(destination).repair(forget=forget)
        assert report.outcome == "incomplete"
        assert any(
            one.message.startswith(f"Nothing is left of the backup {backup.id}") for one in report.problems
        )
        assert [(one.by, one.removed) for one in report.destinations[0].repaired] == [(None, forget)]
    assert len([*opened_at(destination).snapshots()]) == 2


def test_a_quick_repair_reads_no_content(destination: MemoryDestination) -> None:
    counted = FaultyDestination(destination)
    spoil(destination, largest(destination))
    report = backups_at(counted).repair(quick=True)
    assert (report.problems, report.read) == ((), 0)


@pytest.mark.parametrize("fault", ["one is spoiled", "all are gone"])
def test_a_quick_repair_believes_headers_where_an_index_is_lost(
    destination: MemoryDestination, fault: str
) -> None:
    spoil(destination, largest(destination))
    indexes = [name for name in destination.objects if name.startswith("index/")]
    if fault == "one is spoiled":
        spoil(destination, indexes[0], 40)
    else:
        for name in indexes:
            destination.delete(name)
    report = backups_at(destination).repair(quick=True)
    assert (report.outcome, report.read) == ("succeeded", 0)


def test_an_index_object_that_cannot_be_read_goes_though_nothing_else_is_wrong(
    destination: MemoryDestination,
) -> None:
    destination.write(name := f"index/{'ab' * 32}", [b"no index"])
    assert backups_at(destination).repair().outcome == "succeeded"
    assert name not in destination.objects


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
    report = backups_at(destination).repair(quick=True)
    assert stored(destination) == before
    assert any("No index has the pack, and what is right in it" in one.message for one in report.problems)


def test_it_is_said_how_much_of_a_damaged_pack_is_right_and_stored_anew(
    destination: MemoryDestination,
) -> None:
    repository = opened_at(destination)
    repository.load_index()
    spoil(destination, pack := largest(destination))
    count = len(repository.index.blobs_by_pack()[pack.rpartition("/")[2]])
    report = backups_at(destination).repair()
    said = f"Of its {count} blobs, {count - 1} are right; {count - 1} of these, which stand nowhere else,"
    assert any(said in one.message for one in report.problems)


def test_each_place_of_what_stands_in_several_packs_is_looked_at(destination: MemoryDestination) -> None:
    blobs = opened_at(destination)
    for _ in range(2):  # as two runs at one time store it
        writer = RepositoryWriter(opened_at(destination), Zstd(), None)
        for content in (b"once", b"twice"):
            writer.add(sha256(content).digest(), content)
        writer.flush()
    assert backups_at(destination).repair().problems == ()
    blobs.load_index()
    (last,) = blobs.index.elsewhere(sha256(b"once").digest())
    spoil(destination, object_name("data", last.pack), last.offset + 20)
    report = backups_at(destination).repair()
    assert report.outcome == "succeeded"
    assert [last.pack in one.message for one in report.problems] == [True]
    assert opened_at(destination).load(sha256(b"once").digest()) == b"once"


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("moved", [True, False], ids=["offset", "length"])
def test_where_an_index_is_wrong_of_a_pack_the_pack_is_believed(
    destination: MemoryDestination, moved: bool, forget: bool
) -> None:
    repository = opened_at(destination)
    repository.load_index()
    packs = repository.index.blobs_by_pack()
    wrong = {
        pack: [
            PackedBlob(blob.id, blob.tree, blob.offset + moved, blob.length + (not moved), blob.uncompressed)
            for blob in blobs
        ]
        for pack, blobs in packs.items()
    }
    for name in [name for name in destination.objects if name.startswith("index/")]:
        destination.delete(name)
    texts = [pack_text(pack, blobs) for pack, blobs in wrong.items()]
    repository.objects.save("index", index_document(texts), repository.sealer)
    report = backups_at(destination).repair(forget=forget)
    assert report.outcome == "succeeded"
    said = "says itself that other blobs" if moved else "of another size than the index says"
    assert all(said in one.message for one in report.problems)
    assert {name.rpartition("/")[2] for name in packs_of(destination)} == packs.keys()
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


def test_a_pack_of_which_nobody_can_say_whether_it_is_there_is_not_gone(objects: Mapping[str, bytes]) -> None:
    destination = ListsLess()
    destination.objects.update(objects)
    fault = Fault(
        method="stat", call=None, does=DestinationError("Nobody answers.", location="memory:memory")
    )
    with pytest.raises(DestinationError, match="Nobody answers"):
        backups_at(FaultyDestination(destination, [fault])).repair(forget=True)
    assert stored(destination) == dict(objects)


def test_an_empty_folder_whose_tree_is_damaged_is_whole_after_a_quick_repair(
    destination: MemoryDestination,
) -> None:
    empty = Entry(path="empty", kind="directory", mode=0o755, modified_ns=10**18)
    backup = written(destination, [empty, file("x", b"1")], minutes=9)
    spoil_tree(destination, backup, "empty")
    (repaired,) = backups_at(destination).repair(quick=True).destinations[0].repaired
    assert repaired.by
    assert backups_at(destination).verify(repaired.by).outcome == "succeeded"


def test_what_this_machine_has_kept_of_a_repository_hides_no_damage(
    destination: MemoryDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backups = backups_at(destination)
    assert [*backups.entries("latest")]
    spoil(destination, next(name for name in destination.objects if name.startswith("index/")), 40)
    assert "was replaced by what the packs say" in backups.repair().problems[0].message


@pytest.mark.parametrize("method", ["write", "delete"])
def test_marks_that_cannot_be_changed_are_a_warning(destination: MemoryDestination, method: Method) -> None:
    spoil(destination, largest(destination))
    backups_at(destination).repair()
    refusing = Refusing(destination, method)
    report = backups_at(refusing).repair(forget=method == "delete")
    assert any("could not be" in one.message and "Nobody may" in one.message for one in report.problems)
    assert (report.outcome, len(report.destinations[0].repaired)) == ("succeeded", 1)


class Refusing(Wrapping):
    """Lets nobody write, or delete, marks."""

    def __init__(self, inner: Destination, method: Method) -> None:
        super().__init__(inner)
        self._method = method

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        self._refuse("write", name)
        return super().write(name, chunks, overwrite=overwrite)

    def delete(self, name: str) -> None:
        self._refuse("delete", name)
        super().delete(name)

    def _refuse(self, method: Method, name: str) -> None:
        if method == self._method and name.startswith("backupkit/"):
            raise AccessDeniedError("Nobody may do that.", location=self.location, name=name)


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
