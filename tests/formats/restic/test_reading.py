"""Reading a snapshot: what is fetched, how often, and in whatever order contents are pulled."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from backupkit import Backups, Directory
from backupkit.compression import Store
from backupkit.destinations.local import LocalDestination
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import BackupKitError, BackupNotFoundError, DestinationError, IntegrityError
from backupkit.formats.restic import packing
from backupkit.formats.restic.config import Config
from backupkit.formats.restic.copying import copy_snapshot
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository
from backupkit.formats.restic.reading import entries_of
from backupkit.formats.restic.sealing import MasterKey
from backupkit.formats.restic.snapshots import Snapshot
from backupkit.model import Backup, Entry, Origin
from backupkit.protocols import Destination
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, written
from tests.formats.restic.test_hostile import with_one_changed

SMALL = [
    *(file(f"app/{folder:02}/{number:02}", os.urandom(3000)) for folder in range(20) for number in range(20)),
    file("large", os.urandom(30 << 20)),
    file("zero"),
]
CONTENTS = {one.path: b"".join(one.chunks()) for one in SMALL}


class Counting(Wrapping):
    """A destination that knows what was read of its packs."""

    def __init__(self, inner: Destination) -> None:
        super().__init__(inner)
        self.requests = self.bytes = 0

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if name.startswith("data/"):
            self.requests += 1
        for chunk in super().read(name, start=start, length=length):
            if name.startswith("data/"):
                self.bytes += len(chunk)
            yield chunk


@pytest.fixture(scope="module")
def kept() -> tuple[MemoryDestination, list[Backup]]:
    return MemoryDestination(), []


@pytest.fixture
def stored(kept: tuple[MemoryDestination, list[Backup]]) -> tuple[Counting, Backup]:
    destination, backups = kept
    if not backups:
        with pytest.MonkeyPatch.context() as patch:
            # By turns, so that the blobs of one batch stand side by side in each pack. At random, others may stand
            # between them, and are read twice.
            patch.setattr(packing, "_choices", lambda: cycle(range(2)))
            backups.append(written(destination, SMALL))
    return Counting(destination), backups[0]


def backups_at(destination: Destination) -> Backups:
    return Backups("shop", destination, encryptor=SECRET, format=Restic())


def files(stored: tuple[Counting, Backup], executor: ThreadPoolExecutor | None = None) -> list[Entry]:
    destination, backup = stored
    with Restic().open(destination, name="shop", encryptor=SECRET, executor=executor) as repository:
        return [entry for entry in repository.read(backup) if entry.kind == "file"]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_what_is_read_in_order_takes_few_requests_and_every_byte_once(
    stored: tuple[Counting, Backup], threads: int
) -> None:
    destination, backup = stored
    size = sum(one.size for one in destination.list("data/"))
    with (
        ThreadPoolExecutor(max(threads, 1)) as executor,
        Restic().open(
            destination, name="shop", encryptor=SECRET, executor=executor if threads else None
        ) as repository,
    ):
        entries = repository.read(backup)
        found = {one.path: b"".join(one.chunks()) for one in entries if one.kind == "file"}
    assert found == CONTENTS
    assert destination.requests < 40  # for 21 folders and 401 files
    assert destination.bytes < size


def test_folders_are_read_together(stored: tuple[Counting, Backup]) -> None:
    files(stored)
    assert stored[0].requests <= 4


@pytest.mark.parametrize("order", ["backwards", "at random", "every tenth", "twice each"])
@pytest.mark.parametrize("threads", [0, 3])
def test_contents_may_be_pulled_in_any_order(
    stored: tuple[Counting, Backup], order: str, threads: int
) -> None:
    with ThreadPoolExecutor(3) as executor:
        entries = files(stored, executor if threads else None)
        match order:
            case "backwards":
                entries.reverse()
            case "at random":
                random.Random(1).shuffle(entries)
            case "every tenth":
                entries = entries[::10]
            case _:
                entries = [one for one in entries for _ in range(2)]
        for one in entries:
            assert b"".join(one.chunks()) == CONTENTS[one.path], one.path


def test_contents_may_be_pulled_in_turns_and_in_part(stored: tuple[Counting, Backup]) -> None:
    with ThreadPoolExecutor(2) as executor:
        *small, large, _ = files(stored, executor)
        for one in small[:50]:
            next(one.chunks())
        first, second = large.chunks(), large.chunks()
        content = b"".join(first)
        assert next(second) == content[: len(next(large.chunks()))]
        pairs = [(one.path, one.chunks()) for one in small[50:60]]
        assert all(b"".join(chunks) == CONTENTS[path] for path, chunks in reversed(pairs))
        assert content == CONTENTS["large"]


def test_contents_may_be_pulled_on_several_threads(stored: tuple[Counting, Backup]) -> None:
    with ThreadPoolExecutor(2) as executor, ThreadPoolExecutor(4) as pullers:
        entries = files(stored, executor)
        contents = pullers.map(lambda one: b"".join(one.chunks()), entries)
        for one, content in zip(entries, contents, strict=True):
            assert content == CONTENTS[one.path]


def test_one_file_is_opened_without_fetching_others(stored: tuple[Counting, Backup]) -> None:
    destination, backup = stored
    with backups_at(destination).open(backup, "app/07/03") as opened:
        assert opened.read() == CONTENTS["app/07/03"]
    assert destination.requests <= 4  # three folders on the way, and the file
    assert destination.bytes < 10_000


def test_folders_that_cannot_match_are_not_read(stored: tuple[Counting, Backup], tmp_path: Path) -> None:
    destination, backup = stored
    backups_at(destination).restore(backup, to=tmp_path, include=["app/07/0*", "app/08/01"])
    restored = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert restored == {*(f"app/07/0{number}" for number in range(10)), "app/08/01"}
    assert destination.bytes < 300_000  # of 31 MB


def test_a_restore_in_place_fetches_only_what_differs(
    stored: tuple[Counting, Backup], tmp_path: Path
) -> None:
    destination, backup = stored
    backups = backups_at(destination)
    backups.restore(backup, to=tmp_path)
    destination.bytes = 0
    backups.restore(backup, to=tmp_path, overwrite=True)
    trees = destination.bytes
    assert trees < 200_000  # the folders, three times
    with (tmp_path / "large").open("r+b") as large:
        large.seek(10 << 20)
        large.write(b"changed")
    (tmp_path / "app/07/03").write_bytes(b"")
    (tmp_path / "app/07/04").unlink()
    (tmp_path / "app/07/05").unlink()
    (tmp_path / "app/07/05").symlink_to("/etc/passwd")
    destination.bytes = 0
    report = backups.restore(backup, to=tmp_path, overwrite=True)
    assert (report.outcome, report.problems) == ("succeeded", ())
    for path, content in CONTENTS.items():
        assert (tmp_path / path).read_bytes() == content
    assert destination.bytes - trees < 9 << 20  # one blob, of at most 8 MiB, and three small files


def test_wherever_a_destination_fails_what_was_read_is_right_and_the_failure_is_raised_or_without_effect(
    kept: tuple[MemoryDestination, list[Backup]], stored: tuple[Counting, Backup]
) -> None:
    passed = failed = 0
    for call in range(1, 40):
        fault = Fault(method="read", call=call, does=DestinationError("lost", location="memory:"))
        faulty = FaultyDestination(kept[0], [fault])
        with (
            ThreadPoolExecutor(2) as executor,
            Restic().open(faulty, name="shop", encryptor=SECRET, executor=executor) as repository,
        ):
            try:
                for one in repository.read(stored[1]):
                    if one.kind == "file":
                        assert b"".join(one.chunks()) == CONTENTS[one.path]
                passed += 1
            except DestinationError:
                failed += 1
    assert passed
    assert failed


def test_what_is_restored_above_everything_comes_back_where_it_was(tmp_path: Path) -> None:
    place = tmp_path / "srv/app"
    place.mkdir(parents=True)
    (place / "data").write_bytes(b"content")
    destination = LocalDestination(tmp_path / "repository", create=True)
    path = str(place / "data").lstrip("/")
    # By a source, so that the folders above are described as they are: this changes those of the machine.
    backup = written(destination, [one for one in Directory(place).entries() if isinstance(one, Entry)])
    (place / "data").unlink()
    report = backups_at(destination).restore(backup, to="/", include=[path], overwrite=True)
    assert report.outcome == "succeeded", report.problems
    assert (place / "data").read_bytes() == b"content"


def test_folders_that_no_source_described_stay_as_they_are_when_something_is_restored_into_them(
    tmp_path: Path,
) -> None:
    destination = MemoryDestination()
    backup = written(destination, [file("db-dumps/shop.sql", b"1"), file("photos/2026/a", b"2")])
    folders = [tmp_path / "db-dumps", tmp_path / "photos" / "2026", tmp_path / "photos"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        folder.chmod(0o2770)
        os.utime(folder, ns=(0, 5))
    report = backups_at(destination).restore(backup, to=tmp_path, overwrite=True)
    assert (report.outcome, report.problems) == ("succeeded", ())
    assert (tmp_path / "photos/2026/a").read_bytes() == b"2"
    assert {folder.stat().st_mode & 0o7777 for folder in folders} == {0o2770}
    assert (tmp_path / "photos").stat().st_mtime_ns == 5


def test_a_folder_that_a_source_passes_over_is_described_as_it_is_on_this_machine(tmp_path: Path) -> None:
    inner = tmp_path / "app" / "between"
    inner.mkdir(parents=True)
    inner.chmod(0o710)
    app = Entry(path="app", kind="directory", mode=0o755, origin=Origin(str(tmp_path / "app"), 1, 1, 1, 1))
    deep = replace(file("app/between/a", b"1"), origin=Origin(str(inner / "a"), 2, 1, 1, 1))
    destination = MemoryDestination()
    backup = written(destination, [app, deep])
    (found,) = [one for one in backups_at(destination).entries(backup) if one.path == str(inner)[1:]]
    assert (found.mode, found.modified_ns) == (0o710, inner.stat().st_mtime_ns)


def test_files_of_one_inode_that_differ_in_content_are_no_links_to_each_other(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"another", "c": b"one"}
    changed = {"a": 9, "b": 10, "c": 9}
    entries = [
        replace(file(name, content), origin=Origin(f"/{name}", 7, 8, 3, changed[name]))
        for name, content in contents.items()
    ]
    destination = MemoryDestination()
    backup = written(destination, entries)
    assert backups_at(destination).restore(backup, to=tmp_path).outcome == "succeeded"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
    assert (tmp_path / "a").samefile(tmp_path / "c")


def test_an_index_that_names_a_missing_pack_makes_its_blobs_unreadable_and_no_others() -> None:
    destination = MemoryDestination()
    content = os.urandom(100)
    written(destination, [file("b", content)])
    before = {*destination.objects}
    backup = written(destination, [file("a", b"new"), file("b", content)], minutes=1)
    with Restic().open(destination, name="shop", encryptor=SECRET) as repository:
        a, b = repository.read(backup)
        for name in {*destination.objects} - before:
            if name.startswith("data/"):
                del destination.objects[name]
        assert b"".join(b.chunks()) == content
        with pytest.raises(IntegrityError, match="is missing"):
            list(a.chunks())


def test_a_snapshot_that_was_removed_meanwhile_is_not_found() -> None:
    destination = MemoryDestination()
    backup = written(destination, [file("a", b"content")])
    for name in [one for one in destination.objects if one.startswith("snapshots/")]:
        del destination.objects[name]
    with pytest.raises(BackupNotFoundError, match=backup.id):
        backups_at(destination).restore(backup, to="/nowhere")


class Made(OpenedRepository):
    """A repository in which nothing is stored but trees that somebody made up."""

    def __init__(self, trees: dict[bytes, bytes]) -> None:
        super().__init__(Objects(MemoryDestination()), Config.made(), MasterKey.made())
        self._trees = trees

    def load(self, id: bytes, *, tree: bool = False) -> bytes:
        if tree and id in self._trees:
            return self._trees[id]
        raise IntegrityError("there is no such blob", where=id.hex())


ROOT, BELOW = "aa" * 32, "bb" * 32
TREE: dict[str, Any] = {
    "nodes": [
        {"name": "d", "type": "dir", "mtime": "2026-01-31T12:00:00Z", "subtree": BELOW},
        {"name": "f", "type": "file", "mtime": "2026-01-31T12:00:00Z", "size": 0, "content": []},
        {
            "name": "l",
            "type": "file",
            "mtime": "2026-01-31T12:00:00Z",
            "links": 2,
            "inode": 3,
            "device_id": 4,
        },
    ]
}


def test_trees_that_nobody_writes_are_read_or_refused() -> None:
    read = refused = 0
    fields = {"time": "2026-01-31T12:00:00Z", "tree": ROOT}
    snapshot = Snapshot.parse(fields, "cc" * 32, where="it")
    for changed in with_one_changed(TREE):
        content = json.dumps(changed).encode()
        repository = Made({bytes.fromhex(ROOT): content, bytes.fromhex(BELOW): b'{"nodes": null}'})
        try:
            for entry in entries_of(repository, snapshot, executor=None):
                os.fsencode(entry.path)
                list(entry.chunks())
            read += 1
        except BackupKitError:
            refused += 1
    assert read
    assert refused


def test_trees_that_nobody_writes_are_copied_or_refused() -> None:
    copied = refused = 0
    fields = {"time": "2026-01-31T12:00:00Z", "tree": ROOT}
    snapshot = Snapshot.parse(fields, "cc" * 32, where="it")
    for changed in with_one_changed(TREE):
        content = json.dumps(changed).encode()
        repository = Made({bytes.fromhex(ROOT): content, bytes.fromhex(BELOW): b'{"nodes": null}'})
        other = Made({})
        try:
            copy_snapshot(repository, snapshot, other, compressor=Store(), executor=None)
            copied += 1
        except BackupKitError:
            refused += 1
            assert not [*other.objects.list("snapshots")]
    assert copied
    assert refused


def test_a_folder_without_a_tree_is_named_when_it_cannot_be_copied() -> None:
    tree = {"nodes": [{"name": "d", "type": "dir", "mtime": "2026-01-31T12:00:00Z"}]}
    repository = Made({bytes.fromhex(ROOT): json.dumps(tree).encode()})
    snapshot = Snapshot.parse({"time": "2026-01-31T12:00:00Z", "tree": ROOT}, "cc" * 32, where="it")
    with pytest.raises(IntegrityError, match="does not say what is in the folder 'd'"):
        copy_snapshot(repository, snapshot, Made({}), compressor=Store(), executor=None)
