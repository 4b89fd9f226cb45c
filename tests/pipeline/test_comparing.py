"""Comparing, looking for paths and measuring where there are archives, or archives and snapshots."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    Backup,
    BackupKitError,
    BackupNotFoundError,
    BackupPipeline,
    ConfigurationError,
    DestinationError,
    Difference,
    Directory,
    IntegrityError,
    MachineLock,
    OperationCancelledError,
    open_repository,
    versions_of,
)
from backupkit._at_destinations import AtDestinations
from backupkit._comparing import Comparison, change_of, in_order
from backupkit.model import Contents, Entry, Found, Owner, Problem
from backupkit.protocols import Destination, Format, nothing
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination
from backupkit.testing.trees import tree
from tests.formats.zip.foreign_archives import by_zipfile
from tests.pipeline.snapshots import FORMAT, PASSPHRASE

pytestmark = pytest.mark.usefixtures("impatient")


@dataclass(frozen=True)
class Unplaced:
    """A folder's entries, which do not say where they were, and so have the same paths in snapshots too."""

    folder: Path
    name: str = "files"
    contents: Contents = "files"

    def entries(self) -> Iterator[Entry | Problem]:
        for one in Directory(self.folder, name="z-files").entries():
            yield replace(one, origin=None) if isinstance(one, Entry) else one
        yield Entry(path="db-dumps/shop.sql", modified_ns=1, chunks=lambda: iter([b"dump"]))


class Shop:
    """An application's folder, backed up as archives and as snapshots."""

    def __init__(self, folder: Path) -> None:
        self.app = tree(
            folder / "app", {"same": b"s", "changed": b"1", "gone": b"g", "in": {"touched": b"t"}}
        )
        self._locks = folder / "locks"
        self.archives = self.pipeline("archives")
        self.snapshots = self.pipeline("snapshots", format=FORMAT)

    def pipeline(self, *places: str | Destination, format: Format | None = None) -> BackupPipeline:
        return BackupPipeline(
            "shop",
            [Unplaced(self.app)],
            [MemoryDestination(one) if isinstance(one, str) else one for one in places],
            format=format,
            encryptor=PASSPHRASE,
            lock=MachineLock(self._locks),
        )

    def change(self) -> None:
        # Of the same size and time: only its checksum tells.
        times = (self.app / "changed").stat()
        (self.app / "changed").write_bytes(b"2")
        os.utime(self.app / "changed", ns=(times.st_atime_ns, times.st_mtime_ns))
        (self.app / "gone").unlink()
        (self.app / "new").mkdir()
        (self.app / "new/file").write_bytes(b"new")
        os.utime(self.app / "in/touched", (5, 5))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def ran(pipeline: BackupPipeline) -> Backup:
    (result,) = pipeline.run().destinations
    assert result.backup is not None
    return result.backup


def shown(differences: Iterable[Difference]) -> list[tuple[str, str]]:
    return [(one.change, one.path) for one in differences]


EXPECTED = [
    ("content", "z-files/changed"),
    ("removed", "z-files/gone"),
    ("metadata", "z-files/in/touched"),
    ("added", "z-files/new"),
    ("added", "z-files/new/file"),
]


def test_archives_are_compared_in_the_order_of_paths_and_by_their_checksums(shop: Shop) -> None:
    one = ran(shop.archives)
    assert shown(shop.archives.diff(one, one.id)) == []
    shop.change()
    comparison = shop.archives.diff(one, ran(shop.archives))
    assert shown(comparison) == EXPECTED
    found = comparison.so_far
    assert (found.added.files, found.added.folders, found.added.size) == (1, 1, 1 + 3)
    assert (found.removed.files, found.removed.folders, found.removed.size) == (1, 0, 1 + 1)
    assert (found.files, found.metadata, found.types) == (1, 1, 0)
    assert shown(shop.archives.diff(one.id, "latest", folder="z-files/new")) == EXPECTED[-1:]
    without = [it for it in EXPECTED if it[0] != "metadata"]
    assert shown(shop.archives.diff(one, "latest", metadata=False)) == without
    with pytest.raises(BackupNotFoundError):
        shown(shop.archives.diff(one, "latest", folder="nowhere"))


def test_an_archive_and_a_snapshot_of_the_same_are_the_same(shop: Shop) -> None:
    archive, snapshot = ran(shop.archives), ran(shop.snapshots)
    assert shown(shop.archives.diff(archive, snapshot, other=shop.snapshots)) == []
    assert shown(shop.snapshots.diff(snapshot.id, other=shop.archives)) == []
    shop.change()
    ran(shop.snapshots)
    assert shown(shop.archives.diff("latest", other=shop.snapshots)) == EXPECTED
    # Where the first one is says nothing of the other.
    assert shown(shop.archives.diff("latest", other=shop.snapshots, at=archive.location)) == EXPECTED


def test_folders_at_different_places_are_compared_by_the_paths_within_them(shop: Shop) -> None:
    archive, snapshot = ran(shop.archives), ran(shop.snapshots)
    moved = BackupPipeline(
        "shop", [Directory(shop.app)], [MemoryDestination("moved")], format=FORMAT, encryptor=PASSPHRASE
    )
    shop.change()
    ran(moved)
    folders = "z-files", str(shop.app).strip("/")
    within = [(change, path.removeprefix("z-files/")) for change, path in EXPECTED]
    for one, pipeline in ((archive, shop.archives), (snapshot, shop.snapshots)):
        found = [*pipeline.diff(one, other=moved, folder=folders)]
        assert shown(found) == within
        before, after = found[0].before, found[0].after
        assert before is not None
        assert after is not None
        assert (before.path, after.path) == tuple(f"{folder}/changed" for folder in folders)
    with pytest.raises(BackupNotFoundError, match="'a' or 'b'"):
        shown(shop.archives.diff(archive, other=moved, folder=("a", "b")))


def test_snapshots_say_the_same(shop: Shop) -> None:
    one = ran(shop.snapshots)
    shop.change()
    assert shown(shop.snapshots.diff(one, ran(shop.snapshots))) == EXPECTED


class Shuffled:
    """A repository that gives its entries in another order than any archive of ours."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self.passes = 0

    def read(self, backup: Backup) -> Iterable[Entry]:
        self.passes += 1
        return (Entry(path=path) for path in self._paths)


@pytest.mark.parametrize(
    ("paths", "passes"),
    [
        (["a", "b", "b/c", "b.x"], 2),
        (["z", "z/a", "a", "b"], 3),
        ([f"{number:03}" for number in range(200, 0, -1)], 2),
    ],
)
def test_entries_come_in_the_order_of_their_paths_by_few_passes(paths: list[str], passes: int) -> None:
    shuffled = Shuffled(paths)
    found = [one.path for one in in_order(shuffled, None)]  # type: ignore[arg-type]  # as much as is asked for
    assert found == sorted(paths, key=lambda path: path.split("/"))
    assert shuffled.passes == passes


def test_two_empty_backups_are_the_same(shop: Shop) -> None:
    backup, empty = ran(shop.archives), Shuffled([])
    comparison = Comparison(
        *(backup, backup, lambda stack: (empty, empty)),  # type: ignore[arg-type]  # as much as is asked for
        folders=("", ""),
        metadata=True,
        between=nothing,
    )
    assert [*comparison] == []


FILE = Entry(path="x", size=1, modified_ns=1, mode=0o644, owner=Owner(uid=1, gid=1))
LINK = Entry(path="x", kind="symlink", target="a")
FOLDER = Entry(path="x", kind="directory", mode=0o755, modified_ns=1)
LEADING = Entry(path="x", kind="directory")  # which no source has described


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (None, FILE, "added"),
        (FILE, None, "removed"),
        (None, replace(FILE, mode=None), "added"),
        (None, LEADING, None),
        (LEADING, None, None),
        (LEADING, FOLDER, None),
        (FILE, LINK, "type"),
        (FOLDER, FILE, "type"),
        (FILE, replace(FILE, kind="hardlink", target="y"), None),
        (FOLDER, replace(FOLDER, modified_ns=2), None),
        (FOLDER, replace(FOLDER, mode=0o700), "metadata"),
        (LINK, replace(LINK, target="b"), "metadata"),
        (LINK, replace(LINK, modified_ns=1), None),
        (FILE, replace(FILE, mode=0o600), "metadata"),
        (FILE, replace(FILE, mode=None), None),
        (FILE, replace(FILE, owner=Owner(uid=2, gid=1)), "metadata"),
        (FILE, replace(FILE, owner=None), None),
        (FILE, replace(FILE, xattrs={"user.a": b"1"}), "metadata"),
        (
            replace(LINK, kind="chardev", device=(1, 3)),
            replace(LINK, kind="chardev", device=(1, 5)),
            "metadata",
        ),
        (FILE, replace(FILE, size=2), "content"),
        (FILE, replace(FILE, modified_ns=2), "content"),
        (replace(FILE, modified_ns=None), replace(FILE, modified_ns=None), "content"),
        (replace(FILE, digest="sha256:1"), replace(FILE, digest="sha256:1", modified_ns=2), "metadata"),
        (replace(FILE, digest="sha256:1"), replace(FILE, digest="sha256:2"), "content"),
        (replace(FILE, digest="sha256:1"), replace(FILE, digest="blobs-1:2"), None),
        (replace(FILE, digest="sha256:1"), FILE, None),
    ],
)
def test_what_neither_backup_says_is_no_difference(
    before: Entry | None, after: Entry | None, change: str | None
) -> None:
    assert change_of(before, after) == change
    mirrored = {"added": "removed", "removed": "added"}
    assert change_of(after, before) == mirrored.get(change or "", change)


def test_paths_are_found_in_archives_and_told_apart_by_version(shop: Shop) -> None:
    first = ran(shop.archives)
    second = ran(shop.archives)
    shop.change()
    third = ran(shop.archives)
    versions = versions_of(shop.archives.find("changed", "*.sql"))
    assert {
        path: [[one.id for one in version.backups] for version in each] for path, each in versions.items()
    } == {
        "z-files/changed": [[third.id], [second.id, first.id]],
        "db-dumps/shop.sql": [[third.id, second.id, first.id]],
    }
    assert [b"".join(one.entry.chunks()) for one in shop.archives.find("changed")] == [b"2", b"1", b"1"]


def test_what_is_looked_for_in_an_archive_may_be_a_folder_or_in_any_case_and_ends_when_told(
    shop: Shop,
) -> None:
    archive, snapshot = ran(shop.archives), ran(shop.snapshots)
    for backup, pipeline in ((archive, shop.archives), (snapshot, shop.snapshots)):
        for patterns, ignore_case, path in (
            (["in/", "changed/"], False, "z-files/in"),
            (["Z-FILES/CHANGED"], True, "z-files/changed"),
            (["z-files/changed"], False, "z-files/changed"),
        ):
            found = [*pipeline.find(*patterns, ignore_case=ignore_case)]
            assert [(one.backup.id, one.entry.path) for one in found] == [(backup.id, path)]
        cancel = threading.Event()
        looking = pipeline.find("*", cancel=cancel)
        next(looking)
        cancel.set()
        with pytest.raises(OperationCancelledError):
            next(looking)


def test_a_damaged_archive_hides_no_other(shop: Shop) -> None:
    first, second, third = (ran(shop.archives) for _ in range(3))
    (place,) = shop.archives.destinations
    (name,) = (one.name for one in place.list() if second.id in one.name and one.name.endswith(".zip"))
    content = bytearray(b"".join(place.read(name)))
    content[-200:] = bytes(200)
    place.delete(name)
    place.write(name, [bytes(content)])
    found: list[Found] = []
    with pytest.raises(IntegrityError, match=second.id):
        found.extend(shop.archives.find("same"))
    assert [one.backup.id for one in found] == [third.id, first.id]


def test_versions_are_told_apart_by_content_and_metadata(shop: Shop) -> None:
    backup = ran(shop.archives)
    one = replace(FILE, digest="sha256:1")
    entries = (
        *(one, replace(one, mode=0o600), one),
        *(replace(one, digest="sha256:2"), replace(one, digest=None)),
        *(replace(one, kind="hardlink", target="y", digest=f"sha256:{number}") for number in (1, 2)),
    )
    (versions,) = versions_of(Found(backup=backup, entry=entry) for entry in entries).values()
    assert [len(version.backups) for version in versions] == [3, 1, 1, 1, 1]
    assert [version.entry.digest for version in versions] == [f"sha256:{it}" for it in (1, 1, 2, 1, 2)]


def test_each_destination_is_listed_once_for_a_comparison(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pipeline in (shop.archives, shop.snapshots):
        ran(pipeline)
    listed: list[BackupPipeline] = []
    for pipeline in (shop.archives, shop.snapshots):

        def counted(at: str | None, pipeline: BackupPipeline = pipeline) -> Any:
            listed.append(pipeline)
            return AtDestinations._listed(pipeline, at)

        monkeypatch.setattr(pipeline, "_listed", counted)
    shop.archives.diff("latest", "latest")
    shop.archives.diff("latest", "latest", other=shop.snapshots)
    assert listed == [shop.archives, shop.archives, shop.snapshots]


def test_statistics_of_archives_are_what_they_hold_and_occupy(shop: Shop) -> None:
    backups = [ran(shop.archives) for _ in range(2)]
    (statistics,) = shop.archives.statistics()
    assert statistics.restored == statistics.deduplicated == sum(one.size or 0 for one in backups)
    assert statistics.stored == sum(one.stored for one in backups)
    assert [one.backup.id for one in statistics.growth] == [one.id for one in backups]


def test_an_archive_that_lacks_its_summary_is_counted_by_what_is_in_it(shop: Shop) -> None:
    backup = ran(shop.archives)
    (place,) = shop.archives.destinations
    (summary,) = (one.name for one in place.list() if one.name.endswith(".complete.json"))
    place.delete(summary)
    (statistics,) = shop.archives.statistics()
    assert [(one.restored, one.entries) for one in statistics.growth] == [(backup.size, backup.entries)]


def test_archives_of_others_are_counted_by_what_is_in_them(shop: Shop) -> None:
    (place,) = shop.archives.destinations
    place.write("shop/export.zip", [by_zipfile({"a": b"12", "b/c": b"345"})])
    (statistics,) = open_repository(place, PASSPHRASE).statistics()
    assert [one.restored for one in statistics.growth] == [5]


def test_a_destination_that_does_not_answer_hides_no_other(shop: Shop) -> None:
    ran(shop.archives)
    cut = Fault(method="list", does=DestinationError("the cable was cut", location="there"), call=None)
    both = shop.pipeline(FaultyDestination(MemoryDestination("silent"), [cut]), *shop.archives.destinations)
    found: list[Found] = []
    with pytest.raises(DestinationError, match="cable"):
        found.extend(both.find("same"))
    assert [one.entry.path for one in found] == ["z-files/same"]
    unreachable, reachable = both.statistics()
    assert "cable" in unreachable.problems[0].message
    assert len(reachable.growth) == 1


def test_a_backup_at_several_destinations_is_looked_through_once(shop: Shop) -> None:
    both = shop.pipeline("one", "two")
    both.run()
    assert [one.backup.location for one in both.find("same")] == ["memory:one"]
    assert [one.backup.location for one in both.find("same", at="memory:two")] == ["memory:two"]


def test_comparing_and_measuring_can_be_cancelled_and_bad_words_are_refused(shop: Shop) -> None:
    ran(shop.archives)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(OperationCancelledError):
        shop.archives.statistics(cancel=cancel)
    with pytest.raises(OperationCancelledError):
        shown(shop.archives.diff("latest", cancel=cancel))
    with pytest.raises(ConfigurationError, match="pattern"):
        next(shop.archives.find())
    with pytest.raises(ConfigurationError, match="zone"):
        next(shop.archives.find("x", since=datetime(2026, 1, 1)))
    with pytest.raises(BackupKitError):
        shop.archives.diff("never", "latest")
