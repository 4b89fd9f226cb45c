"""Objects at their destination."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backupkit.errors import DestinationError, IntegrityError, ObjectExistsError, ObjectNotFoundError
from backupkit.formats.restic.cache import Cache
from backupkit.formats.restic.layout import object_name, storage_id
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.sealing import MasterKey, Sealer
from backupkit.retrying import Retry
from backupkit.testing.clocks import FrozenClock
from backupkit.testing.destinations import Fault, FaultyDestination, MemoryDestination

CONTENT = b"sealed bytes"
ID = storage_id(CONTENT)
REPOSITORY = storage_id(b"the repository")
CUT = DestinationError("The cable was cut.", location="memory:", retryable=True)


@pytest.fixture
def memory() -> MemoryDestination:
    destination = MemoryDestination()
    Objects(destination).write("data", [CONTENT[:5], CONTENT[5:]], ID)
    return destination


def retrying(destination: MemoryDestination, *faults: Fault) -> Objects:
    return Objects(
        FaultyDestination(destination, faults), retry=Retry(tries=2, wait=1, sleep=FrozenClock().sleep)
    )


def test_an_object_is_read_as_it_was_written(memory: MemoryDestination) -> None:
    assert Objects(memory).read("data", ID) == CONTENT
    assert Objects(memory).read_range(ID, 7, 5) == b"bytes"
    assert [*Objects(memory).list("data")] == [(ID, len(CONTENT))]
    Objects(memory).delete("data", ID)
    with pytest.raises(ObjectNotFoundError):
        Objects(memory).read("data", ID)


def test_only_objects_of_the_repository_are_listed(memory: MemoryDestination) -> None:
    wrong_folder = "00" if ID[:2] != "00" else "01"
    for name in (f"data/{ID}", f"data/{wrong_folder}/{ID}", "data/ab/tmp-1", "snapshots/README", "data2/x"):
        memory.write(name, [b"x"])
    assert [*Objects(memory).list("data")] == [(ID, len(CONTENT))]
    assert [*Objects(memory).list("snapshots")] == []


def test_wrong_bytes_are_read_once_more(memory: MemoryDestination) -> None:
    cut_short = Fault(method="read", does=None, after=5)
    destination = FaultyDestination(memory, [cut_short])
    assert Objects(destination).read("data", ID) == CONTENT
    assert destination.calls["read"] == 2


def test_bytes_that_stay_wrong_are_an_integrity_error_that_says_where(memory: MemoryDestination) -> None:
    memory.objects[object_name("data", ID)] = b"others"
    with pytest.raises(IntegrityError, match=f"data/{ID[:2]}/{ID} at memory:memory is not what was written"):
        Objects(memory).read("data", ID)


def test_a_range_that_is_cut_short_is_an_integrity_error(memory: MemoryDestination) -> None:
    for start, length in ((7, 6), (12, 1), (100, 1)):
        with pytest.raises(IntegrityError, match=f"is cut short: it ends before byte {start + length}"):
            Objects(memory).read_range(ID, start, length)


def test_what_may_pass_is_tried_again(memory: MemoryDestination) -> None:
    fault = Fault(method="read", does=CUT, after=5)
    assert retrying(memory, fault).read("data", ID) == CONTENT
    assert retrying(memory, fault).read_range(ID, 0, 12) == CONTENT
    assert len([*retrying(memory, Fault(method="list", does=CUT)).list("data")]) == 1
    retrying(memory, Fault(method="write", does=CUT, after=5)).write(
        "index", [b"ab", b"cd"], storage_id(b"abcd")
    )
    assert memory.objects[object_name("index", storage_id(b"abcd"))] == b"abcd"
    retrying(memory, Fault(method="delete", does=CUT)).delete("data", ID)


def test_what_stays_is_raised(memory: MemoryDestination) -> None:
    with pytest.raises(DestinationError, match="The cable was cut"):
        retrying(memory, Fault(method="read", does=CUT, lasting=True)).read("data", ID)


def test_an_object_whose_answer_was_lost_is_there_and_no_error(memory: MemoryDestination) -> None:
    lost = Fault(method="write", does=CUT, answer_lost=True)
    retrying(memory, lost).write("index", [b"abcd"], storage_id(b"abcd"))
    assert memory.objects[object_name("index", storage_id(b"abcd"))] == b"abcd"


def test_a_document_is_stored_under_the_hash_of_what_is_stored(memory: MemoryDestination) -> None:
    sealer = Sealer(MasterKey.made())
    id = Objects(memory).save("snapshots", {"paths": ["/srv"]}, sealer)
    assert storage_id(memory.objects[f"snapshots/{id}"]) == id
    assert Objects(memory).load("snapshots", id, sealer) == {"paths": ["/srv"]}
    with pytest.raises(IntegrityError, match=f"snapshots/{id} at memory:memory is not what was written"):
        Objects(memory).load("snapshots", id, Sealer(MasterKey.made()))


def test_a_config_is_written_once(memory: MemoryDestination) -> None:
    Objects(memory).write_config(b"first")
    with pytest.raises(ObjectExistsError):
        Objects(memory).write_config(b"second")
    assert Objects(memory).read_config() == b"first"


# --- With a cache


def test_what_a_listing_no_longer_has_is_not_kept(memory: MemoryDestination, tmp_path: Path) -> None:
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        objects = Objects(memory, cache=cache)
        objects.read("data", ID)
        assert cache.get("data", ID) == CONTENT
        objects.delete("data", ID)
        assert [*objects.list("data")] == []
        assert cache.get("data", ID) is None


def test_a_pack_of_trees_is_fetched_once(memory: MemoryDestination, tmp_path: Path) -> None:
    destination = FaultyDestination(memory)
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        objects = Objects(destination, cache=cache)
        with ThreadPoolExecutor(4) as pool:
            found = [
                *pool.map(lambda start: objects.read_range(ID, start, 1, keep=True), range(len(CONTENT)))
            ]
        assert b"".join(found) == CONTENT
    assert destination.calls["read"] == 1


def test_only_what_is_asked_for_is_fetched_where_nothing_can_be_kept(memory: MemoryDestination) -> None:
    destination = FaultyDestination(memory)
    with Cache(REPOSITORY, folder="/proc/self") as cache:
        objects = Objects(destination, cache=cache)
        assert objects.read_range(ID, 0, 6, keep=True) == b"sealed"
        memory.objects[object_name("data", ID)] = CONTENT[:-1] + b"?"  # the whole would not do any more
        assert objects.read_range(ID, 7, 4, keep=True) == b"byte"
    assert destination.calls["read"] == 2


def test_a_range_of_a_pack_that_is_damaged_elsewhere_is_read(
    memory: MemoryDestination, tmp_path: Path
) -> None:
    memory.objects[object_name("data", ID)] = CONTENT[:-1] + b"?"
    with Cache(REPOSITORY, folder=tmp_path) as cache:
        assert Objects(memory, cache=cache).read_range(ID, 0, 6, keep=True) == b"sealed"
        with pytest.raises(IntegrityError, match="cut short"):
            Objects(memory, cache=cache).read_range(ID, 7, 6, keep=True)


def test_trees_that_stand_together_are_read_together(memory: MemoryDestination) -> None:
    destination = FaultyDestination(memory)
    objects = Objects(destination)
    for start in range(0, len(CONTENT), 2):
        assert objects.read_range(ID, start, 2, keep=True) == CONTENT[start : start + 2]
    assert destination.calls["read"] == 1


class WithBadSector(MemoryDestination):
    """The byte at 8 cannot be read."""

    def read(self, name: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        if start <= 8 and (length is None or start + length > 8):
            raise DestinationError("Input/output error", location=self.location)
        yield from super().read(name, start=start, length=length)


def test_a_tree_is_read_where_one_beside_it_cannot_be() -> None:
    destination = WithBadSector()
    Objects(destination).write("data", [CONTENT], ID)
    objects = Objects(destination)
    assert objects.read_range(ID, 0, 6, keep=True) == b"sealed"
    assert objects.read_range(ID, 9, 3, keep=True) == b"tes"
    with pytest.raises(DestinationError):
        objects.read_range(ID, 7, 2, keep=True)


def test_trees_are_read_of_a_pack_of_any_length(memory: MemoryDestination) -> None:
    content = bytes(range(256)) * 3000
    memory.objects[object_name("data", ID)] = content
    objects = Objects(memory)
    for start in (0, (128 << 10) - 5, 128 << 10, 767_990, 3 * (128 << 10) - 1, *range(0, 767_000, 30_011)):
        assert objects.read_range(ID, start, 10, keep=True) == content[start : start + 10]
    with pytest.raises(IntegrityError, match="cut short"):
        objects.read_range(ID, len(content) - 5, 10, keep=True)
