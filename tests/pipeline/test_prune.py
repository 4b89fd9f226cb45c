"""Pruning what a pipeline has stored, at each of its destinations."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    Backups,
    DestinationError,
    Directory,
    KeepLast,
    LocalDestination,
    OperationCancelledError,
    Passphrase,
    Restic,
    Zip,
)
from backupkit.destinations.wrapping import Wrapping
from backupkit.formats.restic import locks
from backupkit.formats.restic.access import Access
from backupkit.formats.restic.locks import held
from backupkit.model import StoredObject
from backupkit.protocols import Destination, Format
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.pipeline.shop import Clock
from tests.pipeline.snapshots import FORMAT, PASSPHRASE

pytestmark = pytest.mark.usefixtures("impatient")

A_DAY = timedelta(days=1)
OTHER = Passphrase("another one of many random words")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "file").write_bytes(b"first")
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pipeline_of(app: Path, clock: Clock, *places: Destination, **options: Any) -> BackupPipeline:
    chosen: dict[str, Any] = {"format": FORMAT, "retention": KeepLast(1), "lock": None} | options
    return BackupPipeline("shop", Directory(app), [*places], encryptor=PASSPHRASE, clock=clock, **chosen)


def with_rubbish(app: Path, clock: Clock, *places: MemoryDestination) -> None:
    """Two runs, of which the first one's snapshot is gone, so that what it stored is of no use."""
    pipeline = pipeline_of(app, clock, *places)
    pipeline.run()
    old = [{*place.objects} for place in places]
    (app / "file").write_bytes(b"second")
    clock.now += A_DAY
    pipeline.run()
    for place, names in zip(places, old, strict=True):
        for name in names:
            if name.startswith("snapshots/"):
                del place.objects[name]


@pytest.mark.parametrize("failure", [DestinationError("Down.", location="memory:bad"), OSError("a bug")])
def test_one_destination_that_fails_does_not_keep_the_others_from_being_pruned(
    app: Path, clock: Clock, failure: Exception
) -> None:
    bad, good = MemoryDestination("bad"), MemoryDestination("good")
    with_rubbish(app, clock, bad, good)
    faulty = FaultyDestination(bad, [Fault(method="delete", call=1, does=failure)])
    before = len(good.objects)
    report = pipeline_of(app, clock, faulty, good).prune()
    assert report.outcome == "incomplete"
    assert [(one.location, one.outcome) for one in report.destinations] == [
        ("memory:bad", "failed"),
        ("memory:good", "succeeded"),
    ]
    assert report.destinations[1].freed > 0
    assert len(good.objects) < before


def test_pruning_that_waits_for_others_can_be_cancelled(app: Path, clock: Clock) -> None:
    ends_while_locked(app, clock, lambda pipeline, cancel: pipeline.prune(cancel=cancel))


def test_cleaning_that_waits_for_others_can_be_cancelled(app: Path, clock: Clock) -> None:
    ends_while_locked(app, clock, lambda pipeline, cancel: pipeline.clean(cancel=cancel))


@pytest.mark.parametrize(
    "operation",
    [
        lambda pipeline, cancel, _: pipeline.prune(dry_run=True, cancel=cancel),
        lambda pipeline, cancel, _: pipeline.repair(cancel=cancel),
        lambda pipeline, cancel, _: pipeline.verify(cancel=cancel),
        lambda pipeline, cancel, folder: pipeline.restore(to=folder / "restored", cancel=cancel),
        lambda pipeline, cancel, folder: pipeline.drill(scratch=folder, cancel=cancel),
        lambda pipeline, cancel, folder: pipeline.copy(to=elsewhere(folder, FORMAT), cancel=cancel),
        lambda pipeline, cancel, folder: pipeline.copy(to=elsewhere(folder, Zip()), cancel=cancel),
        lambda pipeline, cancel, _: [*pipeline.find("file", cancel=cancel)],
        lambda pipeline, cancel, _: [
            *pipeline.diff(*(one.id for one in pipeline.list().backups), cancel=cancel)
        ],
        lambda pipeline, cancel, _: pipeline.statistics(cancel=cancel),
        lambda pipeline, cancel, _: pipeline.add_key(OTHER, cancel=cancel),
        lambda pipeline, cancel, _: pipeline.change_passphrase(OTHER, cancel=cancel),
        lambda pipeline, cancel, _: pipeline.remove_key(pipeline.keys().keys[0].id, cancel=cancel),
    ],
    ids=[
        "prune",
        "repair",
        "verify",
        "restore",
        "drill",
        "copy",
        "rewrite",
        "find",
        "diff",
        "statistics",
        "add_key",
        "change_passphrase",
        "remove_key",
    ],
)
def test_whatever_waits_for_who_prunes_can_be_cancelled(
    app: Path,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: Callable[[BackupPipeline, threading.Event, Path], object],
) -> None:
    monkeypatch.setattr(locks, "_STEP", 0.01)
    (tmp_path / "scratch").mkdir()
    ends_while_locked(
        app,
        clock,
        lambda pipeline, cancel: operation(pipeline, cancel, tmp_path / "scratch"),
        exclusive=True,
        lock_wait=timedelta(seconds=2),
    )


def elsewhere(folder: Path, format: Format) -> Backups:
    place = LocalDestination(folder / "elsewhere", create=True)
    return Backups("shop", place, encryptor=PASSPHRASE, format=format)


def ends_while_locked(
    app: Path,
    clock: Clock,
    operation: Callable[[BackupPipeline, threading.Event], object],
    *,
    exclusive: bool = False,
    lock_wait: timedelta = timedelta(minutes=3),
) -> None:
    place = MemoryDestination()
    for _ in range(2):
        pipeline_of(app, clock, place).run()
        clock.now += A_DAY
    cancel = threading.Event()

    class Cancelling(Wrapping):
        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            if prefix == "locks/":
                cancel.set()
            return super().list(prefix)

    patient = Restic(cache=False, lock_wait=lock_wait)
    pipeline = pipeline_of(app, clock, Cancelling(place), format=patient)
    opened = Access(passphrase=PASSPHRASE, creates=False, lock_wait=timedelta(0), cache=False).opened(place)
    with (
        held(opened.objects, opened.sealer, exclusive=exclusive, wait=timedelta(0)),
        pytest.raises(OperationCancelledError),
    ):
        operation(pipeline, cancel)


def test_cleaning_that_does_not_see_any_more_what_it_keeps_prunes_nothing(app: Path, clock: Clock) -> None:
    place = MemoryDestination()
    for content in (b"first", b"second"):
        (app / "file").write_bytes(content)
        before = {*place.objects}
        pipeline_of(app, clock, place).run()
        clock.now += A_DAY
    newest = {name for name in {*place.objects} - before if name.startswith("snapshots/")}

    class Forgetful(Wrapping):
        lists = 0

        def list(self, prefix: str = "") -> Iterator[StoredObject]:
            self.lists += prefix == "snapshots/"
            return (one for one in super().list(prefix) if self.lists < 2 or one.name not in newest)

    before = {*place.objects}
    report = pipeline_of(app, clock, Forgetful(place), retention=KeepLast(2)).clean()
    assert report.outcome == "incomplete"
    [problem] = report.problems
    assert "is not listed at memory:" in problem.message
    assert {*place.objects} == before


def test_cleaning_reads_each_snapshot_once_to_plan_and_once_under_the_lock(app: Path, clock: Clock) -> None:
    class Counting(Wrapping):
        def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
            read[name] += name.startswith("snapshots/")
            return super().read(name, start=start, length=length)

    read = Counter[str]()
    place = MemoryDestination()
    for _ in range(3):
        pipeline_of(app, clock, place).run()
        clock.now += A_DAY
    assert pipeline_of(app, clock, Counting(place)).clean().outcome == "succeeded"
    assert [count for count in read.values() if count] == [2, 2, 2]


def test_a_dry_run_deletes_nothing(app: Path, clock: Clock) -> None:
    place = MemoryDestination()
    with_rubbish(app, clock, place)
    before = dict(place.objects)
    pipeline = pipeline_of(app, clock, place)
    would = pipeline.prune(dry_run=True)
    assert place.objects == before
    assert would.destinations[0].freed == pytest.approx(pipeline.prune().destinations[0].freed, abs=1000)
