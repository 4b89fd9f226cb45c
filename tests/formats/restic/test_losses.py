"""What must never be lost without a word, or lose more than itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Pipe
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backupkit import _processes
from backupkit._processes import python_command
from backupkit.compression import Store, Zstd
from backupkit.destinations.local import LocalDestination
from backupkit.errors import BackupKitError, ConfigurationError, DestinationError, RepositoryError
from backupkit.formats.restic import packing, saving, spreading, workers
from backupkit.formats.restic.folders import OpenFolder, Share
from backupkit.formats.restic.locks import held
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import create
from backupkit.formats.restic.reading import entries_of
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Entry, Origin, Part, Passed, Problem
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.retrying import Retry
from backupkit.sources.files import Directory
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.restic import stock
from tests.formats.restic.snapshots_made import NOON, file

PASSPHRASE = Passphrase(stock.PASSPHRASE)


def sink(destination: Destination, executor: Any = None, *, workers: int = 0) -> saving.Sink:
    repository = create(Objects(destination), PASSPHRASE, polynomial=0x25B468838DCB75)
    run = saving.Run(
        name="shop",
        time=NOON,
        contents=frozenset({"files"}),
        tags=(),
        host="here",
        program="test",
        workers=workers,
    )
    return saving.Sink(RepositoryWriter(repository, Zstd(), executor), run, [])


def content(one: saving.Sink, path: Path) -> bytes:
    """What the snapshot that is being written has of a file."""
    tree = one._root
    repository = one.repository
    *above, name = path.parts[1:]
    for folder in above:
        nodes = {node["name"]: node for node in parse_tree(repository.load(tree, tree=True), where="")}
        tree = bytes.fromhex(nodes[folder]["subtree"])
    nodes = {node["name"]: node for node in parse_tree(repository.load(tree, tree=True), where="")}
    return b"".join(repository.load(bytes.fromhex(id)) for id in nodes[name]["content"])


def test_a_source_around_the_folder_of_one_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "beside").write_text("would be missing")
    writer = saving.SnapshotWriter({0: sink(MemoryDestination())}, Retry(tries=1))
    writer.write(Directory(tmp_path / "a" / "b").parts())
    with pytest.raises(ConfigurationError, match="Two sources hold"):
        writer.write(Directory(tmp_path, name="all").parts())


def test_a_source_around_the_folder_of_one_before_goes_around_it_if_it_excludes_that(tmp_path: Path) -> None:
    for path in ("x", "a/y", "a/b/z", "a/c/w", "d/v"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    place = sink(MemoryDestination())
    writer = saving.SnapshotWriter({0: place}, Retry(tries=1))
    writer.write(Directory(tmp_path / "a" / "b").parts())
    passed: list[Passed] = []
    (outer,) = Directory(tmp_path, name="all", exclude=["a/b/"]).parts()
    assert isinstance(outer, Part)
    writer.write([replace(outer, passed=passed.append)])
    writer.each(saving.Sink.flush)
    snapshots = [place.finish(paths=writer.paths, complete=True)]
    found = {
        f"/{entry.path}"
        for entry in entries_of(place.repository, snapshots[0], executor=None)
        if entry.kind == "file"
    }
    assert found == {str(tmp_path / path) for path in ("x", "a/y", "a/b/z", "a/c/w", "d/v")}
    assert sum(one.entries for one in passed) == writer.entries - 2
    assert sum(one.read for one in passed) == writer.read - len("a/b/z")


def test_a_source_in_the_folder_of_one_before_is_told_to_come_first(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    writer = saving.SnapshotWriter({0: sink(MemoryDestination())}, Retry(tries=1))
    writer.write(Directory(tmp_path, exclude=["a/b/"]).parts())
    with pytest.raises(ConfigurationError, match="give the source of the inner folder before"):
        writer.write(Directory(tmp_path / "a" / "b").parts())


def test_a_share_of_a_folder_that_can_no_longer_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (part,) = [one for one in Directory(tmp_path).parts() if isinstance(one, Part)]
    (inner,) = [one for one in part.read() if isinstance(one, Part)]
    shutil.rmtree(tmp_path / "a")
    (found,) = Share(0, 2, b"x").of(inner)
    assert isinstance(found, Problem)


def test_a_problem_of_the_last_entry_before_the_shares_is_told() -> None:
    def read() -> Iterator[Entry | Problem | Part]:
        yield file("tree/a")
        yield Problem(message="its attributes could not be read", path="tree/a")
        yield file("tree/b")

    part = Part(entry=Entry(path="tree", kind="directory"), read=read)
    first, second = Share(0, 1, b"a").of(part)
    assert isinstance(first, Problem)
    assert isinstance(second, Entry)
    assert second.path == "tree/b"


def soon(monkeypatch: pytest.MonkeyPatch, then: Callable[[workers.Worker], None] = lambda _: None) -> None:
    """Have workers at once, and something done when each is ready."""
    monkeypatch.setattr(spreading, "_WORTH", 1)
    monkeypatch.setattr(spreading, "_SOON", 0)
    monkeypatch.setattr(spreading, "_MEANWHILE", 1)
    start = workers._started

    def waited_for(setup: bytes) -> workers.Worker:
        worker = start(setup)
        worker.connection.poll(10)
        then(worker)
        return worker

    monkeypatch.setattr(workers, "_started", waited_for)


class NeverSent:
    """Reads a part that cannot leave the process."""

    def __init__(self, read: Callable[[], Iterator[Entry | Problem | Part]]) -> None:
        self.read = read

    def __call__(self) -> Iterator[Entry | Problem | Part]:
        for one in self.read():
            yield replace(one, read=NeverSent(one.read)) if isinstance(one, Part) else one

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("not sent")


def test_what_no_worker_can_be_given_is_not_read_in_the_midst_of_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(monkeypatch)
    random = Random(1)
    for number in range(6):
        (tmp_path / "tree" / f"{number}").mkdir(parents=True)
        large = number in (1, 4)  # the other one comes when the second chunk of the first is read
        (tmp_path / "tree" / f"{number}" / "file").write_bytes(random.randbytes(5_000_000 if large else 10))
    one = sink(LocalDestination(tmp_path / "repository", create=True), workers=2)
    writer = saving.SnapshotWriter({0: one}, Retry(tries=1))
    parts = Directory(tmp_path / "tree").parts()
    writer.write(replace(part, read=NeverSent(part.read)) for part in parts if isinstance(part, Part))
    one.flush()
    for path in (tmp_path / "tree").glob("*/file"):
        assert content(one, path) == path.read_bytes()


def test_a_killed_worker_is_missed_though_another_process_holds_its_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(worker: workers.Worker) -> None:
        worker.process.kill()
        worker.process.wait()

    soon(monkeypatch, kill)
    held_open: list[int] = []

    def shared() -> Any:
        ours, theirs = Pipe()
        held_open.append(os.dup(theirs.fileno()))  # as a process that was forked at this moment has it
        return ours, theirs

    monkeypatch.setattr(_processes, "Pipe", shared)
    for number in range(8):
        (tmp_path / "tree" / f"{number}").mkdir(parents=True)
        (tmp_path / "tree" / f"{number}" / "file").touch()
    one = sink(LocalDestination(tmp_path / "repository", create=True), workers=1)
    try:
        with pytest.raises(BackupKitError, match="was killed by signal 9"):
            saving.SnapshotWriter({0: one}, Retry(tries=1)).write(Directory(tmp_path / "tree").parts())
    finally:
        for descriptor in held_open:
            os.close(descriptor)


def test_nodes_for_a_repository_that_failed_before_the_folder_was_begun_are_left_out() -> None:
    part = Part(entry=Entry(path="tree", kind="directory"), read=lambda: iter(()))
    folder = OpenFolder(part, "/tree", {}, {1: {}})
    spreading._put_into(folder, {0: {"a": "node"}, 1: {"a": "node"}})
    assert folder.nodes == {1: {"a": "node"}}


class Unreadable(MemoryDestination):
    broken = False

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if self.broken:
            raise DestinationError("The cable was cut.", location=self.location)
        return super().read(name, start=start, length=length)


def test_a_repository_whose_snapshot_before_cannot_be_fetched_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    broken, good = Unreadable(), MemoryDestination()
    first = sink(broken)
    writer = saving.SnapshotWriter({0: first}, Retry(tries=1))
    writer.write(Directory(tmp_path).parts())
    first.flush()
    snapshot = first.finish(paths=writer.paths, complete=True)
    broken.broken = True
    run = replace(first.run, workers=0)
    again = saving.Sink(RepositoryWriter(first.repository, Zstd(), None), run, [snapshot])
    other = sink(good)
    writer = saving.SnapshotWriter({0: again, 1: other}, Retry(tries=1))
    writer.write(Directory(tmp_path).parts())
    assert [*writer.failures] == [0]
    other.flush()
    assert content(other, tmp_path / "file") == b"content"


def test_when_a_run_ends_nothing_waits_for_being_tried_again() -> None:
    refuse = DestinationError("Not now.", location="memory:", retryable=True)
    refusing = FaultyDestination(
        MemoryDestination(),
        [Fault(method="write", call=3, does=refuse, lasting=True)],  # after key and config
    )
    waiting = threading.Event()
    objects = Objects(refusing, retry=Retry(tries=3, wait=1000, tell=lambda *_: waiting.set()))
    writer = RepositoryWriter(create(objects, PASSPHRASE), Store(), None)
    large = os.urandom(packing.PACK_SIZE)
    writer.add(hashlib.sha256(large).digest(), large)
    assert waiting.wait(10)
    writer.close()


def test_what_was_stored_is_not_indexed_once_the_lock_is_lost() -> None:
    place = MemoryDestination()
    one = sink(place)
    repository = one.repository
    with held(repository.objects, repository.sealer, exclusive=False, wait=timedelta(0)) as repository.lease:
        one.add(hashlib.sha256(b"content").digest(), b"content")
        for lock in [*place.list("locks/")]:
            place.delete(lock.name)
        with pytest.raises(RepositoryError, match="was lost"):
            one.flush()
        one.writer.salvage()
    assert [*place.list("data/")]
    assert not [*place.list("index/")]


class ShortOfMemory(ThreadPoolExecutor):
    """Of which one call fails with what no destination fails with."""

    calls = 0

    def submit(self, call: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        self.calls += 1
        if self.calls == 1:
            failed: Future[Any] = Future()
            failed.set_exception(MemoryError())
            return failed
        return super().submit(call, *arguments, **named)


def test_a_blob_that_could_not_be_stored_is_no_failure_of_the_file_that_is_being_read() -> None:
    with ShortOfMemory(1) as executor:
        one = sink(MemoryDestination(), executor)
        writer = saving.SnapshotWriter({0: one}, Retry(tries=1))
        with pytest.raises(MemoryError):
            writer.write([file("tree/a", bytes(100_000)), file("tree/b", b"b" * 100_000)])
        one.close()


def test_a_file_written_to_between_its_two_names_is_read_under_both() -> None:
    entries = [
        replace(file(f"tree/{name}", text), origin=Origin(f"/tree/{name}", 7, 1, 2, changed))
        for name, text, changed in (("a", b"old", 1), ("b", b"new", 2))
    ]
    one = sink(MemoryDestination())
    saving.SnapshotWriter({0: one}, Retry(tries=1)).write(entries)
    one.flush()
    assert content(one, Path("/tree/b")) == b"new"


def test_a_process_of_ours_runs_no_module_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "socket.py").write_text("open('was-run', 'w')")
    program = _processes._PROGRAM.partition("connection = ")[0]
    subprocess.run([*python_command(), "-c", program], cwd=tmp_path, check=True)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("flags", [["-I"], ["-E"], ["-Xutf8=1"], ["-Xutf8=0"]], ids=str)
def test_a_process_of_ours_has_the_flags_of_this_one(flags: list[str]) -> None:
    ask = "import sys; from backupkit._processes import python_command; print(python_command()[1:])"
    program = f"import sys; sys.path[:] = {sys.path!r}; {ask}"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert flags[0] in done.stdout
