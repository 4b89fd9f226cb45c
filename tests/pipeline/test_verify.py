"""Verifying: every byte counts, what was found is remembered, and a wrong passphrase proves nothing."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from backupkit import (
    BackupPipeline,
    Backups,
    ConfigurationError,
    DestinationError,
    Directory,
    IntegrityError,
    Passphrase,
    SourceError,
    WrongPassphraseError,
    open_repository,
)
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import Folder, Hardlink, Symlink, tree
from tests.pipeline.shop import Clock, Make, Scripted, down, messages, stored

SECRET = "correct horse battery staple extra"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """All kinds of entries."""
    return tree(
        tmp_path / "app",
        {
            "text": "so much text " * 20,
            "folder": Folder({"noise": os.urandom(50), "link": Symlink("../text")}, mode=0o711),
            "same": Hardlink("text"),
            "empty": {},
        },
    )


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x20]) + data[position + 1 :]


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_what_is_whole_is_verified_and_that_is_remembered(
    make: Make, app: Path, destination: MemoryDestination, clock: Clock
) -> None:
    pipeline = make(Directory(app), destination, clock=clock)
    pipeline.run()
    clock.forward(hours=1)
    report = pipeline.verify()
    assert (report.operation, report.outcome, report.problems) == ("verify", "succeeded", ())
    assert report.entries == 7
    assert report.read == 260 + 50 + 260, "a second name is read too"
    (result,) = report.destinations
    assert (result.outcome, result.location) == ("succeeded", "memory:memory")
    backup = pipeline.get()
    assert (backup.verified, backup.damaged, backup.good) == (clock.now, False, True)
    clock.forward(hours=1)
    pipeline.verify()
    assert pipeline.get().verified == clock.now
    assert open_repository(destination).get().verified == clock.now


@pytest.mark.parametrize("passphrase", [None, Passphrase(SECRET)], ids=["plain", "encrypted"])
def test_no_byte_of_an_archive_can_change_unnoticed(
    make: Make, app: Path, destination: MemoryDestination, passphrase: Passphrase | None
) -> None:
    pipeline = make(Directory(app), destination, encryptor=passphrase)
    pipeline.run()
    backup = pipeline.get()
    name = f"shop/{backup.id}.zip"
    archive = destination.objects[name]
    unnoticed = []
    for position in range(0, len(archive), 7 if passphrase else 2):
        destination.objects[name] = flipped(archive, position)
        try:
            pipeline.verify(backup)
        except IntegrityError:
            continue
        unnoticed.append(destination.objects[name])
    if passphrase is None:
        # Deflate can say the same in two ways: bits of padding, or a copy of another place that reads alike.
        assert all(contents(changed) == contents(archive) for changed in unnoticed)
    else:
        assert not unnoticed
    assert pipeline.list().backups[0].damaged


@pytest.mark.parametrize("kept", [0, 1, 0.5, -1], ids=["nothing", "a byte", "half", "all but a byte"])
def test_an_archive_that_was_cut_is_damaged(
    make: Make, app: Path, destination: MemoryDestination, kept: float
) -> None:
    pipeline = make(Directory(app), destination)
    pipeline.run()
    name = f"shop/{pipeline.get().id}.zip"
    archive = destination.objects[name]
    destination.objects[name] = archive[: int(len(archive) * kept) if 0 < kept < 1 else int(kept)]
    with pytest.raises(IntegrityError):
        pipeline.verify()
    assert not pipeline.list().backups[0].good


@pytest.mark.parametrize(
    "change",
    [
        lambda summary: summary.replace(b'"entries": 7', b'"entries": 8'),
        lambda summary: summary.replace(b"true", b"false"),
        lambda summary: summary[:-10],
        lambda summary: b"",
    ],
    ids=["another number", "another verdict", "cut", "empty"],
)
def test_a_summary_that_was_changed_is_damage(
    make: Make, app: Path, destination: MemoryDestination, change: object
) -> None:
    pipeline = make(Directory(app), destination)
    pipeline.run()
    name = f"shop/{pipeline.get().id}.complete.json"
    destination.objects[name] = change(destination.objects[name])  # type: ignore[operator]
    with pytest.raises(IntegrityError):
        pipeline.verify()
    assert pipeline.list().backups[0].damaged


def test_an_incomplete_backup_cannot_be_made_to_look_complete(
    make: Make, destination: MemoryDestination
) -> None:
    source = Scripted("app", {"app/a": b"a", "app/b": [[SourceError("lost", path="app/b")]]})
    pipeline = make(source, destination)
    pipeline.run()
    (backup,) = pipeline.list().backups
    assert pipeline.verify(backup).outcome == "succeeded", "what it holds is whole"
    assert not pipeline.list().backups[0].good
    text = destination.objects.pop(f"shop/{backup.id}.incomplete.json")
    destination.objects[f"shop/{backup.id}.complete.json"] = text.replace(b"false", b"true")
    with pytest.raises(IntegrityError):
        pipeline.verify(backup)


def test_an_archive_in_the_place_of_another_is_noticed(make: Make, destination: MemoryDestination) -> None:
    pipeline = make(Scripted("app", {"app/a": b"a"}), destination)
    for _ in range(2):
        pipeline.run()
    new, old = pipeline.list().backups
    for ending in ("zip", "complete.json"):
        destination.objects[f"shop/{new.id}.{ending}"] = destination.objects[f"shop/{old.id}.{ending}"]
    with pytest.raises(IntegrityError, match="was renamed or replaced"):
        pipeline.verify(new)


def test_damage_is_told_with_every_place_and_the_latest_falls_back(
    make: Make, tmp_path: Path, clock: Clock
) -> None:
    files = {f"app/{name}": os.urandom(2000) for name in "abcd"}
    place = stored(tmp_path / "backups")
    pipeline = make(Scripted("app", files), place, clock=clock)
    pipeline.run()
    older = pipeline.get()
    clock.forward(hours=1)
    pipeline.run()
    newer = pipeline.get()

    archive = place.folder / f"shop/{newer.id}.zip"
    data = archive.read_bytes()
    for path in ("app/b", "app/d"):
        data = flipped(data, data.index(files[path]) + 1000)
    archive.write_bytes(data)
    assert pipeline.get() == newer, "nobody knows yet"
    with pytest.raises(IntegrityError, match=r"is damaged \(2 places; first: app/b") as caught:
        pipeline.verify()

    report = caught.value.report
    assert report is not None
    assert [one.path for one in report.problems][:2] == ["app/b", "app/d"]
    assert [(one.location, one.outcome) for one in report.destinations] == [(place.location, "failed")]
    assert len(messages(report.problems)) == len({*messages(report.problems)}), "nothing is said twice"
    damaged = pipeline.list().backups[0]
    assert (damaged.id, damaged.damaged, damaged.good, damaged.verified) == (newer.id, True, False, None)
    assert pipeline.get() == older
    assert pipeline.verify().outcome == "succeeded"
    pipeline.restore(to=tmp_path / "restored")
    assert (tmp_path / "restored/app/b").read_bytes() == files["app/b"]


def test_a_backup_that_turns_out_whole_is_good_again(
    make: Make, destination: MemoryDestination, clock: Clock
) -> None:
    pipeline = make(Scripted("app", {"app/a": b"a"}), destination, clock=clock)
    pipeline.run()
    backup = pipeline.get()
    name = f"shop/{backup.id}.zip"
    archive = destination.objects[name]
    destination.objects[name] = archive[:-1]
    with pytest.raises(IntegrityError):
        pipeline.verify()
    destination.objects[name] = archive  # a cable was loose
    clock.forward(hours=1)
    assert pipeline.verify(backup).outcome == "succeeded"
    assert pipeline.get().good


def test_a_wrong_passphrase_proves_nothing(make: Make, app: Path, destination: MemoryDestination) -> None:
    make(Directory(app), destination, encryptor=Passphrase(SECRET)).run()
    before = {**destination.objects}
    for passphrase in ("something else entirely, and long", None):
        with pytest.raises(WrongPassphraseError) as caught:
            open_repository(destination, passphrase).verify()
        assert caught.value.report is not None
        assert caught.value.report.outcome == "failed"
    assert destination.objects == before
    assert open_repository(destination).get().good


def test_a_destination_that_fails_proves_nothing(make: Make, destination: MemoryDestination) -> None:
    make(Scripted("app", {"app/a": b"a"}), destination).run()
    before = {**destination.objects}
    faulty = FaultyDestination(destination, [Fault(method="read", does=down(retryable=True), call=4)])
    with pytest.raises(DestinationError, match="The cable was cut"):
        open_repository(faulty).verify()
    assert destination.objects == before


def test_a_mark_that_cannot_be_written_is_a_warning(make: Make, destination: MemoryDestination) -> None:
    make(Scripted("app", {"app/a": b"a"}), destination).run()
    faulty = FaultyDestination(destination, [Fault(method="write", does=down(retryable=False))])
    report = open_repository(faulty).verify()
    assert report.outcome == "succeeded"
    assert "could not be recorded: The cable was cut." in messages(report.problems, "warning")[0]


# Several destinations


@pytest.fixture
def copies() -> list[MemoryDestination]:
    return [MemoryDestination("one"), MemoryDestination("two")]


@pytest.fixture
def copied(make: Make, copies: list[MemoryDestination]) -> BackupPipeline:
    pipeline = make(Scripted("app", {"app/a": b"a"}), copies)
    pipeline.run()
    return pipeline


def test_every_copy_is_verified(copied: BackupPipeline) -> None:
    report = copied.verify()
    assert [(one.location, one.outcome) for one in report.destinations] == [
        ("memory:one", "succeeded"),
        ("memory:two", "succeeded"),
    ]
    assert all(one.verified for one in copied.list().backups)


def test_one_copy_can_be_verified_by_itself(copied: BackupPipeline) -> None:
    report = copied.verify(at="memory:two")
    assert [one.location for one in report.destinations] == ["memory:two"]
    assert {one.location: bool(one.verified) for one in copied.list().backups} == {
        "memory:one": False,
        "memory:two": True,
    }


def test_a_damaged_copy_says_nothing_about_the_other(
    copied: BackupPipeline, copies: list[MemoryDestination]
) -> None:
    name = f"shop/{copied.get().id}.zip"
    copies[0].objects[name] = copies[0].objects[name][:-1]
    with pytest.raises(IntegrityError) as caught:
        copied.verify()
    assert caught.value.report is not None
    assert [one.outcome for one in caught.value.report.destinations] == ["failed", "succeeded"]
    assert {one.location: one.good for one in copied.list().backups} == {
        "memory:one": False,
        "memory:two": True,
    }
    assert copied.get().location == "memory:two"


def test_a_destination_that_breaks_its_contract_keeps_no_other_copy_from_being_verified(
    copied: BackupPipeline, copies: list[MemoryDestination]
) -> None:
    broken = FaultyDestination(copies[0], [Fault(method="read", call=None, does=ValueError("a defect"))])
    with pytest.raises(DestinationError, match="a defect") as caught:
        Backups("shop", [broken, copies[1]], encryptor=None).verify()
    assert caught.value.report is not None
    assert [one.outcome for one in caught.value.report.destinations] == ["failed", "succeeded"]


def test_when_all_copies_are_damaged_each_is_told(
    copied: BackupPipeline, copies: list[MemoryDestination]
) -> None:
    name = f"shop/{copied.get().id}.zip"
    for copy in copies:
        copy.objects[name] = copy.objects[name][:-1]
    with pytest.raises(ExceptionGroup) as caught:
        copied.verify()
    assert all(isinstance(one, IntegrityError) for one in caught.value.exceptions)
    report = caught.value.report  # type: ignore[attr-defined]  # operations put it there
    assert [one.outcome for one in report.destinations] == ["failed", "failed"]
    assert {one.destination for one in report.problems} == {"memory:one", "memory:two"}


def test_an_archive_that_is_whole_but_unconfirmed_gets_its_summary_again(
    make: Make, destination: MemoryDestination
) -> None:
    pipeline = make(Scripted("uploads", {"uploads/a": b"a"}), destination)
    pipeline.run()
    name = next(name for name in destination.objects if name.endswith(".complete.json"))
    summary = destination.objects.pop(name)
    report = pipeline.verify(pipeline.list().backups[0])
    assert report.outcome == "succeeded"
    assert "which was now recorded" in messages(report.problems)[1]
    assert destination.objects[name] == summary
    assert pipeline.list().backups[0].good


def test_a_summary_that_was_not_kept_whole_is_taken_back(make: Make, destination: MemoryDestination) -> None:
    make(Scripted("app", {"app/a": b"a"}), destination).run()
    (summary,) = (name for name in destination.objects if name.endswith(".json"))
    whole = destination.objects.pop(summary)
    lying = FaultyDestination(destination, [Fault(method="write", does=None, after=100)])
    pipeline = make(Scripted("app", {}), lying)
    report = pipeline.verify(pipeline.list().backups[0])
    assert "stored 100 bytes" in messages(report.problems, "warning")[-1]
    assert summary not in destination.objects
    assert pipeline.verify(pipeline.list().backups[0]).outcome == "succeeded"
    assert destination.objects[summary] == whole


def test_an_unconfirmed_archive_that_is_damaged_gets_no_summary(
    make: Make, destination: MemoryDestination
) -> None:
    pipeline = make(Scripted("uploads", {"uploads/a": b"a" * 1000}), destination)
    pipeline.run()
    archive = next(name for name in destination.objects if name.endswith(".zip"))
    destination.objects.pop(next(name for name in destination.objects if name.endswith(".complete.json")))
    destination.objects[archive] = flipped(destination.objects[archive], 60)
    backup = pipeline.list().backups[0]
    with pytest.raises(IntegrityError):
        pipeline.verify(backup)
    assert pipeline.list().backups[0].complete is None
    assert pipeline.list().backups[0].damaged


def test_of_an_archive_no_share_is_verified_and_nothing_is_said_of_it(
    make: Make, app: Path, destination: MemoryDestination
) -> None:
    pipeline = make(Directory(app), destination)
    pipeline.run()
    before = dict(destination.objects)
    with pytest.raises(ConfigurationError, match="an archive is verified as a whole"):
        pipeline.verify(share="1/2")
    assert destination.objects == before
