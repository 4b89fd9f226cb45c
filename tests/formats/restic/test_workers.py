from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from backupkit._parallel import default_executor
from backupkit.compression import Zstd
from backupkit.destinations.local import LocalDestination
from backupkit.destinations.throttled import Throttled
from backupkit.errors import BackupKitError, DestinationError, OperationCancelledError
from backupkit.formats.restic import folders, saving, spreading, workers
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create, open_existing
from backupkit.formats.restic.parents import Node
from backupkit.formats.restic.saving import Sink
from backupkit.formats.restic.writing import RepositoryWriter
from backupkit.model import Backup, Contents, Entry, Part, Passed, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination
from backupkit.retrying import Retry
from backupkit.sources.files import Directory
from tests.formats.restic import stock
from tests.leftovers import no_file_left_open

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for processes")

D = TypeVar("D", bound=Destination)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PASSPHRASE = Passphrase(stock.PASSPHRASE)
FILES: frozenset[Contents] = frozenset({"files"})


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers for small trees, a few folders for each."""
    monkeypatch.setattr(spreading, "_WORTH", 10)
    monkeypatch.setattr(spreading, "_SOON", 0)
    monkeypatch.setattr(spreading, "_TASK", 40)
    monkeypatch.setattr(spreading, "_MEANWHILE", 1)
    monkeypatch.setattr(spreading, "_LARGEST", 200_000)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started as workers, and waited for until they are ready before anything else."""
    pids: list[int] = []
    start = workers._started

    def noted(setup: bytes) -> workers.Worker:
        worker = start(setup)
        pids.append(worker.process.pid)
        worker.connection.poll(10)
        return worker

    monkeypatch.setattr(workers, "_started", noted)
    return pids


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of several depths, one with nothing but folders, files that are equal, links, an empty one."""
    random, root = Random(1), tmp_path_factory.mktemp("workers") / "tree"
    for outer in range(12):
        for inner in ("", "a", "b/c", "b/d/e"):
            folder = root / f"{outer}" / inner
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(6):
                (folder / f"file {number}").write_bytes(random.randbytes(random.randrange(4000)))
            (folder / "same").write_bytes(b"the same everywhere" * 100)
    (root / "empty").mkdir()
    (root / "0" / "large").write_bytes(random.randbytes(3_000_000))
    (root / "5" / "b" / "also large").write_bytes(b"text " * 100_000)
    os.link(root / "1" / "file 0", root / "9" / "another name")
    os.symlink("file 0", root / "3" / "link")
    os.mkfifo(root / "4" / "pipe")
    (root / "7" / "nothing").touch()
    os.setxattr(root / "8" / "file 1", "user.note", b"value")
    return root


def run(
    destination: Destination,
    source: Directory,
    *,
    workers: int,
    time: datetime = NOON,
    each: Callable[[Passed], None] = lambda _: None,
    retry: Retry = Retry(tries=1),  # noqa: B008  # frozen
) -> Written:
    def entries() -> Iterator[Entry | Problem | Part]:
        for one in source.parts():
            yield replace(one, passed=each) if isinstance(one, Part) else one

    with (
        default_executor() as executor,
        Restic(workers=workers).open(
            destination, name="shop", encryptor=PASSPHRASE, executor=executor
        ) as repository,
    ):
        return repository.write(entries(), time=time, contents=FILES, retry=retry)


def place(tmp_path: Path, name: str = "repository") -> LocalDestination:
    return made(LocalDestination(tmp_path / name, create=True))


def made(destination: D) -> D:
    """With a repository that cuts large files where all others here do."""
    create(Objects(destination), PASSPHRASE, polynomial=0x25B468838DCB75)
    return destination


def opened(destination: Destination) -> OpenedRepository:
    repository = open_existing(Objects(destination), PASSPHRASE)
    repository.load_index()
    return repository


def saved(destination: Destination) -> dict[str, Any]:
    """All nodes by path, without those outside the source, whose times change; and what the summary counts."""
    repository = opened(destination)
    snapshot = max(repository.snapshots(), key=lambda one: one.time_ns)
    found: dict[str, Any] = {}

    def look(tree: str, path: str) -> None:
        for node in parse_tree(repository.load(bytes.fromhex(tree), tree=True), where=path):
            inner = f"{path}/{node['name']}"
            if "/tree" in inner:
                found[inner] = node
            if node["type"] == "dir":
                look(node["subtree"], inner)

    look(snapshot.tree, "")
    told = snapshot.fields["summary"]
    return found | {
        key: told[key]
        for key in (
            *("files_new", "files_changed", "files_unmodified"),
            *("data_blobs", "total_files_processed", "total_bytes_processed"),
        )
    }


def nodes(destination: Destination) -> dict[str, Any]:
    return {path: node for path, node in saved(destination).items() if path.startswith("/")}


def is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def nobody_left(pids: Sequence[int]) -> bool:
    """Whether none of the processes runs any more, or waits for its parent to notice."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_workers_run_nothing_that_lies_in_the_working_directory(
    tmp_path: Path, tree: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "multiprocessing.py").write_text("open('was run', 'w')")
    monkeypatch.chdir(tmp_path / "uploads")
    run(place(tmp_path, "repository"), Directory(tree), workers=1)
    assert started
    assert os.listdir() == ["multiprocessing.py"]


def test_a_file_that_is_changed_between_reading_two_of_its_names_is_read_under_both(tmp_path: Path) -> None:
    first, second = tmp_path / "tree" / "a", tmp_path / "tree" / "b"
    first.parent.mkdir()
    first.write_bytes(b"before")
    os.link(first, second)
    source = Directory(first.parent)

    def changing() -> Iterator[Entry]:
        for entry in source.entries():
            assert isinstance(entry, Entry)
            if entry.path == "tree/b":
                second.write_bytes(b"after!")
                status = second.stat()
                origin = replace(entry.origin, changed_ns=status.st_ctime_ns) if entry.origin else None
                entry = replace(entry, modified_ns=status.st_mtime_ns, origin=origin)
            yield entry

    def content(name: str, backup: Backup) -> bytes:
        (found,) = [one for one in repository.read(backup) if one.path.endswith(f"/{name}")]
        return b"".join(found.chunks())

    with Restic().open(place(tmp_path, "all"), name="app", encryptor=PASSPHRASE) as repository:
        backup = repository.write(changing(), time=NOON, contents=FILES, retry=Retry(tries=1)).backup
        assert (content("a", backup), content("b", backup)) == (b"before", b"after!")
        later = NOON + timedelta(hours=1)
        backup = repository.write(source.entries(), time=later, contents=FILES, retry=Retry(tries=1)).backup
        assert (content("a", backup), content("b", backup)) == (b"after!", b"after!")


def test_workers_save_exactly_what_one_process_does(tmp_path: Path, tree: Path, started: list[int]) -> None:
    alone, spread = place(tmp_path, "alone"), place(tmp_path, "spread")
    passed: list[Passed] = []
    passed_alone: list[Passed] = []
    source = Directory(tree)
    first = run(alone, source, workers=0, each=passed_alone.append)
    assert not started
    second = run(spread, source, workers=2, each=passed.append)
    assert len(started) == 2
    assert saved(spread) == saved(alone)
    assert (second.backup.entries, second.backup.size) == (first.backup.entries, first.backup.size)
    assert sum(one.entries for one in passed) == 1 + sum(1 for _ in tree.rglob("*"))
    assert sum(one.entries for one in passed) == sum(one.entries for one in passed_alone)
    # A file with two names may be read under both, by two workers.
    twice = sum(one.read for one in passed) - sum(one.read for one in passed_alone)
    assert twice in (0, (tree / "1" / "file 0").stat().st_size)
    assert stock.Restic(tmp_path / "spread").must("check", "--read-data") is not None


def test_workers_read_nothing_that_is_unchanged(tmp_path: Path, tree: Path, started: list[int]) -> None:
    alone, spread = place(tmp_path, "alone"), place(tmp_path, "spread")
    passed: list[Passed] = []
    for destination in (alone, spread):
        run(destination, Directory(tree), workers=0)
    later = NOON + timedelta(hours=1)
    run(alone, Directory(tree), workers=0, time=later)
    run(spread, Directory(tree), workers=2, time=later, each=passed.append)
    assert len(started) == 2
    assert saved(spread) == saved(alone)
    assert saved(spread)["data_blobs"] == 0
    assert saved(spread)["files_unmodified"] == sum(1 for file in tree.rglob("*") if is_file(file))
    assert sum(one.read for one in passed) == 0


def test_a_folder_compared_as_a_whole_is_saved_as_one_compared_file_by_file(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, single = place(tmp_path, "whole"), place(tmp_path, "single")
    for destination in (whole, single):
        run(destination, Directory(tree), workers=0)
    later = NOON + timedelta(hours=1)
    parsed: list[bytes] = []
    parse = Sink.parsed

    def noted(sink: Sink, id: bytes, content: bytes) -> Mapping[str, Node]:
        parsed.append(id)
        return parse(sink, id, content)

    monkeypatch.setattr(Sink, "parsed", noted)
    run(whole, Directory(tree), workers=0, time=later)
    few = len(parsed)
    monkeypatch.setattr(folders, "_WHOLE", 0)
    run(single, Directory(tree), workers=0, time=later)
    assert saved(whole) == saved(single)
    # Those of the file that has two names, and the empty one, are parsed in any case.
    assert (few, len(parsed) - few) == (3, 1 + sum(1 for one in tree.rglob("*") if one.is_dir()))


def test_patterns_leave_out_the_same_folders(tmp_path: Path, tree: Path, started: list[int]) -> None:
    alone, spread = place(tmp_path, "alone"), place(tmp_path, "spread")
    source = Directory(tree, include=["b/c/file 3", "/3/"], exclude=["/5/b/c"])
    run(alone, source, workers=0)
    run(spread, source, workers=2)
    assert len(started) == 2
    assert saved(spread) == saved(alone)


def test_what_cannot_be_read_is_told_as_by_one_process(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    folder = tmp_path / "tree"
    for number in range(20):
        (folder / f"{number}").mkdir(parents=True)
        (folder / f"{number}" / "file").write_text(f"{number}")
    os.symlink("/proc/self/mem", folder / "13" / "unreadable")  # for root as well
    source = Directory(folder, follow_symlinks=True)
    alone = run(place(tmp_path, "alone"), source, workers=0)
    spread = run(place(tmp_path, "spread"), source, workers=2)
    assert len(started) == 2
    assert [problem.path for problem in spread.problems] == ["tree/13/unreadable"]
    assert spread.problems == alone.problems
    assert spread.backup.complete is False


def test_several_repositories_get_the_same_from_workers(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    several = {number: place(tmp_path, f"repository {number}") for number in range(2)}
    run(several[0], Directory(tree, include=["/0/"]), workers=0, time=NOON - timedelta(days=1))
    sinks: dict[int, saving.Sink] = {}
    about = saving.Run(
        name="shop", time=NOON, contents=FILES, tags=(), host=os.uname().nodename, program="test", workers=2
    )
    for number, destination in several.items():
        repository = open_existing(Objects(destination), PASSPHRASE)
        known = [*repository.snapshots()]
        repository.load_index()
        sinks[number] = saving.Sink(RepositoryWriter(repository, Zstd(), None), about, known)
    writer = saving.SnapshotWriter(sinks, Retry(tries=1))
    writer.write(Directory(tree).parts())
    for sink in sinks.values():
        sink.flush()
        sink.finish(paths=writer.paths, complete=True)
    assert len(started) == 2
    alone = place(tmp_path, "alone")
    run(alone, Directory(tree), workers=0)
    for number, destination in several.items():
        stock.Restic(tmp_path / f"repository {number}").must("check", "--read-data")
        assert nodes(destination) == nodes(alone)
    assert saved(several[0])["files_unmodified"] > saved(several[1])["files_unmodified"] == 0


def test_workers_read_again_what_has_changed_or_is_no_longer_held(tmp_path: Path, started: list[int]) -> None:
    folder, destination = tmp_path / "tree", place(tmp_path)
    for number in range(20):
        (folder / f"{number}").mkdir(parents=True)
        (folder / f"{number}" / "file").write_text(f"{number}")
        (folder / f"{number}" / "large").write_bytes(bytes([number]) * 300_000)
    run(destination, Directory(folder), workers=0)
    before = opened(destination)
    (first,) = before.snapshots()
    lost = before.index.find(hashlib.sha256(b"17").digest())
    assert lost is not None
    (tmp_path / "repository" / "data" / lost.pack[:2] / lost.pack).unlink()
    restic = stock.Restic(tmp_path / "repository")
    restic.must("rebuild-index")
    (folder / "13" / "large").write_bytes(b"changed" * 100_000)
    shutil.copytree(tmp_path / "repository", tmp_path / "copy")
    later = NOON + timedelta(hours=1)
    run(destination, Directory(folder), workers=2, time=later)
    assert len(started) == 2
    spread = saved(destination)
    assert spread["files_unmodified"] == 0
    assert spread["data_blobs"] == spread["files_changed"] == 40
    restic.must("forget", first.id)  # of which one file is lost for good
    restic.must("check", "--read-data")
    run(LocalDestination(tmp_path / "copy"), Directory(folder), workers=0, time=later)
    assert saved(LocalDestination(tmp_path / "copy")) == spread


def test_a_folder_of_many_files_is_shared_by_workers(
    tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_AT_ONCE", 16)
    monkeypatch.setattr(folders, "_MANY", 20)
    folder, random = tmp_path / "tree" / "flat", Random(2)
    folder.mkdir(parents=True)
    for number in range(300):
        (folder / f"{number}-\N{SNOWMAN}").write_bytes(random.randbytes(3000))
        if number % 50 == 0:
            (folder / f"folder {number}" / "inner").mkdir(parents=True)
            (folder / f"folder {number}" / "inner" / "large").write_bytes(bytes(300_000))
    os.symlink("/proc/self/mem", folder / "200 unreadable")
    alone, spread = place(tmp_path, "alone"), place(tmp_path, "spread")
    source = Directory(folder.parent, follow_symlinks=True)
    for hours in range(2):
        first = run(alone, source, workers=0, time=NOON + timedelta(hours=hours))
        second = run(spread, source, workers=2, time=NOON + timedelta(hours=hours))
        assert saved(spread) == saved(alone)
        assert second.problems == first.problems
        (folder / "7-changed").write_text("changed")
    assert len(started) == 4


def test_folders_may_be_as_deep_as_they_like(
    tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tree"
    deep = folder
    for _ in range(600):
        deep /= "d"
        deep.mkdir(parents=True)
        (deep / "f").touch()
    monkeypatch.setattr(spreading, "_TASK", 500)
    alone, spread = place(tmp_path, "alone"), place(tmp_path, "spread")
    run(alone, Directory(folder), workers=0)
    run(spread, Directory(folder), workers=2)
    assert len(started) == 2
    assert saved(spread) == saved(alone)


def test_workers_tell_what_of_the_snapshot_before_is_damaged(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    run(place(tmp_path), Directory(tree), workers=0)
    before = opened(LocalDestination(tmp_path / "repository"))
    damaged = saved(LocalDestination(tmp_path / "repository"))[f"{tree}/7/b/c"]["subtree"]
    found = before.index.find(bytes.fromhex(damaged), tree=True)
    assert found is not None
    pack = tmp_path / "repository" / "data" / found.pack[:2] / found.pack
    content = bytearray(pack.read_bytes())
    content[found.offset + 20] ^= 1
    pack.write_bytes(content)
    shutil.copytree(tmp_path / "repository", tmp_path / "copy")
    later = NOON + timedelta(hours=1)
    alone, spread = (LocalDestination(tmp_path / name) for name in ("repository", "copy"))
    first = run(alone, Directory(tree), workers=0, time=later)
    second = run(spread, Directory(tree), workers=2, time=later)
    assert len(started) == 2
    (problem,), (other,) = first.problems, second.problems
    assert "is read anew" in problem.message
    assert other.message.replace("/copy", "/repository") == problem.message
    assert saved(spread) == saved(alone)


def test_a_killed_worker_fails_the_run_and_leaves_a_sound_repository(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    destination = place(tmp_path)
    run(destination, Directory(tree, include=["/1/"]), workers=0)

    def kill(_: Passed) -> None:
        if started:
            os.kill(started[0], signal.SIGKILL)

    with pytest.raises(BackupKitError, match="killed by signal 9"):
        run(destination, Directory(tree), workers=2, each=kill, time=NOON + timedelta(hours=1))
    assert len(started) == 2
    assert nobody_left(started)
    assert len([*opened(destination).snapshots()]) == 1
    restic = stock.Restic(tmp_path / "repository")
    restic.must("check", "--read-data")
    run(destination, Directory(tree), workers=2, time=NOON + timedelta(hours=2))
    restic.must("check", "--read-data")


def test_cancelling_ends_the_workers(tmp_path: Path, tree: Path, started: list[int]) -> None:
    def cancel(_: Passed) -> None:
        if started:
            raise OperationCancelledError("enough")

    with no_file_left_open(), pytest.raises(OperationCancelledError, match="enough"):
        run(place(tmp_path), Directory(tree), workers=2, each=cancel)
    assert len(started) == 2
    assert nobody_left(started)


def test_signals_that_reach_a_whole_group_of_processes_do_not_end_the_workers(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    sent: set[int] = set()

    def send(_: Passed) -> None:
        for pid in set(started) - sent:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
            sent.add(pid)

    run(place(tmp_path), Directory(tree), workers=2, each=send)
    assert len(sent) == 2
    alone = place(tmp_path, "alone")
    run(alone, Directory(tree), workers=0)
    assert saved(LocalDestination(tmp_path / "repository")) == saved(alone)


def test_where_workers_cannot_store_the_run_fails_and_leaves_no_snapshot(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    destination = place(tmp_path)
    data = tmp_path / "repository" / "data"
    data.write_text("no folder")
    with pytest.raises(DestinationError, match=r"could not be written at .*Not a directory"):
        run(destination, Directory(tree), workers=2)
    assert len(started) == 2
    assert nobody_left(started)
    assert [*opened(destination).snapshots()] == []
    data.unlink()
    run(destination, Directory(tree), workers=2)
    stock.Restic(tmp_path / "repository").must("check", "--read-data")


class Hanging(Directory):
    """A source whose folders no other process can read to the end."""

    def parts(self) -> Iterator[Entry | Problem | Part]:
        hang = HangingElsewhere(os.getpid(), str(self.path))
        return (
            replace(one, read=partial(hang, one.read)) for one in super().parts() if isinstance(one, Part)
        )


@dataclass(frozen=True)
class HangingElsewhere:
    here: int
    folder: str

    def __call__(
        self, read: Callable[[], Iterator[Entry | Problem | Part]]
    ) -> Iterator[Entry | Problem | Part]:
        if os.getpid() != self.here:
            Path(f"{self.folder}.{os.getpid()}").touch()
            time.sleep(1000)
        for one in read():
            yield replace(one, read=partial(self, one.read)) if isinstance(one, Part) else one


_PARENT = """
import sys
from backupkit.formats.restic import spreading
from tests.formats.restic import test_workers as it

def ready(setup):
    worker = start(setup)
    worker.connection.poll(10)
    return worker

start, it.workers._started = it.workers._started, ready
spreading._WORTH = 1
spreading._SOON = 0
it.run(it.place(it.Path(sys.argv[1])), it.Hanging(sys.argv[2]), workers=2)
"""


def test_when_its_parent_is_killed_a_worker_ends_whatever_it_is_at(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(30):
        (tree / f"{number}").mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path), str(tree)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))},
    ) as parent:
        pids: list[int] = []
        while len(pids) < 2 and parent.poll() is None:
            pids = [int(path.suffix[1:]) for path in tmp_path.glob("tree.*")]
            time.sleep(0.01)
        assert all(map(_runs, pids))
        parent.kill()
    # Who has no parent any more is the system's to wait for, which in a container nobody may do.
    end = time.monotonic() + 10
    while any(map(_runs, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    left = [pid for pid in pids if _runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(pids) == 2
    assert not left
    restic = stock.Restic(tmp_path / "repository")
    restic.must("unlock")
    restic.must("check", "--read-data")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Unsendable(LocalDestination):
    """A destination that holds what cannot leave the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, create=True)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    "make",
    [Unsendable, lambda folder: Throttled(LocalDestination(folder, create=True), "1GB")],
    ids=["of-others", "throttled"],
)
def test_a_destination_that_cannot_leave_the_process_is_written_to_by_it_alone(
    tmp_path: Path, tree: Path, started: list[int], make: Callable[[Path], Destination]
) -> None:
    destination, alone = made(make(tmp_path / "repository")), place(tmp_path, "alone")
    run(destination, Directory(tree), workers=2)
    run(alone, Directory(tree), workers=0)
    assert not started
    assert saved(destination) == saved(alone)


class Elsewhere(LocalDestination):
    """A destination of which another process cannot import the class, as if it stood in a script."""

    def __reduce__(self) -> tuple[object, ...]:
        return _only_in, (os.getpid(), Elsewhere, self.folder)


class PartsElsewhere(Directory):
    """A source whose parts cannot be made in another process."""

    def parts(self) -> Iterator[Entry | Problem | Part]:
        return (_local(one) for one in super().parts())


def _local(one: Entry | Problem | Part) -> Entry | Problem | Part:
    return replace(one, read=Reading(one.read)) if isinstance(one, Part) else one


class Reading:
    def __init__(self, read: Callable[[], Iterator[Entry | Problem | Part]]) -> None:
        self.read = read

    def __call__(self) -> Iterator[Entry | Problem | Part]:
        return map(_local, self.read())

    def __reduce__(self) -> tuple[object, ...]:
        return _only_in, (os.getpid(), Reading, self.read)


def _only_in(pid: int, make: Callable[[Any], Any], argument: Any) -> Any:
    if os.getpid() != pid:
        raise AttributeError("there is no such class here")
    return make(argument)


def test_a_destination_that_no_worker_can_make_is_written_to_by_one_process(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    destination, alone = made(Elsewhere(tmp_path / "repository", create=True)), place(tmp_path, "alone")
    run(destination, Directory(tree), workers=2)
    run(alone, Directory(tree), workers=0)
    assert len(started) == 2
    assert saved(destination) == saved(alone)


def test_parts_that_no_worker_can_make_are_read_by_one_process(
    tmp_path: Path, tree: Path, started: list[int]
) -> None:
    destination, alone = place(tmp_path), place(tmp_path, "alone")
    run(destination, PartsElsewhere(tree), workers=2)
    run(alone, Directory(tree), workers=0)
    assert len(started) == 2
    assert saved(destination) == saved(alone)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("python3", "#!/bin/sh\nexec sleep 1000\n"),
        ("python3", "#!/bin/sh\necho no >&2\nexit 1\n"),
        ("server", "#!/bin/sh\ntouch was-started\n"),
    ],
    ids=["silent", "ends", "not-python"],
)
def test_where_no_worker_begins_one_process_does_it_all(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, name: str, program: str
) -> None:
    executable = tmp_path / name
    executable.write_text(program)
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(executable))
    monkeypatch.setattr(workers, "_PATIENCE", 0.2)
    monkeypatch.chdir(tmp_path)
    destination, alone = place(tmp_path), place(tmp_path, "alone")
    run(destination, Directory(tree), workers=2)
    run(alone, Directory(tree), workers=0)
    assert saved(destination) == saved(alone)
    assert not (tmp_path / "was-started").exists()
