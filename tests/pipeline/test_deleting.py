"""Deleting one backup: everywhere, with what is known of it, and never one that must stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    Backup,
    BackupNotFoundError,
    BackupPipeline,
    DestinationError,
    Directory,
    Passphrase,
    RepositoryError,
    RepositoryLockedError,
    WrongPassphraseError,
)
from backupkit._deleting import objections
from backupkit.formats.restic.access import Access
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Clock, Make, Scripted, content
from tests.pipeline.snapshots import FORMAT, PASSPHRASE, Silent

FILES = Scripted("app", {"app/a": b"a"})
BOTH: list[dict[str, Any]] = [{}, {"format": FORMAT, "encryptor": PASSPHRASE}]

pytestmark = pytest.mark.usefixtures("impatient")


def made(pipeline: BackupPipeline, clock: Clock, count: int) -> list[Backup]:
    found: list[Backup] = []
    for _ in range(count):
        clock.forward(hours=1)
        backup = pipeline.run().destinations[0].backup
        assert backup is not None
        found.append(backup)
    return found


def where(pipeline: BackupPipeline) -> list[tuple[str, str]]:
    return [(one.id, one.location) for one in pipeline.list().backups]


@pytest.mark.parametrize("options", BOTH, ids=["archives", "snapshots"])
def test_a_backup_and_what_is_known_of_it_go_everywhere(
    make: Make, clock: Clock, options: dict[str, Any]
) -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    pipeline = make(FILES, [one, two], clock=clock, **options)
    old, new = made(pipeline, clock, 2)
    pipeline.verify(old.id)
    report = pipeline.delete(old.id)
    assert (report.operation, report.outcome, report.problems) == ("delete", "succeeded", ())
    results = [(result.location, result.backup and result.backup.id) for result in report.destinations]
    assert results == [("memory:one", old.id), ("memory:two", old.id)]
    assert where(pipeline) == [(new.id, "memory:two"), (new.id, "memory:one")]
    assert [name for name in (*one.objects, *two.objects) if old.id in name] == []
    assert content(pipeline) == {"app/a": b"a"}


def test_an_archive_frees_its_size_and_a_snapshot_nothing_until_it_is_pruned(
    make: Make, clock: Clock, destination: MemoryDestination, tmp_path: Path
) -> None:
    pipeline = make(FILES, destination, clock=clock)
    old, _ = made(pipeline, clock, 2)
    [result] = pipeline.delete(old).destinations
    assert result.freed == old.stored > 0
    app = tree(tmp_path / "app", {"a": b"1" * 1000})
    snapshots = make(
        Directory(app), MemoryDestination("snapshots"), clock=clock, format=FORMAT, encryptor=PASSPHRASE
    )
    [first] = made(snapshots, clock, 1)
    (app / "a").write_bytes(b"2" * 1000)
    made(snapshots, clock, 1)
    [result] = snapshots.delete(first).destinations
    assert result.freed == 0
    assert snapshots.prune().destinations[0].freed > 0


@pytest.mark.parametrize("options", BOTH, ids=["archives", "snapshots"])
def test_the_newest_good_backup_of_its_contents_goes_only_by_force(
    make: Make, clock: Clock, destination: MemoryDestination, options: dict[str, Any]
) -> None:
    dump = Scripted("db", {"db-dumps/shop.sql": b"rows"}, contents="databases")
    pipeline = make([FILES, dump], destination, clock=clock, **options)
    clock.forward(hours=1)
    databases = pipeline.run(only="databases").destinations[0].backup
    assert databases is not None
    *_, newest = made(pipeline, clock, 2)
    for backup, said in ((newest, "files and databases"), (databases, "databases")):
        with pytest.raises(
            RepositoryError, match=f"is the newest good backup of {said} at memory:"
        ) as raised:
            pipeline.delete(backup)
        assert raised.value.report is not None
        assert raised.value.report.outcome == "failed"
    assert len(where(pipeline)) == 3
    assert pipeline.delete(newest, force=True).outcome == "succeeded"
    assert newest.id not in dict(where(pipeline))


def test_a_newer_one_that_is_not_good_lets_nothing_go(
    make: Make, clock: Clock, destination: MemoryDestination
) -> None:
    pipeline = make(FILES, destination, clock=clock)
    [good] = made(pipeline, clock, 1)
    clock.forward(hours=1)
    losing = make(Scripted("app", {"app/a": b"a", "app/b": [[OSError("gone")]]}), destination, clock=clock)
    incomplete = losing.run().destinations[0].backup
    assert incomplete is not None
    with pytest.raises(RepositoryError, match="newest good backup"):
        pipeline.delete(good)
    assert pipeline.delete(incomplete).outcome == "succeeded"
    assert where(pipeline) == [(good.id, destination.location)]


def test_where_none_is_good_the_newest_may_go_too(
    make: Make, clock: Clock, destination: MemoryDestination
) -> None:
    losing = make(Scripted("app", {"app/a": b"a", "app/b": [[OSError("gone")]]}), destination, clock=clock)
    incomplete = losing.run().destinations[0].backup
    assert incomplete is not None
    assert losing.delete(incomplete).outcome == "succeeded"
    assert where(losing) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_pinned_backup_is_never_deleted_anywhere_not_even_by_force(
    make: Make, clock: Clock, force: bool
) -> None:
    one, two = MemoryDestination("one"), MemoryDestination("two")
    pipeline = make(FILES, [one, two], clock=clock)
    old, _ = made(pipeline, clock, 2)
    make(FILES, two, clock=clock).pin(old, reason="the audit")
    with pytest.raises(RepositoryError, match=r"is pinned at memory:two \(the audit\).*unpin it first"):
        pipeline.delete(old, force=force)
    assert len(where(pipeline)) == 4
    pipeline.unpin(old)
    assert pipeline.delete(old, force=force).outcome == "succeeded"


def test_only_the_destination_that_is_named_loses_it(make: Make, clock: Clock) -> None:
    pipeline = make(FILES, [MemoryDestination("one"), MemoryDestination("two")], clock=clock)
    old, new = made(pipeline, clock, 2)
    pipeline.delete(old.id, at="memory:two")
    assert where(pipeline) == [(new.id, "memory:two"), (new.id, "memory:one"), (old.id, "memory:one")]


def test_a_destination_that_does_not_answer_or_refuses_is_told_and_the_others_go_on(
    make: Make, clock: Clock
) -> None:
    one, two, three = (MemoryDestination(name) for name in ("one", "two", "three"))
    old, _ = made(make(FILES, [one, two, three], clock=clock), clock, 2)
    refusing = FaultyDestination(
        two, [Fault(method="delete", does=DestinationError("Locked.", location="memory:two"))]
    )
    report = make(FILES, [Silent(one), refusing, three], clock=clock).delete(old.id)
    assert report.outcome == "incomplete"
    assert {result.location: result.outcome for result in report.destinations} == {
        "memory:one": "failed",
        "memory:two": "failed",
        "memory:three": "succeeded",
    }
    assert {problem.message for problem in report.problems} == {"Nobody answers.", "Locked."}


def test_marks_that_stay_are_a_warning_for_the_backup_is_gone(
    make: Make, clock: Clock, destination: MemoryDestination
) -> None:
    pipeline = make(FILES, destination, clock=clock)
    old, _ = made(pipeline, clock, 2)
    pipeline.verify(old.id)
    refused = DestinationError("Locked.", location="memory:")
    # The archive, its summary, and then the mark.
    faulty = FaultyDestination(destination, [Fault(method="delete", call=3, does=refused)])
    report = make(FILES, faulty, clock=clock).delete(old.id)
    assert report.outcome == "succeeded"
    [problem] = report.problems
    assert (problem.severity, "which cleaning will do: Locked." in problem.message) == ("warning", True)


def test_one_that_is_not_there_is_not_found(make: Make, clock: Clock, destination: MemoryDestination) -> None:
    pipeline = make(FILES, destination, clock=clock)
    old, _ = made(pipeline, clock, 2)
    with pytest.raises(BackupNotFoundError, match="There is no backup '1999'"):
        pipeline.delete("1999")
    pipeline.delete(old)
    with pytest.raises(BackupNotFoundError, match="is gone already"):
        pipeline.delete(old)


def test_a_snapshot_is_not_deleted_while_others_use_the_repository_or_without_its_passphrase(
    make: Make, clock: Clock, destination: MemoryDestination
) -> None:
    pipeline = make(FILES, destination, clock=clock, format=FORMAT, encryptor=PASSPHRASE)
    old, _ = made(pipeline, clock, 2)
    access = Access(passphrase=PASSPHRASE, creates=False, lock_wait=FORMAT.lock_wait, cache=False)
    with access.locked(access.opened(destination)), pytest.raises(RepositoryLockedError):
        pipeline.delete(old)
    stranger = make(FILES, destination, clock=clock, format=FORMAT, encryptor=Passphrase("another one"))
    with pytest.raises(WrongPassphraseError):
        stranger.delete(old)
    assert len(where(pipeline)) == 2


def test_a_newer_one_of_another_name_in_the_same_repository_lets_nothing_go() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    mine = Backup(
        id="a",
        name="shop",
        time=now,
        contents=frozenset({"files"}),
        location="memory:m",
        stored=1,
        complete=True,
    )
    other = replace(mine, id="b", name="blog", time=now + timedelta(hours=1))
    assert [one.gives_way for one in objections(mine, [other, mine], now=other.time)] == [True]
