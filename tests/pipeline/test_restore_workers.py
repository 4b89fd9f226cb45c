"""Many files are restored by several processes, as one process would, and none outlives the restore."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit import BackupPipeline, Backups, Directory, RestoreError, _processes
from backupkit import _restore_workers as workers
from backupkit._restore_worker import is_apart
from backupkit._restore_workers import Stretches
from backupkit.destinations.local import LocalDestination
from backupkit.errors import OperationCancelledError
from backupkit.events import BytesRead, Event
from backupkit.formats.restic import repository
from backupkit.formats.restic.format import Restic
from backupkit.model import Entry
from backupkit.testing.trees import Folder, Hardlink, Node, Symlink, tree
from tests.formats.restic.snapshots_made import SECRET, spoil_tree
from tests.impatience import make_keys_cheap


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[workers._Process]]:
    """Those that were started, for a few files already. All have ended when the test has."""
    started: list[workers._Process] = []

    def start() -> workers._Process:
        started.append(_start())
        return started[-1]

    _start = workers._started
    monkeypatch.setattr(workers, "_started", start)
    monkeypatch.setattr(workers, "WORTH", 50)
    monkeypatch.setattr(workers, "_FIRST", 8)
    make_keys_cheap(monkeypatch)
    monkeypatch.setattr(workers, "usable_processors", lambda: 2)
    yield started
    assert all(one.process.poll() is not None for one in started)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folders: dict[str, Node] = {
        f"{number:02}": Folder(
            {f"{name:02}": os.urandom(2000) for name in range(20)} | {"link": Symlink("00"), "none": {}},
            mode=0o711,
        )
        for number in range(6)
    }
    more: dict[str, Node] = {
        "same": Hardlink("03/07"),
        "a-b": "sorts between a and a/b, byte by byte",
        "a": {"b": "1", "b.c": "2"},
        "caf\u00e9": "3",
        "empty": "",
        "large": os.urandom(9 << 20),
    }
    return tree(tmp_path / "app", folders | more)


@pytest.fixture
def backups(app: Path, tmp_path: Path) -> Backups:
    repository = tmp_path / "repository"
    repository.mkdir()
    pipeline = BackupPipeline(
        "shop", [Directory(app)], [repository], encryptor=SECRET, format=Restic(), checks=()
    )
    assert pipeline.run().outcome == "succeeded"
    return Backups("shop", repository, encryptor=SECRET, format=Restic())


def described(folder: Path) -> dict[str, object]:
    """Everything below a folder, as far as a restore can bring it back."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (
            stat.S_IMODE(status.st_mode),
            status.st_mtime_ns,
            status.st_nlink if path.is_file() else 0,
            content,
        )
    return found


def test_workers_restore_what_one_process_would(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process]
) -> None:
    report = backups.restore(to=tmp_path / "out")
    assert len(processes) == 2
    assert (report.outcome, report.problems) == ("succeeded", ())
    restored = tmp_path / "out" / str(app).lstrip("/")
    assert described(restored) == described(app)
    assert (restored / "03/07").samefile(restored / "same")
    expected = [*backups.entries()]
    assert report.entries == len(expected)
    assert report.read == sum(one.size or 0 for one in expected if one.kind == "file")


def test_workers_run_nothing_that_lies_in_the_working_directory(
    backups: Backups, tmp_path: Path, processes: list[workers._Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "multiprocessing.py").write_text("open('was run', 'w')")
    monkeypatch.chdir(tmp_path / "uploads")
    assert backups.restore(to=tmp_path / "out").outcome == "succeeded"
    assert len(processes) == 2
    assert os.listdir() == ["multiprocessing.py"]


def test_where_no_worker_can_make_the_destination_everything_is_restored_without(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Script(LocalDestination):
        """As one that an application's own script defines, which is another module in any other process."""

    Script.__module__, Script.__qualname__ = "__main__", "Script"
    monkeypatch.setattr(sys.modules["__main__"], "Script", Script, raising=False)
    mine = Script(tmp_path / "repository")
    assert type(pickle.loads(pickle.dumps(mine))) is Script
    report = Backups("shop", mine, encryptor=SECRET, format=Restic()).restore(to=tmp_path / "out")
    assert len(processes) == 2
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert report.entries == len([*backups.entries()])
    assert described(tmp_path / "out" / str(app).lstrip("/")) == described(app)


def test_on_many_processors_there_are_four_workers_and_none_for_a_repository_of_very_many_blobs(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(workers, "usable_processors", lambda: 64)
    assert backups.restore(to=tmp_path / "out").outcome == "succeeded"
    assert len(processes) == 4
    monkeypatch.setattr(repository, "_MOST_SHARED", 100)
    assert backups.restore(to=tmp_path / "another").outcome == "succeeded"
    assert not any(one.ready for one in processes[4:])
    assert described(tmp_path / "another") == described(tmp_path / "out")


def test_workers_restore_only_what_was_asked_for(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process]
) -> None:
    report = backups.restore(to=tmp_path / "out", include=["0?/", "a/"], exclude=["1?", "b.c"])
    assert len(processes) == 2
    assert report.outcome == "succeeded"
    expected = {
        path: what
        for path, what in described(app).items()
        if path[:2] in (*(f"0{number}" for number in range(6)), "a", "a/")
        and not path.rpartition("/")[2].startswith("1")
        and path != "a/b.c"
    }
    del expected["03/07"]  # whose other name was not asked for, so that it has one link less
    found = described(tmp_path / "out" / str(app).lstrip("/"))
    del found["03/07"]
    assert found == expected


def test_a_folder_that_cannot_be_read_is_one_problem_whoever_met_it(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process]
) -> None:
    (destination,) = backups.destinations
    spoil_tree(destination, backups.get(), f"{str(app)[1:]}/04")
    report = backups.restore(to=tmp_path / "out")
    assert len(processes) == 2
    assert (report.outcome, len(report.problems)) == ("incomplete", 1)
    assert report.problems[0].path == f"{str(app)[1:]}/04"
    found = described(tmp_path / "out" / str(app).lstrip("/"))
    assert found == {path: what for path, what in described(app).items() if not path.startswith("04/")}


def test_what_a_worker_could_not_restore_is_a_problem_and_the_others_are_restored(
    backups: Backups, app: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    packs = sorted(path for path in (tmp_path / "repository/data").rglob("*") if path.is_file())
    largest = max(packs, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(content)
    report = backups.restore(to=tmp_path / "out")
    assert report.outcome == "incomplete"
    (problem,) = report.problems
    assert largest.name in problem.message
    damaged = Path("/" + (problem.path or "")).relative_to(app)
    expected = described(app)
    del expected[str(damaged)]
    assert described(tmp_path / "out" / str(app).lstrip("/")) == expected


def test_a_restore_in_place_by_workers_reuses_what_is_there(
    backups: Backups, app: Path, tmp_path: Path, processes: list[workers._Process]
) -> None:
    backups.restore(to=tmp_path / "out")
    for path in (tmp_path / "repository/data").rglob("*"):
        if path.is_file() and path.stat().st_size > 1 << 20:
            path.unlink()  # nothing of the contents can be fetched any more
    report = backups.restore(to=tmp_path / "out", overwrite=True, exclude=["same", "07"])
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert described(tmp_path / "out" / str(app).lstrip("/")).keys() == described(app).keys()
    assert len(processes) == 4


def test_a_worker_that_is_killed_ends_the_restore_with_an_error(
    backups: Backups, tmp_path: Path, processes: list[workers._Process]
) -> None:
    def kill(event: Event) -> None:
        if isinstance(event, BytesRead):
            next(one for one in processes if one.busy).process.send_signal(signal.SIGKILL)

    watched = Backups("shop", backups.destinations, encryptor=SECRET, format=Restic(), observers=[kill])
    with pytest.raises(RestoreError, match="was killed by signal 9"):
        watched.restore(to=tmp_path / "out")


def test_a_worker_that_is_killed_is_noticed_while_a_fork_holds_its_end_of_the_connection(
    backups: Backups, tmp_path: Path, processes: list[workers._Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def pipe() -> tuple[Connection, Connection]:
        """As if the application had forked another process at that very moment."""
        ours, theirs = Pipe()
        held.append(os.dup(theirs.fileno()))
        return ours, theirs

    def kill(event: Event) -> None:
        if isinstance(event, BytesRead):
            next(one for one in processes if one.busy).process.send_signal(signal.SIGKILL)

    monkeypatch.setattr(_processes, "Pipe", pipe)
    watched = Backups("shop", backups.destinations, encryptor=SECRET, format=Restic(), observers=[kill])
    cancel = threading.Event()
    latest = threading.Timer(20, cancel.set)  # or it would be waited for without end
    latest.start()
    try:
        with pytest.raises(RestoreError, match="was killed by signal 9"):
            watched.restore(to=tmp_path / "out", cancel=cancel)
    finally:
        latest.cancel()
        for end in held:
            os.close(end)
    assert len(held) == len(processes) == 2


def test_a_restore_that_is_cancelled_leaves_nothing_unfinished(backups: Backups, tmp_path: Path) -> None:
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, BytesRead):
            cancel.set()

    watched = Backups("shop", backups.destinations, encryptor=SECRET, format=Restic(), observers=[stop])
    with pytest.raises(OperationCancelledError):
        watched.restore(to=tmp_path / "out", cancel=cancel)
    assert [*(tmp_path / "out").rglob("*.partial")] == []


@pytest.mark.parametrize("options", [{"resume": True}, {"max_entries": 1000}, {"max_size": "1GB"}])
def test_what_has_to_be_counted_together_is_restored_by_one_process(
    backups: Backups, tmp_path: Path, processes: list[workers._Process], options: dict[str, object]
) -> None:
    assert backups.restore(to=tmp_path / "out", **options).outcome == "succeeded"  # type: ignore[arg-type]  # parameters
    assert processes == []


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)


@given(
    st.lists(st.lists(_NAMES, min_size=1, max_size=3), min_size=1, max_size=40),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_each_entry_is_in_exactly_one_stretch_in_whatever_order_they_come(
    paths: list[list[str]], most: int, random: object
) -> None:
    entries = [Entry(path="/".join(names), size=len(names[0]) * 1000) for names in paths]
    stretches = Stretches()
    stretches._step = 1
    assert [*stretches.learning(entries)] == entries
    divided = stretches.divided(most)
    assert len(divided) <= most + 1
    for entry in entries:
        (one,) = [stretch for stretch in divided if stretch.has(entry)]
        names = entry.path.split("/")
        assert all(one.enters("/".join(names[:depth])) for depth in range(1, len(names)))
    assert not is_apart(Entry(path="a"), {"a"})
