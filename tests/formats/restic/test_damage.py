"""Every kind of object, with every fault: verifying names it, and what is read is right or an error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from backupkit import Backups
from backupkit.errors import BackupKitError, BackupNotFoundError, IntegrityError, RestoreError
from backupkit.formats.restic import opened
from backupkit.formats.restic.cache import Cache
from backupkit.formats.restic.format import Restic
from backupkit.model import Backup, Problem, Share
from backupkit.testing.destinations import MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, spoil_tree, written

ENTRIES = [
    file("app/a", b"the first file"),
    file("app/b", os.urandom(3 << 20)),
    file("app/deep/c", b"12345"),
    file("z", b"the last file"),
]
KINDS = ("config", "keys", "snapshots", "index", "data")
FAULTS = ("flipped", "cut short", "emptied", "swapped", "deleted")


@dataclass(frozen=True)
class Stored:
    """A repository with one backup, and objects that the same key has sealed for another one."""

    objects: Mapping[str, bytes]
    others: Mapping[str, bytes]
    backup: Backup
    contents: Mapping[str, bytes]


@pytest.fixture(autouse=True)
def _without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")


@pytest.fixture
def stored() -> Stored:
    destination = MemoryDestination()
    backup = written(destination, ENTRIES)
    objects = dict(destination.objects)
    written(destination, [file("other", os.urandom(1000))], minutes=1)
    others = {name: content for name, content in destination.objects.items() if name not in objects}
    return Stored(objects, others, backup, {one.path: b"".join(one.chunks()) for one in ENTRIES})


def spoiled(stored: Stored, kind: str, fault: str) -> Iterator[tuple[MemoryDestination, str]]:
    """The repository with one object spoiled, in turn each of the kind; and the name of that object."""
    for name in [one for one in stored.objects if one.startswith(kind)]:
        other = next((content for one, content in stored.others.items() if one.startswith(kind)), None)
        for content in _spoiled(stored.objects[name], other, fault):
            destination = MemoryDestination()
            for one, whole in {**stored.objects, name: content}.items():
                if whole is not None:
                    destination.write(one, [whole])
            yield destination, name


def _spoiled(content: bytes, other: bytes | None, fault: str) -> Sequence[bytes | None]:
    match fault:
        case "flipped":
            positions = {0, 20, len(content) // 2, len(content) - 5, len(content) - 1}
            return [content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :] for at in positions]
        case "cut short":
            return [content[: len(content) // 2], content[:-1]]
        case "emptied":
            return [b""]
        case "swapped":
            return [] if other is None else [other]
        case _:
            return [None]


def backups_at(destination: MemoryDestination) -> Backups:
    opened._unlocked.clear()  # as in a new process, which has to read the key file
    return Backups("shop", destination, encryptor=SECRET, format=Restic())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_any_object_gives_no_wrong_byte(stored: Stored, kind: str, fault: str) -> None:
    for destination, name in spoiled(stored, kind, fault):
        found = {}
        try:
            for one in backups_at(destination).entries(stored.backup):
                if one.kind == "file":
                    try:
                        found[one.path] = b"".join(one.chunks())
                    except IntegrityError:
                        continue
        except BackupKitError:
            pass
        assert found.items() <= stored.contents.items(), name


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_verifying_names_the_object_that_has_a_fault(stored: Stored, kind: str, fault: str) -> None:
    told_instead = {
        ("config", "deleted"): "There is no config at ",
        ("keys", "deleted"): "No key of the repository at memory:memory is left",
        ("index", "deleted"): "in no index",
        ("snapshots", "deleted"): f"There is no snapshot {stored.backup.id}",
        # What cannot be read could be anybody's: it is listed as damaged, and this one is not there.
        ("snapshots", ""): f"There is no snapshot {stored.backup.id}",
    }
    for destination, name in spoiled(stored, kind, fault):
        with pytest.raises(BackupKitError) as raised:
            backups_at(destination).verify(stored.backup)
        problems = raised.value.report.problems if raised.value.report else ()
        told = " ".join([str(raised.value), *(problem.message for problem in problems)])
        expected = told_instead.get((kind, fault)) or told_instead.get((kind, ""), name)
        assert expected in told, (name, told)


@pytest.mark.parametrize("fault", ["flipped", "cut short", "emptied"])
def test_a_snapshot_that_cannot_be_read_is_listed_as_damaged_beside_the_others(
    stored: Stored, fault: str
) -> None:
    for destination, name in spoiled(stored, "snapshots", fault):
        written(destination, ENTRIES[:1], minutes=5)  # which it does not keep from being made
        good, bad = backups_at(destination).list().backups
        assert (good.name, good.damaged) == ("shop", False)
        assert (bad.id, bad.damaged, bad.made_by) == (name.rpartition("/")[2][:8], True, "other")
        with pytest.raises(IntegrityError, match=name):
            backups_at(destination).verify(bad)


def problems_of(destination: MemoryDestination, backup: Backup) -> Sequence[Problem]:
    with pytest.raises(IntegrityError) as raised:
        backups_at(destination).verify(backup)
    assert raised.value.report is not None
    return [problem for problem in raised.value.report.problems if problem.check == "structure"]


def test_all_files_that_a_damaged_blob_belongs_to_are_named() -> None:
    destination = MemoryDestination()
    content = os.urandom(2000)
    backup = written(destination, [file("a/x", content), file("b", b"fine"), file("c/y", content)])
    pack = max(
        (name for name in destination.objects if name.startswith("data/")),
        key=lambda name: len(destination.objects[name]),
    )
    whole = destination.objects[pack]
    at = next(at for at in range(0, len(whole), 500) if _damages(destination, backup, pack, at))
    destination.objects[pack] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    assert {problem.path for problem in problems_of(destination, backup)} == {"a/x", "c/y"}


def _damages(destination: MemoryDestination, backup: Backup, pack: str, at: int) -> bool:
    """Whether this byte belongs to the large blob."""
    whole = destination.objects[pack]
    destination.objects[pack] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    try:
        return {problem.path for problem in problems_of(destination, backup)} == {"a/x", "c/y"}
    finally:
        destination.objects[pack] = whole


def test_of_a_missing_pack_every_file_in_it_is_named() -> None:
    destination = MemoryDestination()
    backup = written(destination, [file("a", os.urandom(900)), file("b", os.urandom(900))])
    pack = max(
        (name for name in destination.objects if name.startswith("data/")),
        key=lambda name: len(destination.objects[name]),
    )
    del destination.objects[pack]
    problems = problems_of(destination, backup)
    assert [problem.path for problem in problems] == [None, "a", "b"]
    assert problems[0].message == f"{pack} is missing."


def test_damage_is_remembered_and_a_whole_verification_is_needed_to_take_that_back() -> None:
    destination = MemoryDestination()
    backup = written(destination, [file("a", os.urandom(900))])
    packs = [name for name in destination.objects if name.startswith("data/")]
    kept = {name: destination.objects.pop(name) for name in packs}
    problems_of(destination, backup)
    backups = backups_at(destination)
    assert backups.get(backup.id).damaged
    destination.objects.update(kept)
    for number in (1, 2):
        assert backups.verify(backup, share=f"{number}/2").outcome == "succeeded"
    assert backups.get(backup.id).damaged
    backups.verify(backup)
    assert not backups.get(backup.id).damaged
    assert backups.get(backup.id).verified is not None


def test_a_share_in_which_nothing_is_wrong_makes_no_backup_verified() -> None:
    destination = MemoryDestination()
    backup = written(destination, [file("a", os.urandom(900))])
    backups = backups_at(destination)
    assert backups.verify(backup, share="1/3").outcome == "succeeded"
    assert backups.get(backup.id).verified is None


def test_each_pack_is_read_in_exactly_one_share(stored: Stored) -> None:
    packs = [name.rpartition("/")[2] for name in stored.objects if name.startswith("data/")]
    whole = backups_at(_copy(stored)).verify(stored.backup).read
    read = [backups_at(_copy(stored)).verify(stored.backup, share=f"{n}/5").read for n in range(1, 6)]
    assert sum(read) == whole
    assert [bool(one) for one in read] == [any(map(Share(n, 5).has, packs)) for n in range(1, 6)]


@pytest.mark.parametrize("kind", ["snapshots", "index", "data"])
def test_what_this_machine_has_kept_proves_nothing(stored: Stored, kind: str, tmp_path: Path) -> None:
    with Restic().open(_copy(stored), name="shop", encryptor=SECRET) as repository:
        repository._open().objects.cache = Cache("this", folder=tmp_path)
        assert [*repository.read(stored.backup)]
        assert [*repository.check(stored.backup)] == []
    for destination, name in spoiled(stored, kind, "emptied"):
        with Restic().open(destination, name="shop", encryptor=SECRET) as repository:
            repository._open().objects.cache = Cache("this", folder=tmp_path)
            try:
                told = [problem.message for problem in repository.check(stored.backup)]
            except (IntegrityError, BackupNotFoundError) as error:
                told = [str(error)]
        assert told, name


def test_damage_in_a_share_counts(stored: Stored) -> None:
    found = []
    for number in range(1, 4):
        for destination, _ in spoiled(stored, "data", "flipped"):
            try:
                backups_at(destination).verify(stored.backup, share=f"{number}/3")
            except IntegrityError:
                found.append(destination)
                assert backups_at(destination).get(stored.backup.id).damaged
    assert found


def test_a_blob_that_stands_in_two_packs_is_read_from_the_other_one() -> None:
    content = os.urandom(900)
    one, two = MemoryDestination(), MemoryDestination()
    for destination in (one, two):
        written(destination, [file("first", b"1")])
        two.objects.update(one.objects)  # the same key
    backup = written(one, [file("a", content)], minutes=1)
    before = set(two.objects)
    written(two, [file("b", b"x"), file("c", content)], minutes=2)
    read = 0
    for name in set(two.objects) - before:
        if name.startswith(("data/", "index/")):
            one.objects[name] = two.objects[name]
    for pack in [name for name in one.objects if name.startswith("data/")]:
        whole = one.objects[pack]
        one.objects[pack] = bytes(len(whole))
        with suppress(IntegrityError):  # of the trees there is only one
            entries = [*backups_at(one).entries(backup)]
            assert [b"".join(entry.chunks()) for entry in entries] == [content], pack
            read += 1
        one.objects[pack] = whole
    assert read == len([name for name in one.objects if name.startswith("data/")]) - 1


def test_of_a_damaged_folder_everything_around_it_is_restored_and_it_is_named(
    stored: Stored, tmp_path: Path
) -> None:
    destination = _copy(stored)
    spoil_tree(destination, stored.backup, "app/deep")
    backups = backups_at(destination)
    for dry_run, there in ((True, False), (False, True)):
        report = backups.restore(stored.backup, to=tmp_path, dry_run=dry_run)
        assert report.outcome == "incomplete"
        (problem,) = report.problems
        assert (problem.path, problem.severity) == ("app/deep", "error")
        assert "The folder 'app/deep' cannot be read" in problem.message
        assert (tmp_path / "z").exists() is there
    restored = {str(one.relative_to(tmp_path)): one for one in tmp_path.rglob("*") if one.is_file()}
    assert restored.keys() == stored.contents.keys() - {"app/deep/c"}
    assert all(one.read_bytes() == stored.contents[path] for path, one in restored.items())


def test_if_all_that_was_asked_for_is_in_a_damaged_folder_that_is_said(
    stored: Stored, tmp_path: Path
) -> None:
    destination = _copy(stored)
    spoil_tree(destination, stored.backup, "app/deep")
    with pytest.raises(RestoreError, match="'app/deep' cannot be read"):
        backups_at(destination).restore(stored.backup, to=tmp_path, include=["app/deep/c"])
    with pytest.raises(IntegrityError, match="'app/deep' cannot be read"):
        [*backups_at(destination).entries(stored.backup)]


def test_a_snapshot_that_cannot_be_read_keeps_no_other_from_being_copied_to_its_repository(
    stored: Stored,
) -> None:
    other = MemoryDestination()
    written(other, [file("of another", b"backup")])
    damaged = next(name for name in other.objects if name.startswith("snapshots/"))
    other.objects[damaged] = b"no snapshot"
    with Restic().open(_copy(stored), name="shop", encryptor=SECRET) as repository:
        copied = repository.copy(stored.backup, other)
    found = {
        one.path: b"".join(one.chunks()) for one in backups_at(other).entries(copied) if one.kind == "file"
    }
    assert found == stored.contents


def test_of_what_is_damaged_no_snapshot_is_made_elsewhere(stored: Stored) -> None:
    destination, other = _copy(stored), MemoryDestination()
    spoil_tree(destination, stored.backup, "app/deep")
    with (
        Restic().open(destination, name="shop", encryptor=SECRET) as repository,
        pytest.raises(IntegrityError),
    ):
        repository.copy(stored.backup, other)
    assert backups_at(other).list().backups == ()


def _copy(stored: Stored) -> MemoryDestination:
    destination = MemoryDestination()
    destination.objects.update(stored.objects)
    return destination
