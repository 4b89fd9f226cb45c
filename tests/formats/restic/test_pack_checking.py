"""Packs are checked by several processes as by one, and none of them outlives the check."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from backupkit import Backups, IntegrityError, _processes
from backupkit.destinations.local import LocalDestination
from backupkit.errors import OperationCancelledError
from backupkit.events import Event, Expected
from backupkit.formats.restic import checking
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.index import Location
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import open_existing
from backupkit.formats.restic.pack_checking import Checked, PackChecker, Places, SpreadChecker
from tests.formats.restic.snapshots_made import SECRET, file, written

Task = tuple[str, int, Places]


class Elsewhere(PackChecker):
    """Checks everything but in this process."""

    def check(self, pack: str, size: int, places: Places) -> Checked:
        raise AssertionError("it was checked here")

    def __reduce__(self) -> tuple[object, ...]:
        return PackChecker, (self.objects, self.sealer)


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "WORTH", 1)
    monkeypatch.setattr(checking, "usable_processors", lambda: 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    written(LocalDestination(folder), [file("app/a", b"the first file"), file("app/b", os.urandom(300_000))])
    return folder


@pytest.fixture
def checker(folder: Path) -> PackChecker:
    opened = open_existing(Objects(LocalDestination(folder)), SECRET)
    return PackChecker(opened.objects, opened.sealer)


@pytest.fixture
def task(folder: Path) -> Task:
    """The largest pack, that of the data."""
    opened = open_existing(Objects(LocalDestination(folder)), SECRET)
    opened.load_index()
    pack, size = max(opened.objects.list("data"), key=lambda one: one[1])
    places = [
        (one.id, one.tree, Location(pack, one.offset, one.length, one.uncompressed))
        for one in opened.index.blobs_by_pack()[pack]
    ]
    return pack, size, places


def pack_in(folder: Path, task: Task) -> Path:
    return folder / "data" / task[0][:2] / task[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content,
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:1000],
    ],
    ids=["whole", "a blob", "the header", "cut short"],
)
def test_another_process_finds_of_a_pack_what_this_one_would(
    folder: Path, checker: PackChecker, task: Task, spoil: Callable[[bytes], bytes]
) -> None:
    path = pack_in(folder, task)
    path.chmod(0o600)
    path.write_bytes(spoil(path.read_bytes()))
    with SpreadChecker(Elsewhere(checker.objects, checker.sealer), processes=1) as spread:
        assert spread.check(*task) == checker.check(*task)


def test_what_a_process_that_died_was_at_is_done_here(checker: PackChecker, task: Task) -> None:
    with SpreadChecker(checker, processes=1) as spread:
        for process, _ in spread._all:
            process.kill()
            process.wait()
        assert spread.check(*task) == checker.check(*task)


def test_a_process_that_died_is_noticed_while_a_fork_holds_its_end_of_the_connection(
    checker: PackChecker, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def pipe() -> tuple[Connection, Connection]:
        """As if the application had forked another process at that very moment."""
        ours, theirs = Pipe()
        held.append(os.dup(theirs.fileno()))
        return ours, theirs

    monkeypatch.setattr(_processes, "Pipe", pipe)
    try:
        with SpreadChecker(checker, processes=1) as spread:
            for process, _ in spread._all:
                process.kill()
                process.wait()
            assert spread.check(*task) == checker.check(*task)
    finally:
        for end in held:
            os.close(end)
    assert len(held) == 1


def test_what_fails_in_another_process_fails_here(checker: PackChecker, task: Task) -> None:
    pack, size, _ = task
    with SpreadChecker(Elsewhere(checker.objects, checker.sealer), processes=1) as spread:
        with pytest.raises(ValueError, match="max"):
            spread.check(pack, size, [])  # which nobody does: a pack of which nothing is wanted
        assert spread.check(*task) == checker.check(*task)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SpreadChecker]]:
    """What was spread. There were processes, and all have ended when the test has."""
    spread: list[SpreadChecker] = []

    class Noted(SpreadChecker):
        def __init__(self, checker: PackChecker, *, processes: int) -> None:
            super().__init__(checker, processes=processes)
            spread.append(self)

    monkeypatch.setattr("backupkit.formats.restic.checking.SpreadChecker", Noted)
    yield spread
    assert spread
    assert all(one._all for one in spread)
    assert all(process.poll() is not None for one in spread for process, _ in one._all)


def test_verifying_by_several_processes_names_what_is_damaged(
    folder: Path, task: Task, processes: list[SpreadChecker]
) -> None:
    backups = Backups("shop", folder, encryptor=SECRET, format=Restic())
    assert backups.verify().outcome == "succeeded"
    path = pack_in(folder, task)
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(IntegrityError) as raised:
        backups.verify()
    assert raised.value.report is not None
    assert any("app/" in (problem.path or "") for problem in raised.value.report.problems)
    assert len(processes) == 2


def test_a_check_that_is_cancelled_leaves_no_process_behind(
    folder: Path, processes: list[SpreadChecker]
) -> None:
    cancel = threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, Expected):
            cancel.set()

    backups = Backups("shop", folder, encryptor=SECRET, format=Restic(), observers=[observe])
    with pytest.raises(OperationCancelledError) as raised:
        backups.verify(cancel=cancel)
    assert raised.value.__traceback__ is not None  # which keeps what was under way when it was raised
    assert all(process.poll() is not None for one in processes for process, _ in one._all)
