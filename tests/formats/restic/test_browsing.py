"""A snapshot that is looked into here and there: what that reads, and what it notices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from random import Random
from typing import Any

import pytest

from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import IntegrityError
from backupkit.formats.restic import browsing, packing
from backupkit.formats.restic.browsing import SnapshotBrowser
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import OpenedRepository, create
from backupkit.model import Backup, Entry
from backupkit.protocols import Destination
from backupkit.testing.destinations import MemoryDestination
from tests.formats.restic.snapshots_made import SECRET, file, spoil_tree, written

MiB = 1 << 20
CONTENT = Random(1).randbytes(100 * MiB)


class Counting(Wrapping):
    """Notes what is read, and how much of it."""

    def __init__(self, inner: Destination) -> None:
        super().__init__(inner)
        self.reads: list[tuple[str, int]] = []

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        content = b"".join(super().read(name, start=start, length=length))
        self.reads.append((name, len(content)))
        yield content


@pytest.fixture(scope="module")
def large(request: pytest.FixtureRequest) -> tuple[MemoryDestination, Backup]:
    """A snapshot with a file of 100 MiB, cut and put into packs alike in each test run."""
    from tests.impatience import be_impatient

    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch)
        patch.setattr(packing, "_choices", lambda: repeat(0))
        destination = MemoryDestination()
        create(Objects(destination), SECRET, polynomial=0x25B468838DCB75)
        return destination, written(destination, [file("large", CONTENT), file("small", b"small")])


def browser(destination: Destination, backup: Backup) -> SnapshotBrowser:
    with Restic(cache=False).open(destination, name=None, encryptor=SECRET) as repository:
        return repository.browser(backup)


def entry(looked: SnapshotBrowser, path: str) -> Entry:
    (found,) = (one for one in looked.children(path.rpartition("/")[0]) if one.path == path)
    return found


def within(found: Entry, start: int, stop: int) -> bytes:
    assert found.within is not None
    return b"".join(found.within(start, stop))


def ends_of_blobs(found: Entry) -> Sequence[int]:
    """Where each blob of the large file ends."""
    content: Any = getattr(found.within, "__self__", None)
    ends: Sequence[int] = content._ends_until(len(CONTENT))
    return ends


def test_a_thousand_bytes_in_the_midst_cost_the_blob_that_they_are_in(
    large: tuple[MemoryDestination, Backup],
) -> None:
    place = Counting(large[0])
    found = entry(browser(place, large[1]), "large")
    ends = ends_of_blobs(found)
    middle = (ends[20] + ends[21]) // 2
    place.reads.clear()
    assert within(found, middle, middle + 1000) == CONTENT[middle : middle + 1000]
    ((name, length),) = place.reads
    assert name.startswith("data/")
    assert length < 9 * MiB  # no blob is longer than 8


def test_several_blobs_beside_each_other_cost_one_request(large: tuple[MemoryDestination, Backup]) -> None:
    place = Counting(large[0])
    found = entry(browser(place, large[1]), "large")
    within(found, 0, 1)
    place.reads.clear()
    assert within(found, 20 * MiB, 40 * MiB) == CONTENT[20 * MiB : 40 * MiB]
    assert len(place.reads) == 7  # for 18 blobs in two packs, of which some 4 MiB are asked for together
    assert sum(length for _, length in place.reads) < 40 * MiB


def test_a_range_that_begins_with_a_blob_does_not_cost_the_one_before(
    large: tuple[MemoryDestination, Backup],
) -> None:
    place = Counting(large[0])
    found = entry(browser(place, large[1]), "large")
    ends = ends_of_blobs(found)
    place.reads.clear()
    assert within(found, ends[4], ends[5]) == CONTENT[ends[4] : ends[5]]
    assert sum(length for _, length in place.reads) < ends[5] - ends[4] + 1000


def test_small_pieces_of_one_blob_cost_one_request(large: tuple[MemoryDestination, Backup]) -> None:
    place = Counting(large[0])
    found = entry(browser(place, large[1]), "large")
    within(found, 1000, 1001)
    place.reads.clear()
    for at in range(1000, 100_000, 1000):
        assert within(found, at, at + 10) == CONTENT[at : at + 10]
    assert place.reads == []


def test_any_range_is_what_the_whole_has_there(large: tuple[MemoryDestination, Backup]) -> None:
    found = entry(browser(*large), "large")
    pick = Random(2).randrange
    edges = [0, 1, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 10]
    ranges = [(start, stop) for start in edges for stop in edges]
    ranges += [(at, at + pick(3 * MiB)) for at in (pick(len(CONTENT)) for _ in range(10))]
    for start, stop in ranges:
        if stop - start < 50 * MiB:
            assert within(found, start, stop) == CONTENT[start:stop]
    small = entry(browser(*large), "small")
    assert [within(small, 0, 5), within(small, 1, 3), within(small, 4, 99)] == [b"small", b"ma", b"l"]


def test_a_folder_costs_the_trees_on_the_way_to_it() -> None:
    destination = MemoryDestination()
    folders = [Entry(path=path, kind="directory") for path in ("a", "a/b", "a/b/c", "other", "other/one")]
    files = [file("a/b/c/file", b"x"), file("other/one/file", b"y")]
    backup = written(destination, sorted([*folders, *files], key=lambda one: one.path))
    looked = browser(destination, backup)
    loaded: list[bytes] = []
    load = looked._repository.load

    def noted(id: bytes, *, tree: bool = False) -> bytes:
        loaded.append(id)
        return load(id, tree=tree)

    looked._repository.load = noted  # type: ignore[method-assign]
    assert [one.path for one in looked.children("a/b/c")] == ["a/b/c/file"]
    assert len(loaded) == 4
    loaded.clear()
    looked.children("a/b/c")
    assert len(loaded) == 1  # where it is is known by now


def test_blobs_and_folders_that_were_looked_at_lately_are_kept_within_bounds(
    large: tuple[MemoryDestination, Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "_KEPT", 10 * MiB)
    looked = browser(*large)
    found, loader = entry(looked, "large"), looked._loader
    for at in range(0, 30 * MiB, MiB):
        within(found, at, at + 1)
        assert loader._size == sum(map(len, loader._blobs.values())) <= 10 * MiB
    id, blob = next(iter(loader._blobs.items()))
    loader._keep(id, blob)  # as by two threads that have loaded it
    assert loader._size == sum(map(len, loader._blobs.values()))
    monkeypatch.setattr(browsing, "_FOLDERS", 2)
    destination = MemoryDestination()
    folders = [Entry(path=path, kind="directory") for path in ("a", "a/b", "c", "d")]
    looked = browser(destination, written(destination, [*folders, file("x")]))
    for path in ("", "a", "a/b", "c", "d"):
        looked.children(path)
        assert len(looked._trees) <= 2


def test_what_is_no_folder_is_told_apart() -> None:
    destination = MemoryDestination()
    looked = browser(destination, written(destination, [file("file", b"x")]))
    with pytest.raises(NotADirectoryError):
        looked.children("file")
    with pytest.raises(NotADirectoryError):
        looked.children("file/below")
    for path in ("gone", "..", ".", "gone/below", "../file", "/"):
        with pytest.raises(FileNotFoundError):
            looked.children(path)


def test_a_damaged_tree_ends_what_needs_it_and_nothing_else() -> None:
    destination = MemoryDestination()
    folders = [Entry(path=path, kind="directory") for path in ("bad", "good")]
    content = [folders[0], file("bad/one", b"x"), folders[1], file("good/one", b"y")]
    backup = written(destination, content)
    spoil_tree(destination, backup, "bad")
    looked = browser(destination, backup)
    assert [one.path for one in looked.children("")] == ["bad", "good"]
    assert [one.path for one in looked.children("good")] == ["good/one"]
    with pytest.raises(IntegrityError, match="The folder 'bad' cannot be read"):
        looked.children("bad")


def test_for_a_pack_that_is_lost_the_index_is_read_once_more_and_not_each_time(
    large: tuple[MemoryDestination, Backup],
) -> None:
    place = MemoryDestination()
    for stored in large[0].list():
        place.write(stored.name, large[0].read(stored.name))
    counting = Counting(place)
    found = entry(browser(counting, large[1]), "large")
    for stored in [*place.list("data/")]:
        place.delete(stored.name)
    counting.reads.clear()
    for _ in range(3):
        with pytest.raises(IntegrityError, match="is missing: blobs are lost with it"):
            within(found, 1000, 2000)
    read = [name for name, _ in counting.reads if name.startswith("index/")]
    assert sorted(read) == [stored.name for stored in place.list("index/")]


def test_an_index_that_gives_another_length_is_noticed(
    large: tuple[MemoryDestination, Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = entry(browser(*large), "large")
    real = OpenedRepository.size_of
    monkeypatch.setattr(OpenedRepository, "size_of", lambda self, id: real(self, id) + 1)
    with pytest.raises(IntegrityError, match="says another length"):
        within(found, 1000, 2000)
    with pytest.raises(IntegrityError, match="which says that it has"):
        within(found, len(CONTENT) - 10, len(CONTENT))


def test_what_comes_before_a_blob_that_no_index_has_can_be_read(
    large: tuple[MemoryDestination, Backup], monkeypatch: pytest.MonkeyPatch
) -> None:
    destination, backup = large
    looked = browser(destination, backup)
    lost = entry(looked, "large").chunks.__self__.ids[20]  # type: ignore[attr-defined]
    looked._repository.need_index()
    del looked._repository.index._tables[0][lost]
    found = entry(looked, "large")
    assert within(found, 1000, 2000) == CONTENT[1000:2000]
    monkeypatch.setattr("backupkit.formats.restic.opened._SETTLED", 1e9)  # or it is found by looking again
    with pytest.raises(IntegrityError, match="is in no index"):
        within(found, 90 * MiB, 91 * MiB)
